"""The compensation view: prominent standing steps, compensations in order, marked faults, and jumps by Enter."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from sagas import NOW, UnreliableStore, event, failed, screen_text, still, succeeded, trace_of, until
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.model import IDLE, Compensation
from sagatrace_tui.widgets import ledger_lines as module
from sagatrace_tui.widgets.ledger import Ledger
from sagatrace_tui.widgets.ledger_lines import ledger_lines
from sagatrace_tui.widgets.rows import fitted
from sagatrace_tui.widgets.span_tree import SpanTree


def lines_of(events: list[TraceEvent], width: int = 90, now: int = NOW) -> list[str]:
    return [
        "".join(text for text, _ in fitted(line.fitted(width), width)).rstrip()
        for line in ledger_lines(trace_of(events, now), width)
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


def test_a_running_step_whose_undo_timed_out_says_that_both_effects_are_unknown() -> None:
    begun = event("t", "one", "stage:one:started", 1, "wf", data={"compensation": "undo_one"})
    tried = {"original_span_id": "one", "error_type": "TimeoutError", "error": "no answer"}
    undone = [
        event("t", "u", "undo_one:compensating", 5, "wf", data=tried),
        event("t", "u", "undo_one:compensation_failed", 6, "wf", data=tried),
    ]
    events = [one for one in aborted() if one.span_id not in ("one", "two", "three")]
    lines = lines_of([*events, begun, *undone], now=NOW + 2 * IDLE)
    assert [line.strip() for line in lines[2:5]] == [
        "compensation failed after 1 attempt; its effect is unknown",
        "error of the undo: TimeoutError: no answer",
        "the outcome of the step is unknown: it may have taken effect",
    ]


def test_undone_in_order_says_that_nothing_stands() -> None:
    assert lines_of(aborted(undo("three", 5), undo("two", 6), undo("one", 7))) == [
        "Nothing is still standing: every step that declares an undo was undone",
        "",
        "Compensation order  3",
        "     reason: funding failed",
        "1.  ✔ undone  stage:three  ← undo_three  +5.00s for 250ms · worker-3",
        "2.  ✔ undone  stage:two    ← undo_two    +6.00s for 250ms · worker-3",
        "3.  ✔ undone  stage:one    ← undo_one    +7.00s for 250ms · worker-3",
        "",
    ]


def test_standing_steps_come_first_with_their_reasons() -> None:
    lines = lines_of(aborted(undo("three", 5)))
    assert lines[0] == "⚠ STILL STANDING  2"
    assert [line.split(maxsplit=4)[1:] for line in lines[1:3]] == [
        ["stage:one", "←", "undo_one", "rollback stopped before this step"],
        ["stage:two", "←", "undo_two", "rollback stopped before this step"],
    ]
    order = lines[lines.index("Compensation order  1") :]
    assert len(order) == 4
    assert "stage:one" not in "".join(order), "a step that was never undone has no place in the order"


def test_a_standing_step_shows_the_values_that_an_undo_by_hand_needs() -> None:
    values = {"loan_id": "L104", "amount": 8750, "host": "web-1"}
    events = [*aborted(undo("three", 5)), event("t", "one", "stage:one:booked", 1.2, "wf", data=values)]
    assert lines_of(events)[2] == "     loan_id=L104 · amount=8750"


def test_faults_of_order_are_marked_in_place_and_explained() -> None:
    lines = lines_of(aborted(undo("one", 5), undo("three", 6), undo("two", 7)))
    assert [line[:3].strip() for line in lines if "← undo" in line] == ["1↕", "2↕", "3↕"]
    assert "⚠ Anomalies  1" in lines
    assert lines[-2].strip().startswith("out of order undo: stage:one was undone before stage:two")


def test_a_trace_without_compensation_says_so() -> None:
    assert lines_of(succeeded("t")) == ["No step of this trace declared a compensation, and nothing was undone."]


def test_a_running_trace_does_not_say_how_it_will_end() -> None:
    begun = event("t", "wf", "workflow:loan:started", 0.0)
    assert lines_of([begun], now=NOW) == ["So far no step declared a compensation, and nothing was undone."]
    assert lines_of([begun, *step("one", 1)], now=NOW) == [
        "Nothing was undone so far: 1 step declares a compensation, and no step has to be undone."
    ]
    waits = event("t", "u", "job:deferred", 2, "wf", data={"original_span_id": "one"})
    assert lines_of([begun, step("one", 1)[0], waits], now=NOW)[0] == "Compensations that have not begun"


def test_completed_steps_without_a_declared_undo_are_named() -> None:
    events = aborted(undo("three", 5), undo("two", 6), undo("one", 7))
    given = [event("t", "mail", "stage:mail:started", 3.6, "wf"), event("t", "mail", "stage:mail:completed", 3.8, "wf")]
    assert lines_of([*events, *given])[-4:] == ["", "Completed, no undo declared  1", "✔ stage:mail", ""]
    assert "no undo declared" not in "".join(lines_of(events))
    lost = event("t", "lost", "stage:lost:failed", 3.9, "wf", data={"error_type": "TimeoutError"})
    assert lines_of([*events, lost])[-3:] == ["Outcome unknown, no undo declared  1", "? stage:lost", ""]
    many = [event("t", f"m{n}", "stage:m:completed", 3.6, "wf") for n in range(25)]
    assert lines_of([*events, *many])[-23:] == [
        "Completed, no undo declared  25", *["✔ stage:m"] * 20, "  and 5 more", ""
    ]  # fmt: skip


def test_steps_that_declared_a_compensation_and_need_none_are_counted() -> None:
    saga = [event("t", "wf", "workflow:loan:started", 0.0), event("t", "wf", "workflow:loan:completed", 9)]
    one, two = step("one", 1), step("two", 2)
    assert lines_of([*saga, *one]) == [
        "Nothing was undone: 1 step declares a compensation, and no step has to be undone."
    ]
    expected = "Nothing was undone: 2 steps declare a compensation, and no step has to be undone."
    assert lines_of([*saga, *one, *two]) == [expected]
    narrow = lines_of([*saga, *one, *two], 60)
    assert " ".join(line.strip() for line in narrow) == expected, "no word is cut"


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


async def test_a_small_terminal_shows_the_steps_that_were_undone_and_says_how_much_is_below() -> None:
    many = [event("T7", f"m{n}", "stage:m:completed", 2.9, "wf") for n in range(9)]
    app = SagatraceApp(UnreliableStore([*failed("T7"), *many]), trace_id="T7", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("c")
        await until(pilot, lambda: "─↓ 6 more lines─" in screen_text(app), "the count of the lines below")
        assert "✘ undo failed  stage:credit  ← release_credit  +3.60s for 800ms" in screen_text(app)
        await pilot.press("G")
        await until(pilot, lambda: "more line" not in screen_text(app), "the end")


def test_a_step_being_undone_is_muted_and_later_ones_wait() -> None:
    lines = lines_of([*aborted()[:-1], *undo("three", 5)[:1]])
    assert lines[:7] == [
        "▶ Being undone  1",
        "▶ stage:three  ← undo_three  compensation still running",
        "",
        "↺ Waits to be undone  2",
        "↺ stage:one    ← undo_one",
        "↺ stage:two    ← undo_two",
        "",
    ]


@pytest.mark.parametrize(("undone", "tone"), [([], "warn"), ([*undo("two", 5), *undo("one", 6)[:1]], "cause")])
def test_before_any_undo_began_a_running_saga_has_no_alarm(undone: list[TraceEvent], tone: str) -> None:
    [heading, *_] = ledger_lines(trace_of([*aborted()[:-1], *undone]))
    [(text, has)] = heading.tail
    assert text.startswith("⚠ STILL STANDING")
    assert has == tone


def test_a_step_that_the_rollback_passed_is_loud_although_it_goes_on() -> None:
    lines = lines_of([*aborted()[:-1], *undo("two", 5), *undo("one", 6)[:1]])
    assert lines[:2] == [
        "⚠ STILL STANDING  1 so far",
        "■ stage:three  ← undo_three  compensation not started so far",
    ]


def test_the_error_of_an_undo_and_what_took_effect_are_whole_at_every_width() -> None:
    long = "no route to the bank: " + "the gateway answered with status 503, " * 5 + "and gave up"
    bad = event("t", "uthree", "undo_three:compensation_failed", 5.5, "wf", data={"error": long, "error_type": "Down"})
    for width in (40, 79, 160):
        lines = [line.strip() for line in lines_of(aborted([*undo("three", 5)[:1], bad]), width)]
        assert f"error of the undo: Down: {long}" in " ".join(lines)
        assert " ".join(lines).count("no route to the bank") == 1, "said once"
        assert not [line for line in lines if line.endswith("…") and "gateway" in line]


@pytest.mark.parametrize("width", [40, 52, 60, 66, 79])
def test_the_reason_that_a_step_stands_is_whole_at_every_width(width: int) -> None:
    steps = [line for line in lines_of(aborted(undo("three", 5)), width)[1:] if "Compensation order" not in line]
    text = " ".join(line.strip() for line in steps)
    assert text.count("rollback stopped before this step") == 2


def test_every_undo_is_read_a_few_times_however_many_steps_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each standing step once read every undo, which took half a second for 4 000 steps and 10 s for 20 000."""
    reads = Counter[str]()
    failure_of = module._failure_of

    def counted(row: Compensation) -> str:
        reads[row.original_span_id] += 1
        return failure_of(row)

    monkeypatch.setattr(module, "_failure_of", counted)
    steps = [f"s{number}" for number in range(100)]
    events = [event("t", "wf", "workflow:loan:started", 0.0), *chain(*(step(name, 1) for name in steps))]
    for name in steps:
        data = {"original_span_id": name, "error": f"no way to undo {name}"}
        events.append(event("t", f"u{name}", f"undo_{name}:compensation_failed", 5, "wf", data=data))
    lines = lines_of([*events, event("t", "wf", "workflow:loan:failed", 9)])
    assert lines[0] == "⚠ STILL STANDING  100"
    assert sum("error of the undo: no way to undo s" in line for line in lines) == 100
    assert max(reads.values()) <= 2  # for the steps and for the undos


