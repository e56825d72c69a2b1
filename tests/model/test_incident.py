"""Answers about many traces: failures by kind, steps that still stand, and conditions on whole traces."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from notation import read
from saga_tables import ALL

from sagas import NOW, event, failed, running, succeeded, trace_of
from sagatrace.event import TraceEvent
from sagatrace_tui.incident.conditions import holds
from sagatrace_tui.incident.failure_groups import FailureGroup, began_at, failure_groups, histogram
from sagatrace_tui.incident.query import parse_query
from sagatrace_tui.incident.report import report
from sagatrace_tui.incident.standing_steps import standing_steps
from sagatrace_tui.incident.trace_row import TraceRow, reason_text, trace_row
from sagatrace_tui.model import Span

CAUSES = [
    ("stage:credit", "TimeoutError", "no answer from 10.0.0.{n}:{n} within {n}.5 s"),
    ("stage:credit", "LoanError", "loan L{n} of {n},{n:03} EUR is refused"),
    ("stage:funding", "LoanError", "loan L{n} of {n},{n:03} EUR is refused"),
    ("stage:funding", "InsufficientFunds", "balance {n} < 25{n:03} on 2025-12-{d:02} at 10:{d:02}:00"),
    ("stage:funding", "InsufficientFunds", "account {u} is frozen"),
    ("stage:funding", "AccountFrozen", "account {u} is frozen"),
    ("stage:notify", "SMTPError", "no mailbox user{n}@example.com"),
    ("stage:notify", "HTTPError", "HTTP 404: https://api.example.com/orders/{n}"),
    ("stage:notify", "HTTPError", "HTTP 503: https://api.example.com/orders/{n}"),
    ("stage:ship", "KeyError", "'weight'"),
    ("stage:ship", "KeyError", "'address'"),
    ("stage:ship", "Boom", 'boom\n  File "/app/{n}.py", line {n}, in ship\n    go({n})'),
]


def failing(trace_id: str, at: float, step: str, **data: Any) -> list[TraceEvent]:
    """Return a saga of one step that fails."""
    return [
        event(trace_id, "wf", "workflow:order:started", at, data={"workflow_id": "order", "order_id": f"O-{trace_id}"}),
        event(trace_id, "s", f"{step}:started", at + 0.1, "wf"),
        event(trace_id, "s", f"{step}:failed", at + 0.2, "wf", data=data),
        event(trace_id, "wf", "workflow:order:failed", at + 0.3, data={"error": "the order failed"}),
    ]


def row_of(events: list[TraceEvent], keys: tuple[str, ...] = ()) -> TraceRow:
    return trace_row(trace_of(events), max(one.micros for one in events), keys)


def groups_of(rows: list[TraceRow], *, by: bool = False) -> list[FailureGroup]:
    """Return the kinds of failure of the time that the rows span."""
    return failure_groups(rows, began_at(rows, 0), max(row.latest for row in rows), by=by)


def of_causes(count: int) -> list[TraceRow]:
    rnd, rows = random.Random(1), []
    for number in range(count):
        step, kind, text = CAUSES[number % len(CAUSES)]
        values = {"n": rnd.randrange(1, 10**6), "d": rnd.randrange(1, 29), "u": f"{rnd.getrandbits(128):032x}"}
        rows.append(row_of(failing(f"t{number:03}", number / 10, step, error=text.format(**values), error_type=kind)))
    return rows


def test_500_failures_of_12_causes_are_12_groups_in_any_order() -> None:
    rows = of_causes(500)
    groups = groups_of(rows)
    assert len(groups) == len(CAUSES)
    assert sum(len(group.rows) for group in groups) == 500
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        assert groups_of(rows) == groups


def test_data_group_of_the_user_decides() -> None:
    rows = [
        row_of(failing("a", 0, "stage:credit", error="one", error_type="E", group="bureau")),
        row_of(failing("b", 1, "stage:credit", error="another", error_type="F", group="bureau")),
        row_of(failing("c", 2, "stage:credit", error="order 1 of tenant a", error_type="E", group="tenant a")),
        row_of(failing("d", 3, "stage:credit", error="order 1 of tenant a", error_type="E", group="tenant b")),
    ]
    groups = groups_of(rows)
    assert sorted((group.label, [row.trace_id for row in group.rows]) for group in groups) == [
        ("bureau", ["b", "a"]),
        ("tenant a", ["c"]),
        ("tenant b", ["d"]),
    ]


def test_any_key_can_group() -> None:
    rows = [
        row_of(failing(name, n, "stage:x", error=f"{name} failed", customer={"tier": tier}), ("customer.tier",))
        for n, (name, tier) in enumerate([("a", "gold"), ("b", "gold"), ("c", "basic")])
    ]
    found = [(one.label, len(one.rows)) for one in groups_of(rows, by=True)]
    assert sorted(found) == [("basic", 1), ("gold", 2)]


@pytest.mark.parametrize(
    "groups",
    [
        (1, 2),
        ({"a": 1}, {"a": 2}),
        (["a"], ["b"]),
        ("x" * 10**6 + "a", "x" * 10**6 + "b"),
        ("one\ntwo", "one\nthree"),
        (True, False),
    ],
)
def test_a_group_of_any_value_keeps_failures_apart(groups: tuple[object, object]) -> None:
    alike: dict[str, Any] = {"error": "refused", "error_type": "E"}
    rows = [row_of(failing(str(n), n, "stage:x", **alike, group=group), ("group",)) for n, group in enumerate(groups)]
    rows.append(row_of(failing("again", 9, "stage:x", **alike, group=groups[0]), ("group",)))
    for by in (False, True):
        found = groups_of(rows, by=by)
        assert sorted(len(one.rows) for one in found) == [1, 2]
        assert all(0 < len(one.label) < 400 for one in found)


def test_failures_without_the_key_asked_for_are_labelled_so() -> None:
    rows = [row_of(failing("a", 0, "stage:x", error="e", tier="gold"), ("tier",)),
            row_of(failing("b", 1, "stage:y", error="f"), ("tier",))]  # fmt: skip
    assert sorted((one.label, one.value) for one in groups_of(rows, by=True)) == [("(no value)", ""), ("gold", "gold")]


def test_kinds_of_failure_without_the_key_asked_for_stay_apart() -> None:
    """One row for all of them would show the step and the error of one as if they were those of all."""
    rows = of_causes(2 * len(CAUSES))
    assert [one.label for one in groups_of(rows, by=True)] == ["(no value)"] * len(CAUSES)
    assert {one.example.step for one in groups_of(rows, by=True)} == {step for step, _, _ in CAUSES}


def test_a_trace_without_a_failure_is_in_no_group() -> None:
    assert groups_of([row_of(succeeded("a")), row_of(running("b")), TraceRow("unread", 1)]) == []


def test_a_kind_first_seen_at_the_end_is_new_and_comes_first() -> None:
    old = [row_of(failing(f"o{n}", n, "stage:credit", error="old", error_type="E")) for n in range(40)]
    late = row_of(failing("late", 39.5, "stage:credit", error="late", error_type="E"))
    groups = groups_of([*old, late])
    assert [(group.is_new, len(group.rows)) for group in groups] == [(True, 1), (False, 40)]
    counts = histogram(groups[1], row_of(failing("o0", 0, "stage:x")).started_at or 0, NOW - 35_000_000, 4)
    assert counts == [10, 10, 10, 10]


def test_a_trace_that_began_long_before_or_a_wrong_clock_makes_no_kind_new() -> None:
    rows = [row_of(failing(f"o{n}", n, "stage:credit", error="old", error_type="E")) for n in range(40)]
    began, ended = rows[0].latest - 1, rows[-1].latest
    for wrong in (-(10**8), 10**8):
        rows.append(row_of([event("odd", "wf", "workflow:order:started", wrong)]))
        (group,) = failure_groups(rows, began_at(rows, began), ended)
        assert not group.is_new
        rows.pop()


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_the_standing_steps_are_those_of_why(saga: Any) -> None:
    trace = read(saga)
    row = trace_row(trace, 0)
    listed = report(trace)["still_standing"]
    assert sorted((one.span_id, one.code, one.certain) for one in standing_steps([row])) == sorted(
        (one["span_id"], str(one["code"]), one["certain"]) for one in listed
    )
    assert (row.failure is None) == (report(trace)["cause"] is None)


def test_the_longest_standing_step_comes_first_with_its_business_keys() -> None:
    rows = [row_of(failed(name, at), ("loan_id", "applicant.name", "gone")) for name, at in (("new", 30), ("old", 1))]
    steps = standing_steps(rows)
    assert [(one.trace_id, one.step, one.saga) for one in steps] == [
        ("old", "stage:credit", "workflow:loan-approval"),
        ("new", "stage:credit", "workflow:loan-approval"),
    ]
    assert steps[0].values == ("L7", "Ada Lovelace", "")
    assert (steps[0].compensation, steps[0].certain, steps[0].code) == ("release_credit", True, "failed")
    assert steps[0].since == failed("old", 1)[7].micros


def test_every_span_is_asked_once_for_a_key_however_many_steps_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step once searched every span for a key that no span had, which took a minute for 4 000 steps."""
    count, reads = 100, Counter[str]()
    events = [event("T", "wf", "workflow:order:started", 0)]
    for number in range(count):
        step = f"s{number}"
        events += [
            event("T", step, f"step:{step}:started", number + 1, "wf", data={"compensation": "undo", "item": number}),
            event("T", step, f"step:{step}:completed", number + 1.5, "wf"),
        ]
    trace = trace_of([*events, event("T", "wf", "workflow:order:failed", count + 1, data={"order_id": "O-7"})])
    data = Span.data

    def counted(span: Span) -> dict[str, Any]:
        reads[span.span_id] += 1
        return data.fget(span)  # type: ignore[attr-defined, no-any-return]

    monkeypatch.setattr(Span, "data", property(counted))
    row = trace_row(trace, 0, ("gone", "order_id", "item"))
    assert [step.values for step in row.standing] == [("", "O-7", str(number)) for number in range(count)]
    assert max(reads.values()) <= 2 * 3 + 1  # for each key once for the trace and once for the step, and the failure


