"""The screen of one trace: tree and detail together, live, at every size."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from textual.widget import Widget
from textual.widgets import Input

from sagas import UnreliableStore, event, failed, orphaned, running, screen_text, still, succeeded, until
from sagatrace.mirror import Mirror
from sagatrace.stores import Arrived, Changes
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree


def opened(store: UnreliableStore, trace_id: str) -> SagatraceApp:
    return SagatraceApp(store, trace_id=trace_id, clock=still)


async def test_the_find_line_never_has_the_focus_while_a_trace_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise early keys would be typed into the line."""
    focused: list[Widget | None] = []
    original = TraceScreen.set_focus

    def noting(self: TraceScreen, widget: Widget | None, *arguments: Any, **options: Any) -> None:
        focused.append(widget)
        original(self, widget, *arguments, **options)

    monkeypatch.setattr(TraceScreen, "set_focus", noting)
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        assert focused
        assert not [widget for widget in focused if isinstance(widget, Input)]


async def test_a_requested_trace_opens_first_with_the_list_behind_it() -> None:
    app = opened(UnreliableStore(failed("T7")), "T7")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "release_credit" in screen_text(app), "the tree")
        await until(pilot, lambda: "error 1 of 2" in screen_text(app), "the place among the errors")
        text = screen_text(app)
        assert "⚠ rollback incomplete  workflow:loan-approval" in text
        assert "failed at transfer_funds (InsufficientFunds: balance 1200 < 25000) · rollback incomplete: 1" in text
        assert (
            "error 1 of 2 (+2 consequences) · took 4.50s · started 1m ago at 2025-12-22 10:00:00Z · 7 spans · 16 events"
            in text
        )
        assert "transfer_funds  CAUSE" in text
        assert "role       the cause" in text
        await pilot.press("q")
        assert isinstance(app.screen, SearchScreen)
        await until(pilot, lambda: "T7" in screen_text(app), "the list")


@pytest.mark.parametrize(("size", "beside"), [((120, 40), True), ((80, 24), False)])
async def test_the_detail_follows_the_cursor_once_it_rests(size: tuple[int, int], beside: bool) -> None:
    app = opened(UnreliableStore(failed("T7")), "T7")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "release_credit" in screen_text(app), "the tree")
        tree, detail = app.screen.query_one(SpanTree), app.screen.query_one(SpanDetail)
        assert (tree.region.right <= detail.region.x) is beside
        assert (tree.region.bottom <= detail.region.y) is not beside
        await pilot.press("g", "j")
        await until(pilot, lambda: "undo       release_credit" in detail_text(app), "the credit stage's detail")
        await pilot.press("G")
        await until(pilot, lambda: "undoes     stage:credit  cre" in detail_text(app), "the undo's detail")


def detail_text(app: SagatraceApp) -> str:
    panel = app.screen.query_one(SpanDetail)
    return "\n".join("".join(text for text, _ in panel.row(at, 60)) for at in range(panel.row_count))


async def test_a_growing_trace_keeps_cursor_and_folds_and_updates_its_detail() -> None:
    events = failed("T7")
    store = UnreliableStore(events[:12])
    app = opened(store, "T7")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "▶ transfer_funds" in screen_text(app) or "✘ transfer" in screen_text(app), "it")
        await pilot.press("g", "j", "space", "G", "k", "j")
        tree = app.screen.query_one(SpanTree)
        assert tree.highlighted == "fuj"
        await until(pilot, lambda: "span id    fuj" in detail_text(app), "the detail")
        store.append([*events[12:], event("T7", "fuj", "ai:note", 3.3, "fun")])
        await until(pilot, lambda: "release_credit" in screen_text(app), "the undo, without a key")
        assert tree.highlighted == "fuj"
        assert "▸ ✔ stage:credit +1" in screen_text(app)
        await until(pilot, lambda: "ai:note" in detail_text(app), "the new event in the detail")


async def test_a_cursor_at_the_end_follows_new_rows_until_it_is_moved() -> None:
    events = failed("T7")
    store = UnreliableStore(events[:10])
    app = opened(store, "T7")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "stage:funding" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("G")
        store.append(events[10:14])
        await until(pilot, lambda: "release_credit" in screen_text(app), "the undo")
        assert tree.highlighted == "und"
        await pilot.press("k")
        here = tree.highlighted
        store.append([event("T7", "new", "stage:last:started", 4.45, "wf")])
        await until(pilot, lambda: "stage:last" in screen_text(app), "the new row")
        assert tree.highlighted == here


