"""A terminal of any size, however small, ends no screen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from textual import events
from textual.geometry import Size

from sagas import UnreliableStore, failed, many_alike, running, screen_text, still, succeeded, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.screens.value import ValueScreen

SIZES = [(1, 1), (11, 6)]
LIST: Sequence[str] = [
    "2",
    "3",
    "1",
    "slash",
    *"a:b c",
    "enter",
    "escape",
    "d",
    "escape",
    "question_mark",
    "escape",
    "colon",
    "escape",
]
TRACE: Sequence[str] = [
    *("w", "c", "c", "e", "z", "L", "slash", "x", "escape", "left_square_bracket", "escape"),
    *("tab", "G", "enter", "escape", "d", "escape", "question_mark", "escape", "colon", "escape"),
]


@pytest.mark.parametrize(("trace_id", "keys"), [(None, LIST), ("T7", TRACE)], ids=["list", "trace"])
async def test_every_screen_opens_at_any_size_and_takes_any_other(trace_id: str | None, keys: Sequence[str]) -> None:
    traces = [*failed("T7"), *succeeded("T8", 10), *running("T9", 20), *many_alike("T6", 9)]
    app = SagatraceApp(UnreliableStore(traces), trace_id=trace_id, clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the first screen", seconds=20)
        for width, height in SIZES:
            for key in keys:
                await pilot.resize_terminal(width, height)
                await pilot.press(key)
                await pilot.resize_terminal(height, width)
        assert app.is_running


async def test_two_changes_of_size_in_one_moment_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layout sends its size to the screen once more. With other messages in between, that never ended."""
    count, resized = ValueScreen.on_resize, list[ValueScreen]()

    def on_resize(screen: ValueScreen) -> None:
        resized.append(screen)
        assert len(resized) < 50, "it never ends"
        count(screen)

    monkeypatch.setattr(ValueScreen, "on_resize", on_resize)
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the trace")
        await app.push_screen(ValueScreen("a value", "some words " * 50))
        await until(pilot, lambda: "some words" in screen_text(app), "the value")
        screen, busy = app.screen, asyncio.Event()
        screen.call_later(busy.wait)
        for size in (Size(110, 30), Size(60, 20)):
            app._size = size  # as the app does before it posts the event
            screen.post_message(events.Resize(size, size))
            screen.post_message(events.Show())
        busy.set()
        await until(pilot, lambda: screen.size == Size(60, 20), "the last size")


@pytest.mark.parametrize("width", [20, 24, 30])
async def test_the_name_of_a_trace_pushes_nothing_out_of_its_header(width: int) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(width, 10)) as pilot:
        await until(pilot, lambda: "7 spans" in screen_text(app), "the tree")
        starts = [line[1:14] for line in screen_text(app).splitlines()[:3]]
        assert starts == ["⚠ rollback in", "failed at tra", "error 1 of 2 "]