def test_the_reason_is_one_line() -> None:
    assert reason_text(row_of(failed("T"))) == (
        "transfer_funds InsufficientFunds: balance 1200 < 25000 · 1 of 1 standing"
    )
    assert reason_text(row_of(succeeded("T"))) == ""
    assert len(reason_text(row_of(failing("T", 0, "stage:x", error="e" * 10**6, error_type="K" * 10**6)))) < 1_000
    assert "\n" not in reason_text(row_of(failing("T", 0, "stage:x", error="a\nb\nc")))


@pytest.mark.parametrize(
    ("text", "holds_for"),
    [
        ("name:FUNDS", "failed"),
        ("name:validate", "succeeded"),
        ("took:>2s", "failed running"),
        ("took:<=1s", "succeeded"),
        ("spans:>5", "failed"),
        ("spans:<=2", "running"),
        ("status:failed,rollback-incomplete", "failed"),
        ("-status:rollback-incomplete", "succeeded running"),
        ("standing:credit", "failed"),
        ("standing:any", "failed"),
        ("standing:funding", ""),
        ("-standing:any", "succeeded running"),
        ("-loan name:a", ""),
    ],
)
def test_conditions_on_whole_traces(text: str, holds_for: str) -> None:
    traces = {"succeeded": succeeded("S"), "failed": failed("F"), "running": running("R")}
    query = parse_query(text)
    found = [name for name, one in traces.items() if all(holds(c, trace_of(one)) for c in query.conditions)]
    assert sorted(found) == sorted(holds_for.split())


def test_a_long_path_is_kept_by_its_ends() -> None:
    spans = [(n, f"s{n}", None if n == 0 else f"s{n - 1}") for n in range(40)]
    started = [event("T", one, f"stage:{one}:started", n / 10, parent) for n, one, parent in spans]
    ended = [event("T", one, f"stage:{one}:failed", 9 - n / 10, parent) for n, one, parent in spans]
    path = row_of([*started, *ended]).path
    assert len(path) == 13
    assert path[6] == "28 more"