async def test_f_pauses_the_screen_and_counts_new_events() -> None:
    events = failed("T7")
    store = UnreliableStore(events[:12])
    app = opened(store, "T7")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "polling every 1" in screen_text(app), "the state")
        await pilot.press("f")
        assert "paused" in screen_text(app)
        store.append(events[12:])
        await until(pilot, lambda: "paused (f resumes) · +4 events" in screen_text(app), "the count")
        assert "release_credit" not in screen_text(app)
        assert "▶ running" in screen_text(app)
        assert "+4 events · as of 10:01:15Z" in screen_text(app), "the ages of the trace are as old"
        await pilot.press("f")
        await until(pilot, lambda: "⚠ rollback incomplete" in screen_text(app), "the verdict")
        assert "release_credit" in screen_text(app)
        assert "paused" not in screen_text(app)


async def test_new_rows_are_marked_and_a_running_trace_says_what_it_waits_on() -> None:
    store = UnreliableStore(running("T1", 70))
    app = opened(store, "T1")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "waits on stage:credit: running for 4 s" in screen_text(app), "what it waits on")
        store.append([event("T1", "job", "job:enqueued", 71, "cre", data={"job_name": "reserve_credit"})])
        await until(pilot, lambda: "reserve_credit: queued for 4 s" in screen_text(app), "what it waits on now")
        [row] = [line for line in screen_text(app).splitlines() if "◌ reserve_credit" in line]
        assert row.startswith("+")


async def test_a_late_parent_gets_its_orphan_and_the_cursor_stays_on_it() -> None:
    store = UnreliableStore(orphaned("T9"))
    app = opened(store, "T9")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "⚠ orphan" in screen_text(app), "the anomaly")
        await pilot.press("G")
        store.append([event("T9", "gone", "stage:batch:started", 0.05, "wf")])
        await until(pilot, lambda: "stage:batch" in screen_text(app), "the parent")
        assert "⚠" not in screen_text(app)
        assert app.screen.query_one(SpanTree).highlighted == "kid"


async def test_tab_enter_and_escape_switch_panes() -> None:
    app = opened(UnreliableStore(failed("T7")), "T7")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "release_credit" in screen_text(app), "the tree")
        focused = []
        for key in ("tab", "tab", "enter", "escape"):
            await pilot.press(key)
            focused.append(type(app.screen.focused).__name__)
        assert focused == ["SpanDetail", "SpanTree", "SpanDetail", "SpanTree"]
        await pilot.press("escape")
        assert isinstance(app.screen, SearchScreen)


async def test_a_small_terminal_shows_one_pane_at_a_time_and_a_larger_one_both_again() -> None:
    app = opened(UnreliableStore(failed("T7")), "T7")
    async with app.run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: "stage:credit" in screen_text(app), "the tree")
        assert "status     ✘ failed" not in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: "status     ✘ failed" in screen_text(app), "the detail")
        assert "stage:credit" not in screen_text(app)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: "stage:credit" in screen_text(app), "both")
        assert "status     ✘ failed" in screen_text(app)
        await pilot.resize_terminal(40, 12)
        await pilot.press("escape")
        await until(pilot, lambda: "stage:credit" in screen_text(app), "the tree again")


async def test_an_unknown_trace_is_named_and_appears_when_it_is_stored() -> None:
    store = UnreliableStore()
    app = opened(store, "nowhere")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No trace nowhere" in screen_text(app), "the notice")
        await pilot.press("j", "enter", "space", "tab", "tab")
        store.append(succeeded("nowhere"))
        await until(pilot, lambda: "✔ stage:validate" in screen_text(app), "the trace")
        assert "No trace" not in screen_text(app)


async def test_a_failing_store_is_reported_above_the_spans_read_before() -> None:
    store = UnreliableStore(running("T1", 70))
    app = opened(store, "T1")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "▶ stage:credit" in screen_text(app), "the tree")
        store.cut_off = True
        await pilot.press("r")
        await until(pilot, lambda: "connection refused" in screen_text(app), "the fault")
        assert "▶ stage:credit" in screen_text(app)
        store.cut_off = False
        await until(pilot, lambda: "connection refused" not in screen_text(app), "polling to go on by itself")


async def test_leaving_a_trace_ends_its_thread() -> None:
    app = opened(UnreliableStore(failed("T7")), "T7")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "release_credit" in screen_text(app), "the tree")
        screen = app.screen
        assert isinstance(screen, TraceScreen)
        await pilot.press("q")
        await until(pilot, lambda: not screen.poller.thread.is_alive(), "the thread's end")


