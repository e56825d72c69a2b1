"""The model: events fold to spans and spans to a trace, in any order of events."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace.event import TraceEvent, new_event
from sagatrace.stores.codec import parse_event
from sagatrace_tui.incident.report import report
from sagatrace_tui.model import IDLE, Trace, build_trace
from sagatrace_tui.views.landmarks import error_counts

SEED = Path(__file__).parents[1] / "examples" / "seed_trace.jsonl"
START = 1_735_689_600  # 2025-01-01T00:00:00Z
LATER = (START + 10**7) * 1_000_000


def event(second: float, span_id: str, event_type: str, parent: str | None = None, **fields: Any) -> TraceEvent:
    minutes, seconds = divmod(second, 60)
    return new_event(
        trace_id="T",
        span_id=span_id,
        event_type=event_type,
        parent_span_id=parent,
        timestamp=f"2025-01-01T00:{int(minutes):02}:{seconds:09.6f}Z",
        **fields,
    )


def trace_of(*events: TraceEvent, now: int = LATER) -> Trace:
    return build_trace("T", events, now=now)


def test_the_first_example() -> None:
    """The tree is S1 → S2 → S3, S6, S7, with S3 and S2 successful and S6 failed."""
    events = [parse_event(line) for line in SEED.read_bytes().splitlines()]
    trace = build_trace("T1", events, now=LATER * 2)
    assert list(trace.walk()) == [(0, "S1"), (1, "S2"), (2, "S3"), (1, "S6"), (1, "S7")]
    assert {span_id: span.status for span_id, span in trace.spans.items()} == {
        "S1": "running",
        "S2": "success",
        "S3": "success",
        "S6": "failed",
        "S7": "running",
    }
    assert trace.spans["S3"].name == "validate-job"
    assert trace.spans["S6"].error == "Insufficient funds"
    assert (trace.spans["S7"].kind, trace.spans["S7"].original_span_id) == ("compensation", "S2")
    assert (trace.status, error_counts(trace)[0], trace.event_count) == ("failed", 1, 7)
    assert trace.duration == 5_100_000


@pytest.mark.parametrize(
    ("spans", "name"),
    [
        ([("W", "workflow:order:started", None, {"workflow_id": "book-trip"})], "book-trip"),
        ([("W", "workflow:order v1.2:started", None, {})], "workflow:order v1.2"),
        ([("J", "job:started", None, {"job_name": "acme.loans.approve"})], "approve"),
        (
            [("J", "job:started", None, {"job_name": "approve"}), ("W", "workflow:loan:started", "J", {})],
            "workflow:loan",
        ),
        (
            [
                ("J", "job:started", None, {"job_name": "acme.approve"}),
                ("W", "workflow:loan:started", "J", {}),
                ("W", "workflow:loan:completed", "J", {"workflow_id": "loan-approval"}),
            ],
            "loan-approval",
        ),
        ([("J", "job:started", None, {"job_name": "acme.approve", "workflow_id": {"odd": 1}})], '{"odd":1}'),
        ([], ""),
    ],
)
def test_a_trace_is_named_after_its_saga(spans: list[tuple[str, str, str | None, dict[str, Any]]], name: str) -> None:
    events = [event(n, one, kind, parent, data=data) for n, (one, kind, parent, data) in enumerate(spans)]
    assert trace_of(*events).name == name


def test_a_retried_job_is_one_span_with_its_attempts() -> None:
    trace = trace_of(
        event(0, "J", "job:enqueued", data={"job_name": "pay"}),
        event(2, "J", "job:started", data={"attempt": 1}),
        event(3, "J", "job:retrying", data={"error": "busy"}),
        event(5, "J", "job:started"),
        event(6, "J", "job:completed", status="success"),
    )
    span = trace.spans["J"]
    assert (span.name, span.kind, span.status, span.error) == ("pay", "job", "success", None)
    assert [(attempt.number, attempt.error) for attempt in span.attempts] == [(1, "busy"), (2, None)]
    assert span.wait == 2_000_000
    assert span.data == {"job_name": "pay", "attempt": 1, "error": "busy"}
    assert trace.status == "success"


def test_between_two_attempts_a_job_is_queued_and_in_one_it_runs() -> None:
    first = [event(0, "J", "job:started"), event(1, "J", "job:retrying")]
    now = first[-1].micros + 1
    assert trace_of(*first, now=now).spans["J"].status == "queued"
    again = trace_of(*first, event(2, "J", "job:started"), now=now)
    assert (again.spans["J"].status, again.status) == ("running", "running")


def test_a_clock_that_is_behind_does_not_reopen_a_span() -> None:
    trace = trace_of(event(5, "J", "job:started"), event(4, "J", "job:completed", status="success"))
    assert trace.spans["J"].status == "success"


def test_every_kind_and_status() -> None:
    trace = trace_of(
        event(0, "W", "workflow:loan:started"),
        event(1, "A", "ai:decision", "W"),
        event(2, "B", "stage:a:stopped", "W"),
        event(3, "C", "stage:b:canceled", "W"),
        event(4, "D", "job:enqueued", "W"),
        event(5, "E", "x:completed", "W", status="failed"),
        event(6, "F", "undo:compensation_failed", "W"),
        event(7, "G", "check:done", "W", status="failed"),
        event(8, "H", "job:abandoned", "W"),
    )
    assert {span.span_id: (span.kind, span.status) for span in trace.spans.values()} == {
        "W": ("workflow", "running"),
        "A": ("point", "point"),
        "B": ("stage", "stopped"),
        "C": ("stage", "canceled"),
        "D": ("job", "queued"),
        "E": ("step", "failed"),
        "F": ("compensation", "failed"),
        "G": ("point", "failed"),
        "H": ("job", "failed"),
    }


def test_a_missing_parent_keeps_its_children_under_its_name() -> None:
    child, parent = event(1, "C", "stage:x:completed", "P"), event(0, "P", "workflow:x:completed")
    alone = trace_of(child)
    assert list(alone.walk()) == [(0, "P"), (1, "C")]
    assert list(alone.missing_parents) == ["P"]
    assert [(anomaly.kind, anomaly.span_ids) for anomaly in alone.anomalies] == [("orphan", ("C",))]
    together = trace_of(child, parent)
    assert (list(together.roots), list(together.missing_parents), together.anomalies) == (["P"], [], ())


def test_cycles_are_cut_and_reported() -> None:
    trace = trace_of(
        event(0, "A", "stage:a:started", "B"),
        event(1, "B", "stage:b:started", "C"),
        event(2, "C", "stage:c:started", "A"),
        event(3, "S", "stage:s:started", "S"),
    )
    assert list(trace.walk()) == [(0, "A"), (1, "C"), (2, "B"), (0, "S")]
    assert [(anomaly.kind, anomaly.span_ids) for anomaly in trace.anomalies] == [
        ("cycle", ("A", "B", "C")),
        ("cycle", ("S",)),
        ("never_ended", ("A", "B", "C", "S")),
    ]


def test_unreadable_data_is_an_anomaly_and_loses_nothing_else() -> None:
    good = event(0, "A", "stage:a:started", data={"x": 1})
    bad = parse_event('{"trace_id":"T","span_id":"A","event_type":"stage:a:failed","timestamp":"2025-01-01T00:00:01Z"}')
    trace = trace_of(good, bad)
    assert (trace.spans["A"].status, trace.spans["A"].data) == ("failed", {"x": 1})


def test_an_open_trace_without_new_events_is_not_running_for_ever() -> None:
    started = event(0, "A", "stage:a:started")
    assert trace_of(started, now=started.micros + IDLE).status == "running"
    assert trace_of(started, now=started.micros + IDLE + 1).status == "unknown"
    assert trace_of(now=LATER).status == "unknown"


def test_a_chain_of_ten_thousand_spans_does_not_recurse_out() -> None:
    events = [event(0, f"{n}", "stage:x:started", f"{n - 1}" if n else None, id=f"{n:06}") for n in range(10_000)]
    assert [depth for depth, _ in trace_of(*events).walk()] == list(range(10_000))


names = st.sampled_from(["A", "B", "C", "D"])
phases = ["enqueued", "started", "retrying", "completed", "failed", "stopped", "compensating", "compensated", "odd"]


@st.composite
def some_events(draw: st.DrawFn) -> TraceEvent:
    return event(
        draw(st.integers(0, 5)),
        draw(names),
        f"{draw(st.sampled_from(['job', 'stage:x']))}:{draw(st.sampled_from(phases))}",
        draw(st.none() | names),
        id=draw(st.none() | st.sampled_from(["1", "2", "3"])),
        status=draw(st.sampled_from([None, "success", "failed", "pending"])),
        data=draw(st.sampled_from([None, {"error": "e"}, {"job_name": "n"}, {"error": 7, "job_name": ["x"]}])),
    )


@given(events=st.lists(some_events(), max_size=12), seed=st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(events: list[TraceEvent], seed: random.Random) -> None:
    """Any permutation and any repetition of the same events folds to an equal trace."""
    shuffled = [*events, *seed.choices(events, k=len(events))] if events else []
    seed.shuffle(shuffled)
    trace = trace_of(*events)
    again = trace_of(*shuffled)
    assert report(again) == report(trace)
    assert list(again.walk()) == list(trace.walk())
    placed = [span_id for _, span_id in trace.walk() if span_id in trace.spans]
    assert sorted(placed) == sorted(trace.spans), "every span is in the tree once"
