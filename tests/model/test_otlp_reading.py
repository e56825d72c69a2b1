"""Spans of other tracers as events: trees, times, errors, attributes; a bad span costs only itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otlp_documents import BEGAN, TRACE, attributes, jaeger, jaeger_span, otlp, otlp_span, read_all
from sagatrace_tui.model import build_trace
from sagatrace_tui.otlp import events_of_spans

LATER = BEGAN // 1000 + 10**10


def document(found: dict[str, Any]) -> bytes:
    return json.dumps(found).encode()


@pytest.mark.parametrize("form", ["otlp", "jaeger"])
def test_a_trace_of_depth_40_shows_its_tree(form: str) -> None:
    """The spans arrive innermost first, like from a process that exports each span at its end."""
    numbers = [(number, number - 1 if number > 1 else None) for number in range(40, 0, -1)]
    made = (
        otlp(*(otlp_span(*one) for one in numbers))
        if form == "otlp"
        else jaeger(*(jaeger_span(*one) for one in numbers))
    )
    events, faults = read_all(document(made))
    assert faults == []
    trace = build_trace(TRACE, events, LATER)
    assert list(trace.walk()) == [(depth, f"{depth + 1:016x}") for depth in range(40)]
    assert (trace.verdict, trace.anomalies) == ("succeeded", ())
    assert trace.spans[f"{40:016x}"].name == "step 40"
    assert trace.started_at == BEGAN // 1000 + 1000


def test_an_error_becomes_the_cause() -> None:
    raised = {
        "timeUnixNano": BEGAN + 5_000_000,  # numbers are as good as text
        "name": "exception",
        "attributes": attributes(exception__type="Declined", exception__message="no", exception__stacktrace="Trace…"),
    }
    status = {"code": 2, "message": "card declined"}
    spans = [otlp_span(1, status={"code": 2}), otlp_span(2, 1, status=status, events=[raised]), otlp_span(3, 1)]
    events, _ = read_all(document(otlp(*spans)))
    trace = build_trace(TRACE, events, LATER)
    assert trace.verdict == "failed"
    assert trace.cause is not None
    assert (trace.cause.name, trace.cause.error, trace.cause.error_type) == ("step 2", "card declined", "Declined")
    assert trace.cause.data["stack"] == "Trace…"
    raised.pop("timeUnixNano")
    events, _ = read_all(document(otlp(otlp_span(2, status={"code": 2, "message": ""}, events=[raised]))))
    assert build_trace(TRACE, events, LATER).spans[f"{2:016x}"].error == "no"


def test_a_span_without_an_end_is_open_and_one_without_length_is_closed() -> None:
    instant = otlp_span(2, 1, endTimeUnixNano=str(BEGAN + 2_000_000), events=[{"name": "seen", "timeUnixNano": "0"}])
    events, faults = read_all(document(otlp(otlp_span(1, endTimeUnixNano="0"), instant)))
    assert faults == []
    trace = build_trace(TRACE, events, BEGAN // 1000)
    assert trace.spans[f"{1:016x}"].status == "running"
    assert trace.spans[f"{2:016x}"].status == "success"
    # They are read in the order of (time, id).
    assert [event.event_type for event in trace.spans[f"{2:016x}"].events] == [
        "step 2:started", "seen", "step 2:completed",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["failed", "job:completed", "compensating"])
def test_a_note_ends_nothing_whatever_its_name(name: str) -> None:
    note = {"name": name, "timeUnixNano": str(BEGAN + 3_000_000)}
    events, _ = read_all(document(otlp(otlp_span(1, endTimeUnixNano=None, events=[note]))))
    assert build_trace(TRACE, events, BEGAN // 1000).spans[f"{1:016x}"].status == "running"
    assert name in events[1].event_type


def test_attributes_become_data_but_mean_nothing_here_by_chance() -> None:
    mixed = [
        {"key": "http.route", "value": {"stringValue": "/pay"}},
        {"key": "retries", "value": {"intValue": "3"}},
        {"key": "ratio", "value": {"doubleValue": 0.5}},
        {"key": "cached", "value": {"boolValue": False}},
        {"key": "ids", "value": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "b"}, {}]}}},
        {"key": "user", "value": {"kvlistValue": {"values": [{"key": "tier", "value": {"stringValue": "gold"}}]}}},
        {"key": "compensation", "value": {"stringValue": "chance"}},
        {"key": "execution", "value": {"stringValue": "chance"}},
        {"key": "sagatrace.compensation", "value": {"stringValue": "refund"}},
    ]
    link = {"traceId": TRACE.upper(), "spanId": "AAAAAAAAAAAAAAAA", "attributes": []}
    events, faults = read_all(document(otlp(otlp_span(1, kind=3, attributes=mixed, links=[link], unknown=1))))
    assert faults == []
    assert events[0].data == {
        "service.name": "shop",
        "host.name": "web-1",
        "host": "web-1",
        "http.route": "/pay",
        "retries": 3,
        "ratio": 0.5,
        "cached": False,
        "ids": [1, "b", None],
        "user": {"tier": "gold"},
        "attribute.compensation": "chance",
        "attribute.execution": "chance",
        "compensation": "refund",
        "span.kind": "client",
        "links": [{"trace_id": TRACE, "span_id": "a" * 16}],
    }


def test_a_span_that_names_the_step_it_undoes_is_a_compensation() -> None:
    undo = otlp_span(3, 1, attributes=attributes(sagatrace__original_span_id=f"{2:016x}"))
    events, _ = read_all(document(otlp(otlp_span(1, status={"code": 2}), otlp_span(2, 1), undo)))
    trace = build_trace(TRACE, events, LATER)
    assert trace.spans[f"{3:016x}"].kind == "compensation"
    assert trace.verdict == "rolled_back"


BAD: list[tuple[object, str]] = [
    (otlp_span(9, traceId="5b8e"), "traceId '5b8e' is not an id of 32 hex digits"),
    (otlp_span(9, traceId="0" * 32), "is not an id of 32 hex digits"),
    (otlp_span(9, spanId=None), "spanId 'None' is not an id of 16 hex digits"),
    (otlp_span(9, spanId="\x1b[31mgggggggggggg"), "is not an id of 16 hex digits"),
    (otlp_span(9, parentSpanId="xyz"), "parentSpanId 'xyz' is not an id"),
    (otlp_span(9, startTimeUnixNano=None), "the span has no startTimeUnixNano"),
    (otlp_span(9, startTimeUnixNano="-5"), "startTimeUnixNano '-5' is not a number of nanoseconds"),
    (otlp_span(9, startTimeUnixNano="9" * 20), "is not a number of nanoseconds"),
    (otlp_span(9, endTimeUnixNano="1000"), "the span ends before it starts"),
    (otlp_span(9, name=7), "Expected `str | null`, got `int`"),
    (otlp_span(9, attributes={"a": 1}), "Expected `array | null`, got `object`"),
    (otlp_span(9, events=[{"name": "x", "attributes": attributes(sagatrace__event="{}")}]), "missing required field"),
    (7, "Expected `object`, got `int`"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_span_costs_only_itself(bad: object, reason: str) -> None:
    events, faults = read_all(document(otlp(otlp_span(1), bad, otlp_span(2, 1))))
    assert [event.span_id for event in events] == [f"{1:016x}"] * 2 + [f"{2:016x}"] * 2
    ((position, fault),) = faults
    assert position == "resourceSpans[0].scopeSpans[0].spans[1]"
    assert reason in fault


def test_a_part_that_holds_no_spans_costs_only_itself() -> None:
    found = otlp(otlp_span(1))
    found["resourceSpans"][:0] = [5, {"scopeSpans": [{"spans": 5}]}, {}, {"scopeSpans": None}]
    events, faults = read_all(document(found))
    assert len(events) == 2
    assert [position for position, _ in faults] == ["resourceSpans[0]", "resourceSpans[1]"]
    ((position, fault),) = read_all(b'{"resourceSpans": 5}')[1]
    assert (position, fault.split(" - ")[0]) == ("", "Expected `array`, got `int`")


def with_depth(depth: int) -> bytes:
    deep = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
    text = json.dumps(otlp(otlp_span(1), otlp_span(2, attributes=[{"key": "deep", "value": "HERE"}])))
    return text.replace('"HERE"', deep).encode()


def test_a_deep_value_is_read_or_costs_its_span_and_a_document_too_deep_for_json_is_left_to_other_readers() -> None:
    assert len(read_all(with_depth(50))[0]) == 4
    for depth in (100, 300):
        events, faults = read_all(with_depth(depth))
        assert len(events) + 2 * len(faults) == 4
    assert events_of_spans(with_depth(100_000)) is None


def test_invalid_utf_8_costs_only_its_span() -> None:
    text = document(otlp(otlp_span(1), otlp_span(2, name="HERE"))).replace(b"HERE", b"\xff\xfe")
    events, faults = read_all(text)
    assert (len(events), len(faults)) == (2, 1)


@pytest.mark.parametrize(
    "other",
    [
        b'{"trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-01-01T00:00:00Z","data":{"resourceSpans":1}}',
        b'{"trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-01-01T00:00:00Z","data":{"spans":[]}}',
        b'{"resourceLogs": []}',
        b'{"resourceSpans": [',
        b'{"data": {"spans": []}}',
        b"[]",
        b"",
    ],
)
def test_another_document_is_left_to_other_readers(other: bytes) -> None:
    assert events_of_spans(other) is None


def test_a_failed_span_of_jaeger() -> None:
    fields = [
        {"key": "event", "type": "string", "value": "exception"},
        {"key": "exception.type", "type": "string", "value": "Declined"},
        {"key": "exception.message", "type": "string", "value": "no"},
    ]
    tags = [
        {"key": "error", "type": "bool", "value": True},
        {"key": "otel.status_code", "type": "string", "value": "ERROR"},
        {"key": "otel.status_description", "type": "string", "value": "card declined"},
        {"key": "order_id", "type": "string", "value": "4711"},
    ]
    bad = jaeger_span(2, 1, tags=tags, logs=[{"timestamp": BEGAN // 1000 + 9000, "fields": fields}])
    follows = {"refType": "FOLLOWS_FROM", "traceID": TRACE, "spanID": "2"}
    linked = jaeger_span(3, 1)
    linked["references"] = [follows, *linked["references"]]
    lone = jaeger_span(4, references=[follows], processID="unknown")
    events, faults = read_all(document(jaeger(jaeger_span(1), bad, linked, lone)))
    assert faults == []
    trace = build_trace(TRACE, events, LATER)
    span = trace.spans[f"{2:016x}"]
    assert (span.status, span.error, span.error_type) == ("failed", "card declined", "Declined")
    assert (span.data["order_id"], span.data["service.name"], span.data["host"]) == ("4711", "shop", "web-1")
    assert [trace.spans[f"{one:016x}"].parent_id for one in (1, 2, 3, 4)] == [
        None,
        f"{1:016x}",
        f"{1:016x}",
        f"{2:016x}",
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (jaeger_span(9, spanID="zz"), "is not an id of 16 hex digits"),
        (jaeger_span(9, duration=-1), "the span ends before it starts"),
        (jaeger_span(9, startTime=10**18), "is not within the years"),
        ({"traceID": TRACE}, "missing required field"),
    ],
)
def test_a_bad_span_of_jaeger_costs_only_itself(bad: dict[str, Any], reason: str) -> None:
    events, faults = read_all(document(jaeger(jaeger_span(1), bad)))
    assert len(events) == 2
    ((position, fault),) = faults
    assert position == "data[0].spans[1]"
    assert reason in fault
