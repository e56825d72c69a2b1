"""Write a trace as OTLP JSON: one object of `resourceSpans` in each line, like the collector's file exporter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, encode_event
from sagatrace_tui.model import Span, Trace
from sagatrace_tui.model.event_data import data_of, execution_of, text_of
from sagatrace_tui.otlp.foreign import EVENT_ATTRIBUTE

__all__ = ["otlp_lines"]

_MOST_BYTES: Final = 4 << 20
"""The most bytes of spans in one line, unless a single span is larger. Receivers accept 20 MiB in one request."""
_LONGEST: Final = 255  # characters of a data value that becomes an attribute
_LATEST: Final = (2**63 - 1) // 1000  # microseconds: readers keep nanoseconds in 63 bits
_INTERNAL, _CONSUMER = 1, 5
_OK, _ERROR = 1, 2


def otlp_lines(trace: Trace, events: Iterable[TraceEvent]) -> Iterator[bytes]:
    """Yield a trace as one object of OTLP JSON, or as several if it is large. No object has a line end.

    `events` are the stored events of the trace. They keep the notation of their times, unlike the trace's own events.
    """
    stored = {event.id: event for event in events}
    parents = {child: parent for parent, children in trace.children.items() for child in children}
    standing = {one.span_id: one.code for one in trace.still_standing}
    spans: list[msgspec.Raw] = []
    size = 0
    for _, span_id in trace.walk():
        span = trace.spans.get(span_id)
        if span is None:  # a missing parent
            continue
        parent = parents.get(span_id)
        facts = {**_facts(trace, span), "sagatrace.standing": standing.get(span_id)}
        if parent is None:
            facts |= {"sagatrace.verdict": trace.verdict, "sagatrace.summary": trace.summary}
        text = msgspec.json.encode(
            _span(trace, span, parent, facts) | {"events": [_event(stored[one.id]) for one in span.events]}
        )
        if spans and size + len(text) > _MOST_BYTES:
            yield _request(spans)
            spans, size = [], 0
        spans.append(msgspec.Raw(text))
        size += len(text)
    if spans:
        yield _request(spans)


def _request(spans: Sequence[msgspec.Raw]) -> bytes:
    resource = {"attributes": _attributes({"service.name": "sagatrace"})}
    scope = {"scope": {"name": "sagatrace"}, "spans": spans}
    return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})


def _span(trace: Trace, span: Span, parent: str | None, facts: dict[str, object]) -> dict[str, Any]:
    trace_id = _hex(trace.trace_id, 32)
    found: dict[str, Any] = {
        "traceId": trace_id,
        "spanId": _hex(span.span_id, 16),
        "name": span.name,
        "kind": _CONSUMER if span.state.kind == "job" else _INTERNAL,
        "startTimeUnixNano": _nanos(span.began_at),
        "endTimeUnixNano": _nanos(max(span.began_at, span.over_at)),
        "attributes": _attributes({**_data(span), **facts}),
        "status": _status(span),
    }
    if parent is not None:
        found["parentSpanId"] = _hex(parent, 16)
    linked = [("undoes", span.original_span_id), *(("depends_on", one) for one in span.dependencies)]
    links = [
        {"traceId": trace_id, "spanId": _hex(one, 16), "attributes": _attributes({"sagatrace.link": name})}
        for name, one in linked
        if one is not None
    ]
    return found | ({"links": links} if links else {})


def _facts(trace: Trace, span: Span) -> dict[str, object]:
    """Return facts about the span, for searches in other tools. `import` ignores them and reads the events."""
    return {
        "sagatrace.trace_id": trace.trace_id,
        "sagatrace.span_id": span.span_id,
        "sagatrace.kind": span.kind,
        "sagatrace.status": span.status,
        "sagatrace.attempts": len(span.attempts) or None,
        "sagatrace.run": span.run or None,
        "sagatrace.execution": next(filter(None, map(execution_of, span.events)), None),
        "sagatrace.compensation": span.compensation,
        "sagatrace.original_span_id": span.original_span_id,
        "sagatrace.role": trace.roles.get(span.span_id),
    }


def _data(span: Span) -> dict[str, object]:
    """Return the short values of the span's data, for searches in other tools."""
    return {key: value for key, value in span.data.items() if _is_short(value)}


def _is_short(value: object) -> bool:
    return isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _LONGEST)


def _event(event: TraceEvent) -> dict[str, Any]:
    data = data_of(event)
    error = text_of(data.error)
    attributes: dict[str, object] = {
        "sagatrace.event_type": event.event_type,
        EVENT_ATTRIBUTE: encode_event(event).decode(),
    }
    if error:
        attributes |= {
            "exception.message": error,
            "exception.type": text_of(data.error_type),
            "exception.stacktrace": _stack(event),
        }
    return {
        "timeUnixNano": _nanos(event.micros),
        "name": "exception" if error else event.event_type,
        "attributes": _attributes(attributes),
    }


def _stack(event: TraceEvent) -> str | None:
    try:
        return text_of(event.data.get("stack"))
    except EventError:  # the trace reports it as an anomaly
        return None


def _status(span: Span) -> dict[str, Any]:
    if span.has_failed:
        return {"code": _ERROR, "message": span.error or span.status}
    return {"code": _OK} if span.status == "success" else {}


def _attributes(values: dict[str, object]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}


def _hex(name: str, digits: int) -> str:
    """Return an id with `digits` hex digits: the name itself if it is such an id, or else its hash."""
    if re.fullmatch(f"[0-9a-f]{{{digits}}}", name) and name.strip("0"):
        return name
    return sha256(name.encode()).hexdigest()[:digits]


def _nanos(micros: int) -> str:
    return str(min(max(micros, 1), _LATEST) * 1000)  # readers take 0 as no time