class InParts(UnreliableStore):
    """A store that returns a part of each trace immediately, and the rest when released."""

    parts = 0

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:
        """Return the first part, then the rest."""
        if arrived is not None:
            arrived(12_000)
        found = super().fetch_since(trace_id, cursor)
        if arrived is not None:
            arrived(13_000)
        self.parts += 1
        return found


async def test_a_long_reading_shows_its_progress_and_escape_cancels_it() -> None:
    store = InParts([*failed("T7"), *succeeded("T1", 1)])
    store.free.release(2)
    store.slow = True
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "2 traces" in screen_text(app) and "reading" not in screen_text(app), "the list")
        await pilot.press("enter")
        await until(pilot, lambda: "12,000 events so far" in screen_text(app), "what it does")
        assert "s · Esc cancels" in screen_text(app)
        thread = cast("TraceScreen", app.screen).poller.thread
        await pilot.press("escape")
        assert isinstance(app.screen, SearchScreen)
        before = store.parts
        store.free.release(100)
        await until(pilot, lambda: not thread.is_alive(), "the end of the reading")
        assert store.parts == before


async def test_only_the_screen_on_top_listens() -> None:
    """This also holds if another screen came on top before the first reading."""
    before = set(threading.enumerate())

    def listeners() -> int:
        return sum(thread.name == "sagatrace-subscriber" for thread in set(threading.enumerate()) - before)

    store = UnreliableStore(failed("T7"))
    store.slow = True
    app = SagatraceApp(store, trace_id="T7", clock=still, mirror=Mirror("redis://127.0.0.1:1", store.label))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = app.screen
        assert isinstance(screen, TraceScreen)
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen is not screen, "the help on top")
        store.slow = False
        store.free.release(10)
        await until(pilot, lambda: screen.query_one(SpanTree).row_count > 0, "the first reading")
        await pilot.pause()
        assert listeners() == 0
        await pilot.press("escape")
        await until(pilot, lambda: listeners() == 1, "the ear")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, SearchScreen) and listeners() == 1, "the list's ear")
    for thread in set(threading.enumerate()) - before:  # the app has ended, so no pilot can wait
        if thread.name == "sagatrace-subscriber":
            thread.join(120)
    assert listeners() == 0


async def test_a_paused_list_beneath_a_trace_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    original = SearchScreen.report_state

    def noting(self: SearchScreen) -> None:
        notes.append("list")
        original(self)

    store = UnreliableStore([*failed("T7"), *succeeded("T8")])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "✔ succeeded" in screen_text(app), "the list, read whole")
        await until(pilot, lambda: "reading" not in screen_text(app), "the list, read whole")
        await pilot.press("f")
        store.append(succeeded("T9"))
        await until(pilot, lambda: " change" in screen_text(app), "a reading that is not shown")
        await pilot.press("enter")
        await until(pilot, lambda: "Enter Detail" in screen_text(app), "the trace")
        await pilot.pause()
        monkeypatch.setattr(SearchScreen, "report_state", noting)
        for name in ("one", "two", "three"):
            store.append([event("T8", name, f"{name}:started", 9)])
            store.append([event("T7", name, f"{name}:started", 9)])
            await until(pilot, lambda name=name: name in screen_text(app), name)  # type: ignore[misc]
        assert not notes


@pytest.mark.parametrize("size", [(120, 40), (80, 18)])
async def test_a_pause_stays_visible_beside_notes_and_r_shows_a_note(size: tuple[int, int]) -> None:
    app = opened(UnreliableStore(failed("T7")), "T7")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("r")
        await until(pilot, lambda: "» Refreshed: up to date" in screen_text(app), "what r did")
        await pilot.press("f")
        await until(pilot, lambda: "paused · » Refreshed" in screen_text(app), "the pause beside it")
        await pilot.press("y")
        await until(pilot, lambda: "paused · » Copied" in screen_text(app), "the pause beside the copy")
        await pilot.press("f")
        await until(pilot, lambda: "paused" not in screen_text(app), "no pause")


async def test_the_first_line_of_the_tree_counts_the_rows_above() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(80, 9)) as pilot:
        await until(pilot, lambda: app.screen.query_one(SpanTree).row_count == 7, "the tree")
        await pilot.press("g")
        await until(pilot, lambda: "7 spans" in screen_text(app) and "7 spans ↑" not in screen_text(app), "the top")
        await pilot.press("G")
        await until(
            pilot, lambda: f"7 spans ↑{app.screen.query_one(SpanTree).scroll_offset.y}" in screen_text(app), "how far"
        )
