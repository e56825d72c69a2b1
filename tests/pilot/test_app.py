"""The app as a whole: quitting from every screen, every theme, and the terminal's own colours."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from sagas import UnreliableStore, failed, screen_text, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.theme import DARK, LIGHT, STATUS_TONES, TONES


@pytest.mark.parametrize("keys", [[], ["enter"], ["enter", "tab"], ["question_mark"], ["ctrl+p"]])
async def test_ctrl_c_quits_immediately_from_every_screen(keys: list[str]) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press(*keys, "ctrl+c")
        await until(pilot, lambda: not app.is_running, "the end")
    assert app.return_code == 0


async def test_the_end_of_the_live_source_is_shown_on_screen() -> None:
    """Otherwise a list that waits forever looks like an empty list."""
    words: list[str] = []
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still, trouble=lambda: words[0] if words else None)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the list")
        words.append("redis-server ended with [status] 1")
        await until(pilot, lambda: "redis-server ended with [status] 1" in screen_text(app), "the reason")


async def test_every_theme_of_the_palette_draws_both_screens() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "release_credit" in screen_text(app), "the tree")
        for name in app.available_themes:
            app.theme = name
            await pilot.pause()
            assert "release_credit" in screen_text(app)
        await pilot.press("q")
        for name in app.available_themes:
            app.theme = name
            await until(pilot, lambda: "rollback incomplete" in screen_text(app), f"the list in {name}")


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_every_tone_of_text_can_be_read_on_every_ground(theme: Theme) -> None:
    variables = {**theme.to_color_system().generate(), **theme.variables}
    grounds = ("background", "surface", "cursor-line", "cursor-line-blurred")
    for tone in set(TONES) - {"guide"}:
        for ground in grounds:
            text, behind = Color.parse(variables[TONES[tone].removeprefix("$")]), Color.parse(variables[ground])
            assert contrast(text, behind) >= 4.5, (tone, ground)
    assert set(STATUS_TONES.values()) <= set(TONES)


def contrast(one: Color, other: Color) -> float:
    """Return the contrast by WCAG 2.1. For text, 4.5 is enough."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