async def test_it_opens_at_its_top_and_the_cursor_rests_on_no_heading() -> None:
    store = UnreliableStore(aborted(undo("three", 5)))
    app = SagatraceApp(store, trace_id="t", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "stage:one" in screen_text(app), "the tree")
        await pilot.press("c")
        await until(pilot, lambda: "STILL STANDING  2" in screen_text(app), "the heading")
        ledger = app.screen.query_one(Ledger)
        for key in ("j", "j", "j", "G", "pagedown", "pageup", "g", "k", "ctrl+d", "ctrl+u"):
            await pilot.press(key)
            assert ledger.highlighted is not None, key
        assert "STILL STANDING  2" in screen_text(app)


async def test_the_detail_beside_a_growing_ledger_is_of_now() -> None:
    begun, *rest = aborted(undo("three", 5))
    store = UnreliableStore([begun])
    app = SagatraceApp(store, trace_id="t", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "status     ▶ running" in screen_text(app), "the tree, and the detail")
        await pilot.press("c")
        await until(pilot, lambda: "So far no step declared" in screen_text(app), "the ledger")
        store.append(rest)
        await until(pilot, lambda: "STILL STANDING  2" in screen_text(app), "its end")
        ledger = app.screen.query_one(Ledger)
        assert ledger.highlighted is not None
        await until(pilot, lambda: "undone     no, still standing" in screen_text(app), "the detail of now")


