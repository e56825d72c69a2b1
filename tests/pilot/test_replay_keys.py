"""Replay in an open trace: `[` and `]`, Home and End, Esc; tree, sentence and compensation view follow."""

from __future__ import annotations

import gc
import weakref
from threading import get_ident
from typing import Any

import pytest

from sagas import UnreliableStore, failed, many_alike, screen_text, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.live.replay import Replay
from sagatrace_tui.widgets.span_tree import SpanTree


def line_with(app: SagatraceApp, text: str) -> str:
    return next((line for line in screen_text(app).splitlines() if text in line), "")


async def test_keys_step_through_the_events_and_escape_goes_back_to_the_live_trace() -> None:
    events = failed("T7")
    store = UnreliableStore(events)
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the live trace")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "This is the newest event" in screen_text(app), "why nothing happened")
        await pilot.press("left_square_bracket", "left_square_bracket")
        at = "replay: event 14 of 16, at 10:00:03.600Z (Esc leaves) · release_credit:compensating"
        await until(pilot, lambda: at in screen_text(app), "the moment")
        assert "rollback incomplete" not in screen_text(app)
        assert "compensating: 0 of 1 step undone" in screen_text(app), "the sentence of that moment"
        assert line_with(app, "release_credit  running").startswith("+"), "the new row, under the cursor"
        assert line_with(app, "stage:credit  ↺ being undone").startswith("~"), "the step that it undoes"
        assert app.screen.query_one(SpanTree).highlighted == "und"
        await pilot.press("home")
        await until(pilot, lambda: "event 1 of 16" in screen_text(app), "the first event")
        assert app.screen.query_one(SpanTree).row_count == 1
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "This is the first event" in screen_text(app), "the end of it")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "event 2 of 16" in screen_text(app), "the second event")
        await pilot.press("end")
        await until(pilot, lambda: "event 16 of 16" in screen_text(app), "the newest event")
        await pilot.press("escape")
        await until(pilot, lambda: "replay" not in screen_text(app), "the live trace again")
        assert "rollback incomplete" in screen_text(app)
        assert not [line for line in screen_text(app).splitlines() if line[:1] in ("+", "~")], "no mark is left"
        await pilot.press("g")
        assert app.screen.query_one(SpanTree).highlighted == "wf", "Home and End move the cursor again"
        await pilot.press("end")
        assert app.screen.query_one(SpanTree).highlighted == "und"


async def test_many_replays_keep_no_garbage() -> None:
    class Kept:
        """An object that only the collector can free."""

        def __init__(self) -> None:
            self.own = self

    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    kept = list[weakref.ref[Kept]]()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the live trace")
        for _ in range(3):
            gc.disable()
            try:
                kept.append(weakref.ref(Kept()))
                await pilot.press("left_square_bracket")
            finally:
                gc.enable()
            await until(pilot, lambda: "replay: event 15" in screen_text(app), "the replay")
            await pilot.press("escape")
            await until(pilot, lambda: "replay" not in screen_text(app), "the live trace again")
        gc.collect()
        assert [one() is None for one in kept[1:]] == [True, True]


async def test_events_that_come_during_a_replay_are_counted_and_shown_after_it() -> None:
    events = failed("T7")
    store = UnreliableStore(events[:12])
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the live trace")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "event 11 of 12" in screen_text(app), "the replay")
        store.append(events[12:])
        await until(pilot, lambda: "+4 events" in screen_text(app), "their count")
        assert "CAUSE" not in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "what came since")


@pytest.mark.parametrize("paused", [False, True])
async def test_a_paused_screen_is_restored_after_a_replay(paused: bool) -> None:
    events = failed("T7")
    store = UnreliableStore(events[:12])
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the live trace")
        await pilot.press(*["f"] * paused, "left_square_bracket")
        await until(pilot, lambda: "event 11 of 12" in screen_text(app), "the replay")
        store.append(events[12:])
        await until(pilot, lambda: "+4 events" in screen_text(app), "their count")
        await pilot.press("escape")
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        assert ("12 events" in screen_text(app)) is paused


async def test_the_compensation_view_follows_the_replay() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the live trace")
        await pilot.press("c")
        await until(pilot, lambda: "STILL STANDING" in screen_text(app), "the ledger")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: "Being undone  1" in screen_text(app), "the ledger of that moment")
        assert "STILL STANDING" not in screen_text(app)
        assert line_with(app, "1.  ▶ undoing").startswith("+")


async def test_a_summary_copied_during_a_replay_is_of_the_trace_of_now() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the live trace")
        await pilot.press("left_square_bracket", "home")
        await until(pilot, lambda: "event 1 of 16" in screen_text(app), "the first event")
        await pilot.press("Y")
        assert "rollback incomplete" in app.clipboard


async def test_moments_are_built_in_another_thread_and_skipped_ones_are_not_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = SagatraceApp(UnreliableStore(many_alike("mail", 500)), trace_id="mail", clock=still)
    built: list[tuple[int, int]] = []
    frame = Replay.frame

    def noted(self: Replay, place: int) -> Any:
        built.append((get_ident(), place))
        return frame(self, place)

    monkeypatch.setattr(Replay, "frame", noted)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "×500" in screen_text(app), "the live trace")
        for _ in range(50):
            app.screen.action_replay(-1)  # type: ignore[attr-defined]  # as fast as a held key
        await until(pilot, lambda: "replay: event 954 of 1,004" in screen_text(app), "the last of them")
    assert get_ident() not in {thread for thread, _ in built}
    assert [place for _, place in built] == [1003, 954]
