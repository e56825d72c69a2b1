"""Read the events of spans in OTLP JSON or in Jaeger's JSON.

Each span is decoded separately. So a large document needs little more memory than its text, and a malformed span does
not affect the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent
from sagatrace_tui.otlp.foreign import ForeignSpan, Note, events_of, hex_id
from sagatrace_tui.otlp.jaeger import jaeger_spans

__all__ = ["events_of_spans"]

_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
_FAILED: Final = (2, "STATUS_CODE_ERROR")
_MOST_NANOS: Final = 2**64


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    """A message of OTLP. Keys are lowerCamelCase, unknown keys are ignored, and null means absent."""


class _Value(_Message, frozen=True):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None


class _Values(_Message, frozen=True):
    values: list[_Value] | None = None


class _Pair(_Message, frozen=True):
    key: str = ""
    value: _Value | None = None


class _Pairs(_Message, frozen=True):
    values: list[_Pair] | None = None


class _Note(_Message, frozen=True):
    time_unix_nano: int | str | None = None
    name: str | None = None
    attributes: list[_Pair] | None = None


class _Link(_Message, frozen=True):
    trace_id: str = ""
    span_id: str = ""


class _Status(_Message, frozen=True):
    code: int | str | None = None
    message: str | None = None


class _Span(_Message, frozen=True):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[_Pair] | None = None
    events: list[_Note] | None = None
    links: list[_Link] | None = None
    status: _Status | None = None


class _Resource(_Message, frozen=True):
    attributes: list[_Pair] | None = None


class _ScopeSpans(_Message, frozen=True):
    spans: list[msgspec.Raw] | None = None


class _ResourceSpans(_Message, frozen=True):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Document(_Message, frozen=True):
    resource_spans: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_document: Final = msgspec.json.Decoder(_Document)
_resource_spans: Final = msgspec.json.Decoder(_ResourceSpans)
_span: Final = msgspec.json.Decoder(_Span)


def events_of_spans(document: bytes) -> Iterator[tuple[str, TraceEvent | str]] | None:
    """Return (position, event) for the events of a document of spans; None for any other document.

    A `str` in place of an event is the reason why a span, or a part of the document, cannot be used.
    """
    spans: Iterable[tuple[str, ForeignSpan | str]] | None = None
    try:
        if b'"resourceSpans"' in document:
            found = _document.decode(document).resource_spans
            spans = None if found is msgspec.UNSET else _spans_in(found)
    except msgspec.ValidationError as error:
        return iter([("", str(error))])
    except UNREADABLE:  # the caller reads it as an event and reports the fault
        return None
    if spans is None and b'"spans"' in document:
        spans = jaeger_spans(document)
    return None if spans is None else _events_of(spans)


def _events_of(spans: Iterable[tuple[str, ForeignSpan | str]]) -> Iterator[tuple[str, TraceEvent | str]]:
    for position, span in spans:
        try:
            events: Sequence[TraceEvent | str] = [span] if isinstance(span, str) else events_of(span)
        except (EventError, RecursionError) as error:
            events = [str(error)]
        for event in events:
            yield position, event


def _spans_in(parts: Iterable[msgspec.Raw]) -> Iterator[tuple[str, ForeignSpan | str]]:
    for number, part in enumerate(parts):
        outer = f"resourceSpans[{number}]"
        try:
            found = _resource_spans.decode(part)
            resource = _attributes(found.resource.attributes if found.resource else None)
        except UNREADABLE as error:
            yield outer, str(error)
            continue
        for place, scope in enumerate(found.scope_spans or ()):
            for index, raw in enumerate(scope.spans or ()):
                position = f"{outer}.scopeSpans[{place}].spans[{index}]"
                try:
                    yield position, _foreign(_span.decode(raw), resource)
                except (EventError, *UNREADABLE) as error:
                    yield position, str(error)


def _foreign(span: _Span, resource: dict[str, Any]) -> ForeignSpan:
    started = _micros(span.start_time_unix_nano, "startTimeUnixNano")
    if not started:
        raise EventError("the span has no startTimeUnixNano")
    status = span.status or _Status()
    return ForeignSpan(
        trace_id=hex_id(span.trace_id, 32, "traceId"),
        span_id=hex_id(span.span_id, 16, "spanId"),
        parent_id=hex_id(span.parent_span_id, 16, "parentSpanId") if (span.parent_span_id or "").strip("0") else None,
        name=span.name or "",
        started=started,
        ended=_micros(span.end_time_unix_nano, "endTimeUnixNano") or None,
        kind=_kind(span.kind),
        has_failed=status.code in _FAILED,
        message=status.message or "",
        attributes=_attributes(span.attributes),
        resource=resource,
        notes=tuple(
            Note(_micros(note.time_unix_nano, "timeUnixNano") or started, note.name or "", _attributes(note.attributes))
            for note in span.events or ()
        ),
        links=tuple((link.trace_id.lower(), link.span_id.lower()) for link in span.links or ()),
    )


def _micros(nanos: int | str | None, name: str) -> int:
    """Return nanoseconds (number or text) as microseconds; 0 for none. Raises EventError."""
    text = str(nanos or 0)
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < _MOST_NANOS):
        raise EventError(f"{name} {text[:80]!r} is not a number of nanoseconds since 1970")
    return int(text) // 1000


def _kind(kind: int | str | None) -> str:
    if isinstance(kind, str):
        return kind.removeprefix("SPAN_KIND_").lower()
    return _KINDS[kind] if kind is not None and 0 <= kind < len(_KINDS) else ""


def _attributes(pairs: Iterable[_Pair] | None) -> dict[str, Any]:
    return {pair.key: _plain(pair.value) for pair in pairs or ()}


def _plain(value: _Value | None) -> Any:
    if value is None:
        return None
    if value.array_value is not None:
        return [_plain(one) for one in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values)
    if isinstance(value.int_value, str) and value.int_value.removeprefix("-").isdecimal():
        return int(value.int_value) if len(value.int_value) <= 20 else value.int_value
    choices = (value.string_value, value.bool_value, value.int_value, value.double_value, value.bytes_value)
    return next((one for one in choices if one is not None), None)
