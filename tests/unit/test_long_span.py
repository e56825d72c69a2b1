"""Spans that outlive their process: they begin here and end in any process, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sagatrace import EventError, MemoryStore, TraceContext, Tracer
from sagatrace.context import Execution, enter_execution
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def read(store: MemoryStore, *, later: float = 0) -> Trace:
    return build_trace("order-7", store.fetch_trace("order-7").events, now=wall_clock() + int(later * 1_000_000))


def test_a_span_is_begun_by_one_tracer_and_ended_by_another(store: MemoryStore) -> None:
    with Tracer(store).span("job:above", "order-7") as above:
        ref = Tracer(store).begin("workflow:order", above, data={"customer": 5}, tags=["shop"])
    assert set(json.loads(ref)) == {"trace_id", "span_id", "parent_span_id", "name"}
    assert read(store).verdict == "running"
    order = Tracer(store).resume(json.loads(ref))
    with Tracer(store).span("stage:pick", order):
        pass
    Tracer(store).resume(ref).complete({"picked": 2})
    trace = read(store)
    (root,) = (span for span in trace.spans.values() if span.name == "workflow:order")
    assert (trace.verdict, root.span_id, root.parent_id) == ("succeeded", order.span_id, above.span_id)
    assert (root.data, root.tags) == ({"customer": 5, "picked": 2}, ("shop",))
    assert [span.parent_id for span in trace.spans.values() if span.name == "stage:pick"] == [root.span_id]


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("the customer withdrew", {"error": "the customer withdrew"}),
        (ValueError("no luck"), {"error": "no luck", "error_type": "ValueError"}),
    ],
)
def test_a_long_span_fails_for_a_reason_or_with_an_error(
    store: MemoryStore, why: str | Exception, data: dict[str, str]
) -> None:
    tracer = Tracer(store)
    tracer.resume(tracer.begin("workflow:order", "order-7")).fail(why, {"by": "clerk"})
    trace = read(store)
    assert trace.verdict == "failed"
    assert trace.cause is not None
    assert {name: value for name, value in trace.cause.data.items() if name != "stack"} == {**data, "by": "clerk"}


def test_the_first_end_of_a_long_span_stays(store: MemoryStore) -> None:
    tracer = Tracer(store)
    ref = tracer.begin("workflow:order", "order-7")
    for end in (tracer.resume(ref).complete, tracer.resume(ref).complete, lambda: tracer.resume(ref).fail("late")):
        end()
    trace = read(store)
    assert (trace.verdict, trace.anomalies, len(store.fetch_trace("order-7").events)) == ("succeeded", (), 2)


def test_a_long_span_outlives_its_execution_and_silence_makes_it_unknown(store: MemoryStore) -> None:
    tracer = Tracer(store)
    enter_execution(Execution("x1", "j1", TraceContext("order-7", "j1")))
    try:
        ref = tracer.begin("workflow:order", "order-7")
    finally:
        enter_execution(Execution())
    assert all("execution" not in event.data for event in store.fetch_trace("order-7").events)
    assert (read(store, later=14 * 60).verdict, read(store, later=16 * 60).verdict) == ("running", "unknown")
    tracer.resume(ref).complete()
    assert read(store, later=16 * 60).verdict == "succeeded"


def test_a_step_declares_its_compensation(store: MemoryStore) -> None:
    tracer = Tracer(store)
    order = tracer.begin("workflow:order", "order-7")
    charge = tracer.begin("step:charge", tracer.resume(order), compensation="refund")
    tracer.resume(charge).complete()
    tracer.resume(order).fail("the customer withdrew")
    assert read(store).verdict == "rollback_missing"
    with tracer.compensation(original=tracer.resume(charge), parent=tracer.resume(order)):
        pass
    trace = read(store)
    assert (trace.verdict, [row.name for row in trace.compensations]) == ("rolled_back", ["refund"])


@pytest.mark.parametrize("ref", [5, "order-7", "{}", '{"trace_id": 1}', {"trace_id": "T"}, b"x", object(), "\ud800"])
def test_a_text_that_begin_did_not_return_is_named(ref: Any) -> None:
    with pytest.raises(EventError, match=r"that is not a text that Tracer.begin returned") as caught:
        Tracer(MemoryStore()).resume(ref)
    assert f"{ref!r:.100}" in str(caught.value)


@pytest.mark.parametrize("ref", [None, ""])
def test_a_row_without_a_text_breaks_no_job(store: MemoryStore, ref: str | None) -> None:
    tracer = Tracer(store)
    order = tracer.resume(ref)
    with tracer.span("stage:pick", order) as pick:
        pass
    order.complete()
    order.fail("no luck")
    assert [event.event_type for event in store.fetch_trace(pick.trace_id).events] == [
        "stage:pick:started",
        "stage:pick:completed",
    ]
    assert sum(tracer.lost.values()) == 1
