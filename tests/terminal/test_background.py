"""The theme fits the terminal's background, which the app asks for, unless the reader chose a theme."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pty_terminal import PtyTerminal
from sagas import UnreliableStore, failed, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.terminal.detect import ASK_BACKGROUND
from sagatrace_tui.theme import DARK, LIGHT
from sagatrace_tui.theme_choice import ThemeChoice

Command = Callable[..., list[str]]
CAUSE = "transfer_funds  CAUSE"
WHITE = "\x1b]11;rgb:ffff/ffff/ffff\x1b\\"


def background(terminal: PtyTerminal) -> str:
    return f"#{terminal.cells[5][2].bg}"


def test_a_light_background_reported_by_the_terminal_selects_the_light_theme(tui: Command, tmp_path: Path) -> None:
    with PtyTerminal(tui("loan-2"), env={"XDG_STATE_HOME": str(tmp_path)}) as terminal:
        terminal.until(CAUSE)
        assert background(terminal) == DARK.background
        assert ASK_BACKGROUND.encode() in terminal.raw
        terminal.send(WHITE)
        terminal.until_true(lambda: background(terminal) == LIGHT.background, "stays dark")
        terminal.send("\x03")
        assert terminal.wait() == 0
    assert not (tmp_path / "sagatrace" / "theme").exists(), "it was not chosen"


@pytest.mark.parametrize("remembered", [False, True])
def test_a_requested_theme_stays(tui: Command, tmp_path: Path, remembered: bool) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path), "SAGATRACE_THEME": None if remembered else "dark"}
    if remembered:
        (tmp_path / "sagatrace").mkdir(mode=0o700)
        (tmp_path / "sagatrace" / "theme").write_text("sagatrace-16-dark\n")
    with PtyTerminal(tui("loan-2"), env=env) as terminal:
        terminal.until(CAUSE)
        terminal.send(WHITE)
        terminal.press("?", "Keys")  # was read after it
        assert background(terminal) != LIGHT.background
        terminal.send("\x03")
        assert terminal.wait() == 0


async def test_a_theme_that_is_chosen_is_remembered(tmp_path: Path) -> None:
    choice = ThemeChoice(tmp_path / "sagatrace" / "theme")
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still, theme_choice=choice)
    async with app.run_test() as pilot:
        assert app.theme == DARK.name
        app.theme = LIGHT.name
        await until(pilot, lambda: ThemeChoice(tmp_path / "sagatrace" / "theme").name == LIGHT.name, "the file")
    again = SagatraceApp(UnreliableStore(failed("T7")), theme_choice=ThemeChoice(tmp_path / "sagatrace" / "theme"))
    assert again.theme == LIGHT.name
