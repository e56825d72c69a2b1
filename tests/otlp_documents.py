"""Handwritten documents of spans in the formats of OpenTelemetry's collector and Jaeger."""

from __future__ import annotations

from typing import Any

from sagatrace.event import TraceEvent
from sagatrace_tui.otlp import events_of_spans

TRACE = "5b8efff798038103d269b633813fc60c"
BEGAN = 1_764_400_000_000_000_000


def attributes(**values: object) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in values.items()]


def otlp_span(number: int, parent: int | None = None, **rest: Any) -> dict[str, Any]:
    """Return a span of one second that starts `number` milliseconds after BEGAN."""
    span = {
        "traceId": TRACE.upper(),
        "spanId": f"{number:016X}",
        "name": f"step {number}",
        "kind": 1,
        "startTimeUnixNano": str(BEGAN + number * 1_000_000),
        "endTimeUnixNano": str(BEGAN + number * 1_000_000 + 1_000_000_000),
    }
    return span | ({} if parent is None else {"parentSpanId": f"{parent:016X}"}) | rest


def otlp(*spans: object) -> dict[str, Any]:
    resource = {"attributes": attributes(service__name="shop", host__name="web-1")}
    scope = {"scope": {"name": "shop.tracing", "version": "2.1"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope], "schemaUrl": "https://example.org/1"}]}


def jaeger_span(number: int, parent: int | None = None, **rest: Any) -> dict[str, Any]:
    """Return the same span in Jaeger's format: ids without leading zeros, times in microseconds."""
    above = [] if parent is None else [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": f"{parent:x}"}]
    return {
        "traceID": TRACE,
        "spanID": f"{number:x}",
        "operationName": f"step {number}",
        "references": above,
        "startTime": BEGAN // 1000 + number * 1000,
        "duration": 1_000_000,
        "tags": [{"key": "internal.span.format", "type": "string", "value": "otlp"}],
        "logs": [],
        "processID": "p1",
        "warnings": None,
        **rest,
    }


def jaeger(*spans: object) -> dict[str, Any]:
    process = {"serviceName": "shop", "tags": [{"key": "host.name", "type": "string", "value": "web-1"}]}
    trace = {"traceID": TRACE, "spans": list(spans), "processes": {"p1": process}, "warnings": None}
    return {"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": None}


def read_all(document: bytes) -> tuple[list[TraceEvent], list[tuple[str, str]]]:
    """Return the events of a document, and its faults with their positions."""
    found = events_of_spans(document)
    assert found is not None
    events: list[TraceEvent] = []
    faults: list[tuple[str, str]] = []
    for position, one in found:
        if isinstance(one, str):
            faults.append((position, one))
        else:
            events.append(one)
    return events, faults
