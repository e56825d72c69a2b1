"""A screen closes once: a second key that was under way to it neither ends the app nor closes the screen below."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from textual.css.query import NoMatches

from sagas import UnreliableStore, failed, screen_text, still, succeeded, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.screens.value import ValueScreen
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.trace_panes import TracePanes


@pytest.mark.parametrize(
    ("opening", "shown"),
    [
        ("question_mark", "Keys and signs"),
        ("d", "Esc Back"),
        ("colon", "Search for commands"),
        ("", "Search for themes"),
    ],
)
async def test_two_keys_close_one_screen(opening: str, shown: str) -> None:
    app = SagatraceApp(UnreliableStore([*failed("T7"), *succeeded("T8", 10)]), trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace", seconds=20)
        below = app.screen
        if opening:
            await pilot.press(opening)
        else:
            app.search_themes()
        await until(pilot, lambda: shown in screen_text(app), shown, seconds=20)
        above = app.screen
        for _ in range(2):
            above.dismiss()
        await until(pilot, lambda: not above.is_attached, "that it is closed", seconds=20)
        assert app.is_running
        assert app.screen is below


async def test_a_trace_that_is_replaced_while_the_terminal_is_resized_ends_nothing() -> None:
    store = UnreliableStore([*failed("T7"), *failed("T8", 10)])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        replaced = TraceScreen(store, "T7", still, neighbour=lambda _trace_id, _step: "T8")
        await app.push_screen(replaced)
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace", seconds=20)
        panes = replaced.query_one(TracePanes)
        await app.run_action("failed_trace(1)", replaced)
        panes._layout_changed()
        await until(pilot, lambda: app.screen is not replaced and "CAUSE" in screen_text(app), "the other", seconds=20)
        assert app.is_running


async def test_a_value_that_is_replaced_while_the_terminal_is_resized_ends_nothing() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace", seconds=20)
        value = ValueScreen("error", "text")
        await app.push_screen(value)
        app.switch_screen(ValueScreen("other", "text"))
        value.on_resize()
        await until(pilot, lambda: not value.is_attached and "other" in screen_text(app), "the other", seconds=20)
        assert app.is_running


async def end_and_fail(status: int) -> SagatraceApp:
    """Run an app whose end with this status is asked for, and then fail in it as a screen that was opening does."""
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the list", seconds=20)
        has_ended = asyncio.Event()

        def end() -> None:
            app.exit(return_code=status)
            has_ended.set()
            app.query_one(TracePanes)

        app.call_later(end)
        await has_ended.wait()
    return app


async def test_a_failure_while_a_signal_ends_the_app_does_not_change_its_status() -> None:
    app = await end_and_fail(143)
    assert app.return_code == 143
    assert not app.has_crashed


async def test_a_failure_while_the_reader_quits_is_a_crash() -> None:
    with pytest.raises(NoMatches):
        await end_and_fail(0)


@pytest.mark.parametrize("large", [False, True])
async def test_closed_traces_are_freed(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app itself has the garbage of a large trace collected."""
    if large:
        monkeypatch.setattr("sagatrace_tui.live.trace_feed._MANY", 1)
    app = SagatraceApp(UnreliableStore([*failed("T7"), *succeeded("T8", 10)]), clock=still)
    kept = list[weakref.ref[SpanDetail]]()

    def freed() -> bool:
        if not large:
            gc.collect()
        return sum(detail() is not None for detail in kept) <= 1  # Textual may hold the last

    gc.disable()
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            for _ in range(4):
                await until(pilot, lambda: "T7" in screen_text(app), "the list")
                await pilot.press("enter")
                await until(pilot, lambda: len(app.screen.query(SpanDetail)) == 1, "the screen of the trace")
                await until(pilot, lambda: app.screen.query_one(SpanDetail).subject is not None, "the trace")
                kept.append(weakref.ref(app.screen.query_one(SpanDetail)))
                await pilot.press("escape")
                await until(pilot, lambda: not app.screen.query(SpanDetail), "that the trace is closed")
            await until(pilot, freed, "that the traces are freed", seconds=20)
    finally:
        gc.enable()
        gc.unfreeze()
