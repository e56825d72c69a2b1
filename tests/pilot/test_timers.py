"""A timer whose task is held up before it begins to wait, as on a busy machine."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from textual import _time
from textual.timer import Timer

from sagas import UnreliableStore, failed, screen_text, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.timers import call_once
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree

HELD_UP = 0.3  # seconds


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> set[Timer]:
    """Hold up each timer between the first two times that it reads. Return the timers that were."""
    read_time, seen = _time.get_time, set[Timer]()

    def get_time() -> float:
        timer: Any = sys._getframe(1).f_locals.get("self")
        if isinstance(timer, Timer) and timer not in seen:
            seen.add(timer)
            return read_time() - HELD_UP
        return read_time()

    monkeypatch.setattr(_time, "get_time", get_time)
    return seen


async def test_it_is_called_once(held_up: set[Timer]) -> None:
    app, calls = SagatraceApp(UnreliableStore([])), list[str]()
    async with app.run_test() as pilot:
        await pilot.pause()
        held_up.clear()
        lost, kept = app.set_timer(0.1, lambda: calls.append("lost")), call_once(app, 0.1, lambda: calls.append("kept"))
        await until(pilot, lambda: calls, "the call")
        assert {lost, kept} <= held_up
        stopped = call_once(app, 0.1, lambda: calls.append("stopped"))
        stopped.stop()
        later = call_once(app, 0.5, lambda: calls.append("later"))
        await until(pilot, lambda: "later" in calls, "a later call")
        assert (calls, later in held_up) == (["kept", "later"], True)


async def test_a_new_size_is_laid_out(held_up: set[Timer]) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        tree, detail = app.screen.query_one(SpanTree), app.screen.query_one(SpanDetail)
        assert tree.region.right <= detail.region.x
        held_up.clear()
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: tree.region.bottom <= detail.region.y, "the detail below")
        await pilot.resize_terminal(130, 40)
        await until(pilot, lambda: tree.region.right <= detail.region.x, "the detail beside it")
        assert held_up