async def test_a_step_whose_undo_runs_is_said_to_be_undone_in_the_tree_and_in_its_detail() -> None:
    events = [*aborted()[:-1], *undo("three", 70)[:1]]
    app = SagatraceApp(UnreliableStore(events), trace_id="t", clock=still)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "stage:three  ↺ being undone" in screen_text(app), "the tree")
        assert "stage:two  ↺ waits to be undone" in screen_text(app)
        app.screen.query_one(SpanTree).go_to("three")
        await until(pilot, lambda: "undone     not yet: compensation still" in screen_text(app), "the detail")


def test_the_undo_keeps_its_own_name_where_its_module_does_not_fit() -> None:
    data = {"compensation": "shop.loans.undo.return_funds"}
    events = [
        event("t", "wf", "workflow:loan:started", 0.0),
        event("t", "one", "stage:one:started", 1.0, "wf", data=data),
        event("t", "one", "stage:one:completed", 2.0, "wf"),
        event("t", "wf", "workflow:loan:failed", 9, data={"error": "aborted"}),
    ]
    (line,) = [line for line in ledger_lines(trace_of(events), 64) if line.span_id == "one"]
    assert "".join(text for text, _ in line.fitted(64)).split()[2:4] == ["←", "…undo.return_funds"]


def test_long_names_are_cut_in_the_middle_after_the_less_important_facts() -> None:
    event_of = {"data": {"compensation": "release_the_reservation_of_the_credit"}}
    events = [one for one in aborted(undo("one", 5)) if one.span_id != "one"]
    events += [event("t", "one", "stage:reserve_the_credit_of_the_customer:started", 1.0, "wf", **event_of)]
    events += [event("t", "one", "stage:reserve_the_credit_of_the_customer:completed", 1.5, "wf")]
    line = next(line for line in lines_of(events, 79) if line.startswith("1."))
    assert line.split(maxsplit=3)[3] == "stage:reserve_th…_of_the_customer  ← undo_one    +5.00s for 250ms"
