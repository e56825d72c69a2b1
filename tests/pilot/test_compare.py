"""The comparison screen: opened from a trace and from the list, and its messages if it cannot compare."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from sagas import (
    UnreliableStore,
    approved,
    event,
    failed,
    orphaned,
    running,
    screen_text,
    still,
    succeeded,
    trace_of,
    until,
)
from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent
from sagatrace.stores import Search, TraceHits
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.incident.comparison import compare
from sagatrace_tui.screens.compare import CompareScreen
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets.comparison_rows import ComparisonRows, comparison_lines
from sagatrace_tui.widgets.rows import fitted
from sagatrace_tui.widgets.span_tree import SpanTree
from sagatrace_tui.widgets.trace_list import TraceList

FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def app_of(events: Iterable[TraceEvent], trace_id: str | None = None) -> SagatraceApp:
    return SagatraceApp(UnreliableStore(events), trace_id=trace_id, clock=still)


async def compared(pilot: Any, shown: str = "in both") -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and shown in screen_text(pilot.app), shown)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_a_failed_trace_beside_its_last_good_run(size: tuple[int, int]) -> None:
    app = app_of([*approved("L1", -60), *failed("L2", 30)], "L2")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot)
        lines = screen_text(app).splitlines()
        assert lines[1].startswith(" this trace   ⚠ rollback incomplete  L2  4.50s · 7 spans")
        assert lines[2].startswith(" good run     ✔ succeeded            L1  4.00s · 7 spans")
        assert lines[3].split() == ["DIFFERS", "STEP", "GOOD", "RUN", "THIS", "TRACE"]
        assert [line.rstrip() for line in lines[4:7]] == [
            " Undo failed here: stage:credit",
            " Would have run next: stage:payout",
            "",
        ]
        assert [line.split()[1] for line in lines[7:10]] == ["outcome", "missing", "attempts"]
        assert "transfer_funds" in lines[7]
        assert "3 differences" in screen_text(app)


@pytest.mark.parametrize("width", [12, 30, 40, 60])
async def test_a_narrow_header_has_whole_figures_or_none(width: int) -> None:
    app = app_of([*approved("loan-of-a-very-long-name-a", -60), *failed("loan-of-a-very-long-name-b", 30)])
    async with app.run_test(size=(width, 20)) as pilot:
        await until(pilot, lambda: app.screen.query_one(TraceList).row_count == 2, "the list")
        await pilot.press("d")
        await compared(pilot, "DIFFERS")
        await until(pilot, lambda: app.screen.query_one(ComparisonRows).row_count > 0, "the comparison")
        lines = screen_text(app).splitlines()
        assert ("this trace" in lines[1], "good run" in lines[2]) == (width >= 40, width >= 40)
        assert "✔ succee" in lines[2]
        assert ("4.50s" in lines[1], "4.00s" in lines[2]) == (width >= 60, width >= 60)
        assert not re.search(r"\d\.?\d*…(?!\d)", lines[1] + lines[2])


async def test_enter_goes_to_the_step_in_the_trace_and_escape_only_back() -> None:
    app = app_of([*approved("L1", -60), *failed("L2", 30)], "L2")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        await pilot.press("g", "d")
        await compared(pilot)
        await pilot.press("escape")
        assert isinstance(app.screen, TraceScreen)
        assert app.screen.query_one(SpanTree).highlighted == "wf"
        await pilot.press("d")
        await compared(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen), "the trace again")
        assert app.screen.query_one(SpanTree).highlighted == "fuj"


async def test_a_missing_step_leads_to_the_step_above_it() -> None:
    app = app_of([*approved("L1", -60), *failed("L2", 30)], "L2")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen), "the trace again")
        assert app.screen.query_one(SpanTree).highlighted == "wf"


async def test_from_the_list_enter_opens_the_trace_at_the_step() -> None:
    app = app_of([*approved("L1", -60), *failed("L2", 30)])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        assert app.screen.query_one(TraceList).rows[0].trace_id == "L2"
        await pilot.press("d")
        await compared(pilot)
        await pilot.press("q")
        assert isinstance(app.screen, SearchScreen)
        await pilot.press("d")
        await compared(pilot)
        await pilot.press("G", "enter")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen) and "CAUSE" in screen_text(app), "the trace")
        assert app.screen.query_one(SpanTree).highlighted == "crj"
        await pilot.press("q")
        assert isinstance(app.screen, SearchScreen)


async def test_the_screen_says_that_no_good_run_is_found() -> None:
    app = app_of(failed("L2"), "L2")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot, "No good run found")
        assert "No succeeded run of workflow:loan-approval in this store." in screen_text(app)
        assert "nothing to compare with" in screen_text(app)
        await pilot.press("escape")
        assert isinstance(app.screen, TraceScreen)


async def test_two_runs_that_are_alike() -> None:
    app = app_of([*succeeded("L1", 0), *succeeded("L2", 30)], "L2")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "3 spans" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot, "No difference: 3 steps in both traces")
        await pilot.press("enter", "j", "k")
        assert isinstance(app.screen, CompareScreen)


@pytest.mark.parametrize("opened", ["L2", None], ids=["from the trace", "from the list"])
async def test_the_last_of_the_five_keys_copies_the_summary_of_this_trace(opened: str | None) -> None:
    app = app_of([*approved("L1", -60), *failed("L2", 30)], opened)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot)
        await pilot.press("Y")
        assert "Copied the summary" in screen_text(app)
        assert app.clipboard.startswith("**rollback incomplete** — `L2`")


async def test_the_age_of_both_traces_grows_while_the_comparison_is_open() -> None:
    now = [still()]
    app = SagatraceApp(UnreliableStore([*approved("L1", -60), *failed("L2", 30)]), trace_id="L2", clock=lambda: now[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot)
        assert "started 7h ago" not in screen_text(app)
        now[0] += 7 * 3_600_000_000
        await until(pilot, lambda: screen_text(app).count("started 7h ago") == 2, "the new age")


async def test_the_time_of_a_running_trace_grows_in_a_comparison_as_in_the_list() -> None:
    now = [still()]
    events = [*approved("L1", -60), *running("L2", 0)]
    app = SagatraceApp(UnreliableStore(events), trace_id="L2", clock=lambda: now[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "running for" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot)
        now[0] = events[-2].micros + 300_000_000
        await until(pilot, lambda: "L2  5m00s · 2 spans" in screen_text(app), "the new time")


class HeldStore(UnreliableStore):
    """A store whose searches in threads of a comparison wait until the test releases them."""

    def __init__(self, events: Iterable[TraceEvent]) -> None:
        super().__init__(events)
        self.go = threading.Event()
        self.asked = threading.Event()

    def search(self, search: Search) -> TraceHits:
        if threading.current_thread().name == "sagatrace-comparison":
            self.asked.set()
            if not self.go.wait(timeout=300):
                raise StoreError("the test never let this search go")
        return super().search(search)


async def test_keys_work_while_a_slow_store_is_read_and_escape_cancels() -> None:
    store = HeldStore([*approved("L1", -60), *failed("L2", 30)])
    app = SagatraceApp(store, trace_id="L2", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        await pilot.press("d")
        await compared(pilot, "… looking for the last good run of workflow:loan-approval, ")
        assert store.asked.is_set()
        assert "s · Esc cancels" in screen_text(app)
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        assert screen._reading is not None
        thread = screen._reading.thread
        await pilot.press("escape")
        assert isinstance(app.screen, TraceScreen)
        fetches = len(store.fetches)
        store.go.set()
        await until(pilot, lambda: not thread.is_alive(), "the end of the reading")
        assert store.fetches.count("L1") == 0, f"nothing more is read: {store.fetches[fetches:]}"


async def test_a_failing_store_is_reported_and_r_retries() -> None:
    app = app_of([*approved("L1", -60), *failed("L2", 30)], "L2")
    store = app._store
    assert isinstance(store, UnreliableStore)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        store.cut_off = True
        await pilot.press("d")
        await compared(pilot, "The store could not be read")
        assert "connection refused" in screen_text(app)
        store.cut_off = False
        await pilot.press("r")
        await compared(pilot, "3 differences")
        assert "could not be read" not in screen_text(app)


@pytest.mark.parametrize("size", [(120, 40), (40, 12), (12, 6)])
async def test_values_of_jobs_are_inert(size: tuple[int, int]) -> None:
    nasty = "\x1b[31m\u202etxt.exe\u2066\u200b[bold red]x[/]"
    bad = [
        event(f"B{nasty}", "wf", f"workflow:{nasty}:started", 40, id="b0"),
        event(f"B{nasty}", "s", f"{nasty}:failed", 41, "wf", data={"error": nasty, "error_type": nasty}, id="b1"),
        event(f"B{nasty}", "wf", f"workflow:{nasty}:failed", 42, id="b2"),
    ]
    good = [
        event(f"G{nasty}", "wf", f"workflow:{nasty}:started", 0, id="g0"),
        event(f"G{nasty}", "t", f"{nasty}!:completed", 1, "wf", id="g1"),
        event(f"G{nasty}", "wf", f"workflow:{nasty}:completed", 2, id="g2"),
    ]
    app = app_of([*good, *bad], f"B{nasty}")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.screen.query_one(SpanTree).row_count == 2, "the trace")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen), "the screen")
        await until(pilot, lambda: app.screen.query_one(ComparisonRows).row_count == 4, "the comparison")
        text = screen_text(app)
        assert not FORBIDDEN.search(text.replace("\n", ""))
        if size == (120, 40):
            assert "⟨U+202E⟩txt.exe" in text


def test_a_row_has_the_requested_width() -> None:
    comparison = compare(trace_of(failed("L2")), trace_of(orphaned("O")))
    for width in (1, 5, 12, 40, 79, 200):
        for line in comparison_lines(comparison):
            assert sum(len(text) for text, _ in fitted(line.fitted(width), width)) == width
