"""What changes by itself (new events, another window, a search that ends) leaves cursor, text and focus alone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widget import Widget
from textual.widgets import Input

from sagas import UnreliableStore, approved, event, failed, running, screen_text, still, until
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.query_history import QueryHistory
from sagatrace_tui.screens import finding
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.comparison_rows import ComparisonRows
from sagatrace_tui.widgets.find_line import FindLine
from sagatrace_tui.widgets.group_list import GroupList
from sagatrace_tui.widgets.query_line import QueryLine
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree
from sagatrace_tui.widgets.standing_list import StandingList
from sagatrace_tui.widgets.trace_list import TraceList


def kaput(trace_id: str, at: float) -> list[TraceEvent]:
    return [
        event(trace_id, "wf", "workflow:other:started", at),
        event(trace_id, "wf", "workflow:other:failed", at + 1, status="failed", data={"error": "kaput"}),
    ]


def found(app: SagatraceApp) -> str:
    return app.screen.query_one(FindLine).found


def line(app: SagatraceApp) -> str:
    shown = app.screen.query_one(SpanDetail).line
    return "".join(text for text, _ in shown.parts).strip() if shown is not None else ""


async def test_a_cursor_at_the_end_follows_new_rows_below_another_window_too() -> None:
    store = UnreliableStore(running("R"))
    app = SagatraceApp(store, trace_id="R", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "credit" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("G")
        app.post_message(events.AppBlur())
        await until(pilot, lambda: not tree.has_focus, "the other window")
        for number in range(2):
            store.append([event("R", f"new{number}", f"stage:new{number}:started", 2.0 + number, "wf")])
            await until(pilot, lambda: f"new{number}" in screen_text(app), "the new span")  # noqa: B023
            assert tree.highlighted == f"new{number}"


async def test_a_search_that_ends_after_esc_marks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    find, may_end, ended = finding.find, threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> frozenset[str]:
        result = find(*arguments, **options)
        may_end.wait(60)
        ended.set()
        return result

    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        monkeypatch.setattr(finding, "find", slow)
        tree = app.screen.query_one(SpanTree)
        await pilot.press("slash", "u", "n", "escape")
        may_end.set()
        await until(pilot, ended.is_set, "the end of the search")
        await until(pilot, lambda: all(one.is_finished for one in app.workers), "its thread")
        await pilot.pause()
        assert not tree.matches
        assert tree.highlighted == "fuj"


async def test_a_text_is_found_in_spans_that_come_later() -> None:
    store = UnreliableStore(running("R"))
    app = SagatraceApp(store, trace_id="R", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "credit" in screen_text(app), "the tree")
        await pilot.press("slash", *"funding")
        await until(pilot, lambda: found(app) == "not found", "the empty search")
        store.append([event("R", "fun", "stage:funding:started", 2.0, "wf")])
        await until(pilot, lambda: found(app).startswith("1 span"), "the span that came later")
        assert app.screen.query_one(SpanTree).highlighted == "wf"


async def test_a_text_typed_before_the_trace_is_read_is_found() -> None:
    store = UnreliableStore(failed("T7"))
    store.slow = True
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, TraceScreen) and app.focused is not None, "the screen")
        await pilot.press("slash", *"reserve")
        store.slow = False
        store.free.release(9)
        await until(pilot, lambda: found(app).startswith("1 of 1"), "what was found")
        assert app.screen.query_one(SpanTree).highlighted == "crj"


async def test_a_text_sought_in_a_replay_is_sought_again_after_it() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("left_square_bracket", "home")
        await until(pilot, lambda: "CAUSE" not in screen_text(app), "the first event")
        await pilot.press("slash", *"transfer")
        await until(pilot, lambda: found(app) == "not found", "the empty search")
        await pilot.press("enter", "escape")
        await until(pilot, lambda: found(app).startswith("1 span"), "the span of the whole trace")


async def test_enter_in_a_comparison_ends_a_replay_before_the_chosen_span() -> None:
    app = SagatraceApp(UnreliableStore([*failed("T7", 9), *approved("G")]), trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("left_square_bracket", "home")
        await until(pilot, lambda: "CAUSE" not in screen_text(app), "the first event")
        await pilot.press("d")
        await until(pilot, lambda: "steps in both" in screen_text(app), "the comparison")
        await pilot.press("enter")
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the whole trace")
        assert app.screen.query_one(SpanTree).highlighted == "fuj"
        assert "This trace has no event of that span" not in screen_text(app)


async def test_the_cursor_of_the_detail_stays_on_its_value_when_the_span_ends_and_when_lines_wrap() -> None:
    data = {"loan_id": "L7", "amount": 5}
    store = UnreliableStore([event("R", "wf", "workflow:w:started", 0.0, data=data)])
    app = SagatraceApp(store, trace_id="R", clock=still)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: "loan_id" in screen_text(app), "the detail")
        await pilot.press("tab", *"jjjjjjj")
        assert line(app) == "loan_id: L7"
        error = {"error": "out of memory " * 9, "error_type": "MemoryError"}
        store.append([event("R", "wf", "workflow:w:failed", 5.0, status="failed", data=error)])
        await until(pilot, lambda: "MemoryError" in screen_text(app), "the end of the span")
        assert line(app) == "loan_id: L7"
        await pilot.resize_terminal(50, 40)
        await until(pilot, lambda: app.screen.size.width == 50, "the new size")
        await pilot.pause()
        assert line(app) == "loan_id: L7"


async def test_a_kind_of_failure_without_traces_does_not_look_like_an_empty_store() -> None:
    store = UnreliableStore([*running("Q"), *failed("T7")])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "rollback" in screen_text(app), "the list")
        await pilot.press("2")
        await until(pilot, lambda: "balance" in screen_text(app), "the kinds")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, TraceList), "the traces of the kind")
        early = [event("T7", "one", "stage:one:started", 0.0, "wf")]
        early += [event("T7", "one", "stage:one:failed", 0.05, "wf", status="failed", data={"error": "aborted"})]
        store.append(early)
        await until(pilot, lambda: "No trace has this failure any more" in screen_text(app), "the notice")
        assert "No traces yet" not in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "stage:one" in screen_text(app), "the kinds again")


async def test_the_way_back_from_the_first_kind_of_failure_goes_to_that_kind() -> None:
    store = UnreliableStore([*failed("T7"), *kaput("K0", 0.0)])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "rollback" in screen_text(app), "the list")
        await pilot.press("2")
        kinds = app.screen.query_one(GroupList)
        await until(pilot, lambda: len(kinds.groups) == 2, "the kinds")
        assert kinds.highlighted is not None
        came_from = kinds.highlighted.key
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, TraceList), "the traces of the kind")
        store.append([one for number in (1, 2) for one in kaput(f"K{number}", 20.0 + number)])
        await until(pilot, lambda: "4 traces" in screen_text(app), "the new traces")
        await pilot.press("escape")
        await until(pilot, lambda: len(kinds.groups[0].rows) == 3, "the kinds again")
        assert kinds.highlighted.key == came_from


async def test_the_way_back_from_the_oldest_standing_step_goes_to_that_step() -> None:
    store = UnreliableStore(failed("T7", 20.0))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "rollback" in screen_text(app), "the list")
        await pilot.press("3")
        steps = app.screen.query_one(StandingList)
        await until(pilot, lambda: steps.row_count == 1, "the step")
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen), "the trace")
        store.append(failed("T6", 1.0))
        await pilot.press("q")
        await until(pilot, lambda: steps.row_count == 2, "an older step")
        assert steps.highlighted is not None
        assert steps.highlighted.trace_id == "T7"


async def test_down_brings_back_the_typed_query_after_another_window(tmp_path: Path) -> None:
    history = QueryHistory(tmp_path / "history")
    history.add("name:loan")
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still, history=history)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "rollback" in screen_text(app), "the list")
        assert isinstance(app.screen, SearchScreen)
        typed = app.screen.query_one(QueryLine).input
        await pilot.press("slash", *"type:j", "up")
        assert typed.value == "name:loan"
        app.post_message(events.AppBlur())
        await until(pilot, lambda: not typed.has_focus, "the other window")
        app.post_message(events.AppFocus())
        await until(pilot, lambda: typed.has_focus, "this window again")
        await pilot.press("down")
        assert typed.value == "type:j"


async def test_folds_of_the_why_view_stay_when_another_span_fails() -> None:
    store = UnreliableStore(failed("T7")[:-1])
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("w", "k", "left")
        tree = app.screen.query_one(SpanTree)
        assert (tree.highlighted, tree.row_count) == ("fun", 3)
        error = {"error": "also"}
        store.append([event("T7", "new", "stage:new:started", 5.0, "wf")])
        store.append([event("T7", "new", "stage:new:failed", 5.1, "wf", status="failed", data=error)])
        await until(pilot, lambda: "stage:new" in screen_text(app), "the new failure")
        assert (tree.highlighted, tree.row_count) == ("fun", 4)


async def test_a_comparison_that_is_read_again_keeps_the_cursor_on_its_step() -> None:
    store = UnreliableStore([*failed("T7", 9), *approved("G")])
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("d")
        await until(pilot, lambda: "3 differences" in screen_text(app), "the comparison")
        rows = app.screen.query_one(ComparisonRows)
        await pilot.press("j", "j")
        assert rows.highlighted is not None
        assert rows.highlighted.name == "reserve_credit"
        store.append([event("T7", "new", "stage:new:started", 9.0, "wf")])
        store.append([event("T7", "new", "stage:new:completed", 9.1, "wf", status="success")])
        await pilot.press("r")
        await until(pilot, lambda: "4 differences" in screen_text(app), "the newer comparison")
        assert rows.highlighted.name == "reserve_credit"


async def test_the_note_about_a_kind_of_failure_ends_with_its_list() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "rollback" in screen_text(app), "the list")
        await pilot.press("2")
        await until(pilot, lambda: "balance" in screen_text(app), "the kinds")
        await pilot.press("enter")
        state = app.screen.query_one(StateLine)
        await until(pilot, lambda: "Esc goes back to the failures" in state.said[0], "the traces of the kind")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.focused, GroupList), "the kinds again")
        assert not state.said[0]


async def test_a_span_that_comes_into_a_group_keeps_its_detail_while_the_reader_is_in_it() -> None:
    def items(numbers: range) -> list[TraceEvent]:
        phases = [(number, phase) for number in numbers for phase in ("started", "completed")]
        return [event("R", f"s{number}", f"stage:item:{phase}", 1.0 + number, "wf") for number, phase in phases]

    store = UnreliableStore([event("R", "wf", "workflow:w:started", 0.0), *items(range(2))])
    app = SagatraceApp(store, trace_id="R", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "item" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("j", "j", "tab")
        assert tree.highlighted == "s1"
        store.append(items(range(2, 14)))
        await until(pilot, lambda: "15 spans" in screen_text(app), "the new spans")
        assert tree.highlighted == "s1"
        assert "×14" in screen_text(app)


async def test_an_unfinished_query_survives_another_window_but_not_the_list() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        assert "Tab completes" not in screen_text(app)
        line = app.screen.query_one(QueryLine).input
        await pilot.press("slash", *"tag:")
        await until(pilot, lambda: line.has_focus and line.value == "tag:", "the typed query")
        app.post_message(events.AppBlur())
        app.post_message(events.AppFocus())
        await pilot.pause()
        assert line.value == "tag:"
        app.post_message(events.AppBlur())
        await until(pilot, lambda: not line.has_focus, "the other window")
        screen = app.screen
        assert isinstance(screen, SearchScreen)
        before = screen._listing
        await until(pilot, lambda: screen._drawn is not before, "a newer list")
        app.post_message(events.AppFocus())
        await until(pilot, lambda: line.has_focus, "this window again")
        await pilot.press("a")
        assert line.value == "tag:a"
        await pilot.click(TraceList, offset=(5, 1))
        await until(pilot, lambda: "Tab completes" not in screen_text(app), "the list")
        assert line.value == ""


@pytest.mark.parametrize(("key", "holder"), [("slash", Input), ("tab", SpanDetail)])
async def test_a_resize_below_another_window_leaves_the_focus_where_it_was(key: str, holder: type[Widget]) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.focused, holder), "the focus")
        app.post_message(events.AppBlur())
        await pilot.resize_terminal(80, 20)
        await until(pilot, lambda: app.screen.size.height == 20, "the new size")
        app.post_message(events.AppFocus())
        await pilot.pause()
        assert isinstance(app.focused, holder)
