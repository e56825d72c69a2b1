"""Where somebody who uses the app for the first time would be let down, confused or stuck."""

from __future__ import annotations

from sagas import UnreliableStore, failed, screen_text, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.widgets.rows import CURSOR


def opened() -> SagatraceApp:
    return SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)


async def test_the_cursor_is_in_sight_when_all_spans_are_back_and_need_to_be_scrolled() -> None:
    app = opened()
    async with app.run_test(size=(40, 10)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("w")
        await until(pilot, lambda: "why: " in screen_text(app), "the few rows that answer why")
        await pilot.press("w")
        await until(pilot, lambda: "why: " not in screen_text(app), "all spans")
        assert CURSOR in screen_text(app)
        assert "CAUSE" in screen_text(app)
