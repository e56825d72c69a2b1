"""A trace as OTLP JSON: by the protocol's own schema, and read again as the same trace."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from notation import Saga, read
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from saga_tables import ALL
from test_properties import random_forest

from otlp_documents import read_all
from sagas import NOW, failed
from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace_tui.incident.report import report
from sagatrace_tui.model import Trace, build_trace
from sagatrace_tui.otlp import otlp_lines, writing
from scale import examples


def spans_of(events: list[TraceEvent]) -> list[dict[str, Any]]:
    trace = build_trace(events[0].trace_id, events, NOW)
    return [
        span
        for line in otlp_lines(trace, events)
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return attributes by name; no name may occur twice."""
    found = {one["key"]: next(iter(one["value"].values())) for one in attributes}
    assert len(found) == len(attributes)
    return found


def has_object(event: TraceEvent) -> bool:
    try:
        return isinstance(event.data, dict)
    except EventError:
        return False


def read_again(trace: Trace, events: list[TraceEvent]) -> Trace:
    again: list[TraceEvent] = []
    for line in otlp_lines(trace, events):
        found, faults = read_all(line)
        assert faults == []
        again += found
    assert sorted(map(encode_event, again)) == sorted(map(encode_event, events))
    return build_trace(trace.trace_id, again, trace.now)


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_every_saga_is_read_again_with_the_same_tree_and_answers(saga: Saga) -> None:
    trace = read(saga)
    again = read_again(trace, [event for span in trace.spans.values() for event in span.events])
    assert list(again.walk()) == list(trace.walk())
    assert report(again) == report(trace)


@settings(max_examples=examples(60, 600))
@given(st.randoms(use_true_random=False))
def test_any_events_become_requests_of_the_protocol_and_come_back(rnd: random.Random) -> None:
    events = list({event.id: event for event in random_forest(rnd) if has_object(event)}.values())
    trace = build_trace("T", events, NOW)
    again = read_again(trace, events)
    assert (list(again.walk()), report(again)) == (list(trace.walk()), report(trace))
    for line in otlp_lines(trace, events):
        require_schema(line)


def require_schema(line: bytes) -> ExportTraceServiceRequest:
    """Parse a request with the protocol's own classes: no unknown name, each value of its type, ids of their length."""
    request = json_format.Parse(line, ExportTraceServiceRequest())
    spans = [
        span for one in json.loads(line)["resourceSpans"] for scope in one["scopeSpans"] for span in scope["spans"]
    ]
    assert spans
    for span in spans:
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
        assert all(re.fullmatch("[0-9a-f]{16}", one["spanId"]) for one in [span, *span.get("links", ())])
        assert re.fullmatch("[0-9a-f]{16}", span.get("parentSpanId", "0" * 16))
        assert 0 <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) < 2**63
        assert span["name"]
    return request


def test_a_failed_saga_has_its_errors_links_and_verdict() -> None:
    events = failed("order-7")
    (line,) = otlp_lines(build_trace("order-7", events, NOW), events)
    resource = require_schema(line).resource_spans[0].resource
    assert [(one.key, one.value.string_value) for one in resource.attributes] == [("service.name", "sagatrace")]
    spans = {values(span["attributes"])["sagatrace.span_id"]: span for span in spans_of(events)}
    root, step, undo, job = spans["wf"], spans["cre"], spans["und"], spans["fuj"]
    assert "parentSpanId" not in root
    assert step["parentSpanId"] == undo["parentSpanId"] == root["spanId"]
    assert values(root["attributes"])["sagatrace.trace_id"] == "order-7"
    assert values(root["attributes"])["sagatrace.verdict"] == "rollback_incomplete"
    assert values(root["attributes"])["loan_id"] == "L7"
    assert values(step["attributes"])["sagatrace.compensation"] == "release_credit"
    assert values(step["attributes"])["sagatrace.standing"] == "failed"
    assert values(undo["attributes"])["sagatrace.original_span_id"] == "cre"
    assert undo["links"] == [
        {
            "traceId": root["traceId"],
            "spanId": step["spanId"],
            "attributes": [{"key": "sagatrace.link", "value": {"stringValue": "undoes"}}],
        }
    ]
    assert (job["kind"], step["kind"]) == (5, 1)
    assert job["status"] == {"code": 2, "message": "balance 1200 < 25000"}
    assert step["status"] == {"code": 1}
    assert values(spans["crj"]["attributes"])["sagatrace.attempts"] == "2"
    raised = job["events"][-1]
    assert raised["name"] == "exception"
    assert values(raised["attributes"])["exception.type"] == "InsufficientFunds"
    assert values(raised["attributes"])["exception.message"] == "balance 1200 < 25000"
    assert values(raised["attributes"])["exception.stacktrace"].startswith("Traceback")
    assert values(raised["attributes"])["sagatrace.event_type"] == "job:failed"


def test_a_large_trace_is_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_MOST_BYTES", 2_000)
    events = failed("T")
    trace = build_trace("T", events, NOW)
    lines = list(otlp_lines(trace, events))
    assert len(lines) > 3
    assert report(read_again(trace, events)) == report(trace)


@pytest.mark.parametrize("time", ["1900-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_times_stay_within_what_readers_take(time: str) -> None:
    event = new_event(trace_id="T", span_id="S", event_type="a:started", timestamp=time)
    trace = build_trace("T", [event], NOW)
    (line,) = otlp_lines(trace, [event])
    require_schema(line)
    assert read_again(trace, [event]).started_at == event.micros


def test_any_value_of_data_can_be_written() -> None:
    odd = {"big": 10**40, "small": -(2**63), "yes": True, "part": 0.5, "long": "x" * 300, "none": None, "list": [1]}
    event = new_event(
        trace_id="T", span_id="S", event_type="a:started", data={**odd, "sagatrace.status": "mine", "service.name": "x"}
    )
    trace = build_trace("T", [event], NOW)
    (line,) = otlp_lines(trace, [event])
    require_schema(line)
    (span,) = spans_of([event])
    found = values(span["attributes"])
    assert (found["small"], found["yes"], found["part"]) == (str(-(2**63)), True, 0.5)
    assert found["sagatrace.status"] == "running"
    assert found.keys().isdisjoint({"long", "none", "list"})


def test_ids_of_the_protocol_are_kept() -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    (span,) = spans_of([new_event(trace_id=trace_id, span_id=span_id, event_type="a:started")])
    assert (span["traceId"], span["spanId"]) == (trace_id, span_id)
    (span,) = spans_of([new_event(trace_id="0" * 32, span_id="0" * 16, event_type="a:started")])
    assert span["traceId"].strip("0")
    assert span["spanId"].strip("0")
