"""The help with the keys of the screen below, from its bindings, and the key hints."""

from __future__ import annotations

import pytest
from textual.binding import Binding

from sagas import UnreliableStore, failed, screen_text, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.labels import GLYPHS, VERDICTS
from sagatrace_tui.screens.help import HelpScreen, help_text
from sagatrace_tui.screens.legend import LEGEND
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets import bars
from sagatrace_tui.widgets.key_hints import key_groups, key_name
from sagatrace_tui.widgets.ledger_lines import _OUTCOMES
from sagatrace_tui.widgets.span_rows import _AWAITED, _BEING_UNDONE, _ROLES, _STANDING


@pytest.mark.parametrize("key", ["question_mark", "f1"])
@pytest.mark.parametrize(("trace_id", "only_here"), [(None, "Open"), ("T7", "Unfold all")])
async def test_help_shows_the_keys_of_the_screen_beneath(key: str, trace_id: str | None, only_here: str) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id=trace_id, clock=still)
    async with app.run_test(size=(100, 110)) as pilot:
        await until(pilot, lambda: "failed" in screen_text(app), "the screen")
        beneath = app.screen
        await pilot.press(key)
        assert isinstance(app.screen, HelpScreen)
        text = screen_text(app)
        for expected in ("↓  j", "Next row", "Ctrl+d", "Half a page down", "Ctrl+c", "Quit immediately", only_here):
            assert expected in text
        await pilot.press("escape")
        assert app.screen is beneath


async def test_every_action_with_a_key_is_explained() -> None:
    app = SagatraceApp(UnreliableStore())
    async with app.run_test():
        for screen in (SearchScreen(UnreliableStore(), still), TraceScreen(UnreliableStore(), "t", still)):
            for _, bindings in screen.help_sections:
                assert all(binding.description for binding in Binding.make_bindings(bindings))


async def test_a_small_terminal_scrolls_its_help() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: "failed" in screen_text(app), "the screen")
        await pilot.press("question_mark")
        assert "still stands" in screen_text(app)
        await pilot.press("j", "pagedown")
        await until(pilot, lambda: "still stands" not in screen_text(app), "the end of the page")
        await pilot.press("G")
        await until(pilot, lambda: "● in the last lines" in screen_text(app), "the end of the help")
        await pilot.press("q")
        assert isinstance(app.screen, TraceScreen)


@pytest.mark.parametrize(("width", "last"), [(80, "q Back"), (40, "q Back"), (24, "q Back")])
async def test_hints_fit_the_width_and_always_name_the_way_out(width: int, last: str) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(width, 24)) as pilot:
        await until(pilot, lambda: "failed" in screen_text(app), "the screen")
        hints = screen_text(app).splitlines()[-1]
        assert hints.rstrip().endswith(last)
        assert "? Help" in hints


def test_keys_of_one_action_stand_together() -> None:
    bindings = [Binding("down,j", "move(1)", "Next"), Binding("ctrl+d", "half", "Half"), Binding("G", "end", "End")]
    assert [(keys, binding.action) for keys, binding in key_groups(bindings)] == [
        (["↓", "j"], "move(1)"),
        (["Ctrl+d"], "half"),
        (["G"], "end"),
    ]
    assert key_name("equals_sign") == "="
    assert next(help_text([("List", bindings)])).plain == "List"


def test_the_legend_has_every_sign_and_word_that_the_screens_have() -> None:
    texts = [sign.text for _, signs in LEGEND for sign in signs]
    for glyph, word in VERDICTS.values():
        assert f"{glyph} {word}" in texts
    for status, glyph in GLYPHS.items():
        assert f"{glyph} {status}" in texts
    for word, _ in _ROLES.values():
        assert word in texts
    for word in (_STANDING[0], _AWAITED[0], _BEING_UNDONE[0]):
        assert word in texts
    for glyph, word, _ in _OUTCOMES.values():
        assert f"{glyph} {word}" in texts
    drawn = " ".join(texts)
    for sign in (
        bars._WAIT,
        bars._HEAVY[0],
        bars._LIGHT[0],
        bars._BEFORE,
        bars._AFTER,
        bars._LOST,
        bars._GAP,
        *"▾▸╍⋯↕■+~●◆◇",
    ):
        assert sign in drawn
    assert all(sign.meaning.endswith(".") for _, signs in LEGEND for sign in signs)


@pytest.mark.parametrize(
    ("size", "beside"),
    [
        ((119, 60), ["Screen"]),
        ((120, 60), ["Screen", "Verdicts of a trace"]),
        ((160, 60), ["Screen", "Verdicts of a trace"]),
        ((200, 60), ["Screen", "Span tree", "Verdicts of a trace"]),
    ],
)
async def test_keys_and_signs_stand_side_by_side_where_there_is_room(size: tuple[int, int], beside: list[str]) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the screen")
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys and signs" in screen_text(app), "the help")
        first = next(line for line in screen_text(app).splitlines() if "│  Screen" in line)
        assert [text.strip() for text in first.replace("│", "").split("  ") if text.strip()] == beside
        if size[0] >= 160:
            assert "It failed. No step had to be undone." in screen_text(app), "unbroken"


@pytest.mark.parametrize(("trace_id", "first"), [(None, "Open the trace"), ("T7", "Why it failed, root to cause")])
async def test_the_palette_lists_the_hinted_commands_first(trace_id: str | None, first: str) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id=trace_id, clock=still)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: "failed" in screen_text(app), "the screen")
        hinted = {
            binding.tooltip or binding.description
            for _, bindings in app.screen.help_sections  # type: ignore[attr-defined]
            for _, binding in key_groups(bindings)
            if binding.show
        }
        await pilot.press("colon")
        await until(pilot, lambda: first in screen_text(app), "the palette")
        lines = [line.strip() for line in screen_text(app).splitlines()]
        names = lines[next(at for at, line in enumerate(lines) if line.startswith(first)) :: 2][:6]
        assert [name for name in names if not any(name.startswith(one) for one in hinted)] == []
