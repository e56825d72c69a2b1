"""Read spans from the JSON of Jaeger's download button or of its API `/api/traces`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE
from sagatrace_tui.otlp.foreign import ForeignSpan, Note, hex_id

__all__ = ["jaeger_spans"]


class _Tag(msgspec.Struct, frozen=True):
    key: str = ""
    value: Any = None


class _Log(msgspec.Struct, frozen=True):
    timestamp: int
    fields: list[_Tag] | None = None


class _Reference(msgspec.Struct, frozen=True, rename={"kind": "refType", "trace_id": "traceID", "span_id": "spanID"}):
    kind: str = ""
    trace_id: str = ""
    span_id: str = ""


class _Span(
    msgspec.Struct,
    frozen=True,
    rename={
        "trace_id": "traceID",
        "span_id": "spanID",
        "name": "operationName",
        "start": "startTime",
        "process_id": "processID",
    },
):
    trace_id: str
    span_id: str
    start: int
    duration: int
    name: str = ""
    process_id: str = ""
    references: list[_Reference] | None = None
    tags: list[_Tag] | None = None
    logs: list[_Log] | None = None


class _Process(msgspec.Struct, frozen=True, rename="camel"):
    service_name: str = ""
    tags: list[_Tag] | None = None


class _Trace(msgspec.Struct, frozen=True):
    spans: list[msgspec.Raw]
    processes: dict[str, _Process] | None = None


class _Document(msgspec.Struct, frozen=True):
    data: list[_Trace]
    trace_id: Any = msgspec.UNSET  # an event's


_document: Final = msgspec.json.Decoder(_Document)
_span: Final = msgspec.json.Decoder(_Span)


def jaeger_spans(document: bytes) -> Iterator[tuple[str, ForeignSpan | str]] | None:
    """Return (position, span) for each span, or (position, reason) for an unusable one; None for other documents."""
    try:
        found = _document.decode(document)
    except UNREADABLE:
        return None
    return None if found.trace_id is not msgspec.UNSET else _spans_in(found.data)


def _spans_in(traces: Iterable[_Trace]) -> Iterator[tuple[str, ForeignSpan | str]]:
    for number, trace in enumerate(traces):
        resources = {name: _resource(process) for name, process in (trace.processes or {}).items()}
        for index, raw in enumerate(trace.spans):
            position = f"data[{number}].spans[{index}]"
            try:
                yield position, _foreign(_span.decode(raw), resources)
            except (EventError, *UNREADABLE) as error:
                yield position, str(error)


def _resource(process: _Process) -> dict[str, Any]:
    return {"service.name": process.service_name, **_attributes(process.tags)}


def _foreign(span: _Span, resources: Mapping[str, dict[str, Any]]) -> ForeignSpan:
    tags = _attributes(span.tags)
    trace_id = _padded(span.trace_id, 32, "traceID")
    references = span.references or []
    # Jaeger turns OTLP links into FOLLOWS_FROM. Such a reference is the parent only if there is no CHILD_OF.
    near = [one for one in references if _padded(one.trace_id, 32, "traceID of a reference") == trace_id]
    parent = next((one for one in sorted(near, key=lambda one: one.kind != "CHILD_OF")), None)
    return ForeignSpan(
        trace_id=trace_id,
        span_id=_padded(span.span_id, 16, "spanID"),
        parent_id=_padded(parent.span_id, 16, "spanID of a reference") if parent else None,
        name=span.name,
        started=span.start,
        ended=span.start + span.duration,
        has_failed=tags.get("error") in (True, "true") or tags.get("otel.status_code") == "ERROR",
        message=str(tags.get("otel.status_description") or ""),
        attributes=tags,
        resource=resources.get(span.process_id, {}),
        notes=tuple(_note(log) for log in span.logs or ()),
        links=tuple((one.trace_id, one.span_id) for one in references if one is not parent),
    )


def _note(log: _Log) -> Note:
    fields = _attributes(log.fields)
    return Note(log.timestamp, str(fields.pop("event", "") or "log"), fields)


def _attributes(tags: Iterable[_Tag] | None) -> dict[str, Any]:
    return {tag.key: tag.value for tag in tags or ()}


def _padded(text: str, digits: int, name: str) -> str:
    """Return an id in full length. Jaeger omits leading zeros."""
    return hex_id(text.rjust(digits, "0"), digits, name)
