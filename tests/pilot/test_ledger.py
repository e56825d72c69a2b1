"""The compensation view: prominent standing steps, compensations in order, marked faults, and jumps by Enter."""

from __future__ import annotations

from itertools import chain

from sagas import UnreliableStore, event, failed, screen_text, still, succeeded, trace_of, until
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.widgets.ledger import Ledger
from sagatrace_tui.widgets.ledger_lines import ledger_lines
from sagatrace_tui.widgets.rows import fitted
from sagatrace_tui.widgets.span_tree import SpanTree


def lines_of(events: list[TraceEvent], width: int = 90) -> list[str]:
    return [
        "".join(text for text, _ in fitted(line.fitted(width), width)).rstrip()
        for line in ledger_lines(trace_of(events))
    ]


def step(name: str, at: float) -> list[TraceEvent]:
    return [
        event("t", name, f"stage:{name}:started", at, "wf", data={"compensation": f"undo_{name}"}),
        event("t", name, f"stage:{name}:completed", at + 0.5, "wf"),
    ]


def undo(name: str, at: float) -> list[TraceEvent]:
    data = {"original_span_id": name, "reason": "funding failed", "worker": "worker-3"}
    return [
        event("t", f"u{name}", f"undo_{name}:compensating", at, "wf", data=data),
        event("t", f"u{name}", f"undo_{name}:compensated", at + 0.25, "wf"),
    ]


def aborted(*undone: list[TraceEvent]) -> list[TraceEvent]:
    steps = [*step("one", 1), *step("two", 2), *step("three", 3)]
    failure = event("t", "fun", "stage:funding:failed", 4, "wf", data={"error": "no money"})
    end = event("t", "wf", "workflow:loan:failed", 9, data={"error": "aborted"})
    return [event("t", "wf", "workflow:loan:started", 0.0), *steps, failure, *chain(*undone), end]


def test_undone_in_order_says_that_nothing_stands() -> None:
    assert lines_of(aborted(undo("three", 5), undo("two", 6), undo("one", 7))) == [
        "Nothing is still standing: every step was undone",
        "",
        "Compensation order  3",
        "1.  ✔ undone        stage:three                        ← undo_three",
        "     done +3.50s · undo at +5.00s for 250ms · on worker-3",
        "     funding failed",
        "2.  ✔ undone        stage:two                          ← undo_two",
        "     done +2.50s · undo at +6.00s for 250ms · on worker-3",
        "     funding failed",
        "3.  ✔ undone        stage:one                          ← undo_one",
        "     done +1.50s · undo at +7.00s for 250ms · on worker-3",
        "     funding failed",
        "",
    ]


def test_standing_steps_come_first_with_their_reasons() -> None:
    lines = lines_of(aborted(undo("three", 5)))
    assert lines[0] == "⚠ STILL STANDING  2"
    assert [line.split()[1:] for line in lines[1:3]] == [
        ["stage:one", "rollback", "stopped", "before", "this", "step"],
        ["stage:two", "rollback", "stopped", "before", "this", "step"],
    ]
    assert "–   ◌ not started   stage:two                          ← undo_two" in "\n".join(lines)


def test_faults_of_order_are_marked_in_place_and_explained() -> None:
    lines = lines_of(aborted(undo("one", 5), undo("three", 6), undo("two", 7)))
    assert [line[:3].strip() for line in lines if "← undo" in line] == ["1↕", "2↕", "3↕"]
    assert "⚠ Anomalies  1" in lines
    assert lines[-1].strip().startswith("out of order undo: stage:one was undone before stage:two")


def test_a_trace_without_compensation_says_so() -> None:
    assert lines_of(succeeded("t")) == ["No step of this trace declared a compensation, and nothing was undone."]


def test_steps_that_declared_a_compensation_and_need_none_are_counted() -> None:
    saga = [event("t", "wf", "workflow:loan:started", 0.0), event("t", "wf", "workflow:loan:completed", 9)]
    one, two = step("one", 1), step("two", 2)
    assert lines_of([*saga, *one]) == ["Nothing was undone, and nothing has to be: 1 step declares a compensation."]
    expected = "Nothing was undone, and nothing has to be: 2 steps declare a compensation."
    assert lines_of([*saga, *one, *two]) == [expected]


async def test_c_shows_it_enter_jumps_to_the_span_and_escape_comes_back() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("c")
        await until(pilot, lambda: "STILL STANDING  1" in screen_text(app), "the ledger")
        assert app.screen.query_one(Ledger).highlighted == "cre"
        await pilot.press("escape")
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree again")
        await pilot.press("c", "j")
        assert app.screen.query_one(Ledger).highlighted == "und"
        await pilot.press("enter")
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree once more")
        assert app.screen.query_one(SpanTree).highlighted == "und"


def test_a_step_whose_undo_runs_is_not_prominent_and_waiting_ones_are_marked_as_not_undone_so_far() -> None:
    lines = lines_of([*aborted()[:-1], *undo("three", 5)[:1]])
    assert lines[:7] == [
        "⚠ STILL STANDING  2 so far",
        "■ stage:one                               compensation not started so far",
        "■ stage:two                               compensation not started so far",
        "",
        "▶ Being undone  1",
        "▶ stage:three                             compensation still running",
        "",
    ]


async def test_a_step_whose_undo_runs_is_said_to_be_undone_in_the_tree_and_in_its_detail() -> None:
    events = [*aborted()[:-1], *undo("three", 70)[:1]]
    app = SagatraceApp(UnreliableStore(events), trace_id="t", clock=still)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "stage:three  ↺ being undone" in screen_text(app), "the tree")
        assert "stage:two  ⚠ still standing" in screen_text(app)
        app.screen.query_one(SpanTree).go_to("three")
        await until(pilot, lambda: "undone     not yet: compensation still" in screen_text(app), "the detail")
