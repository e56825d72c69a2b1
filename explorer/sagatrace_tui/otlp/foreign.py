"""A span of another tracer, and its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, new_event
from sagatrace.phases import split_event_type
from sagatrace.stores.codec import parse_event
from sagatrace_tui.model.event_data import EventData, Links
from sagatrace_tui.model.text import iso

__all__ = ["EVENT_ATTRIBUTE", "ForeignSpan", "Note", "events_of", "hex_id"]

EVENT_ATTRIBUTE: Final = "sagatrace.event"
"""The attribute of a span's event that holds a sagatrace event as JSON."""

_OURS: Final = "sagatrace."
# Names with a meaning in event data. An attribute of another tracer with such a name means something else.
_MEANT: Final = frozenset(
    {one.name for part in (EventData, Links) for one in msgspec.structs.fields(part)} | {"workflow_id", "group"}
)


class Note(msgspec.Struct, frozen=True):
    """An event of a foreign span, such as an exception. `at` is in microseconds since 1970."""

    at: int
    name: str
    attributes: Mapping[str, Any]


class ForeignSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span of another tracer. Ids are lower-case hex digits. Times are microseconds since 1970.

    `ended` is None for an open span. `resource` are the attributes of the process. `links` are (trace id, span id).
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    started: int
    ended: int | None
    kind: str = ""
    has_failed: bool = False
    message: str = ""
    attributes: Mapping[str, Any] = msgspec.field(default_factory=dict)
    resource: Mapping[str, Any] = msgspec.field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def hex_id(text: object, digits: int, name: str) -> str:
    """Return an id in lower case.

    Args:
        text: the id.
        digits: the number of hex digits it must have.
        name: the name of the field, for the error.

    Raises:
        EventError: the id has other characters, another length, or only zeros.
    """
    if not isinstance(text, str) or len(text) != digits or text.strip("0123456789abcdefABCDEF") or not text.strip("0"):
        raise EventError(f"{name} {str(text)[:80]!r} is not an id of {digits} hex digits")
    return text.lower()


def events_of(span: ForeignSpan) -> list[TraceEvent]:
    """Return the events of a span: the sagatrace events that it carries, or else its start, notes and end.

    The ids of the events come from the span's ids, so reading a span again returns the same events.

    Raises:
        EventError: the span, or an event that it carries, cannot be used.
    """
    carried = [note.attributes[EVENT_ATTRIBUTE] for note in span.notes if EVENT_ATTRIBUTE in note.attributes]
    return [_carried(text) for text in carried] or list(_made(span))


def _carried(text: object) -> TraceEvent:
    if not isinstance(text, str):
        raise EventError(f"the attribute {EVENT_ATTRIBUTE} is not text")
    return parse_event(text)


def _made(span: ForeignSpan) -> Iterator[TraceEvent]:
    if span.ended is not None and span.ended < span.started:
        raise EventError("the span ends before it starts")
    name = span.name or "span"
    # Events of the same moment sort by id: begin, during, end.
    yield _event(span, "begin", f"{name}:started", span.started, _opening(span))
    for number, note in enumerate(span.notes):
        yield _event(span, f"during-{number:06}", _type_of(note), note.at, _data(note.attributes))
    if span.ended is not None and span.has_failed:
        yield _event(span, "end", f"{name}:failed", span.ended, _error(span))
    elif span.ended is not None:
        yield _event(span, "end", f"{name}:completed", span.ended, {})


def _event(span: ForeignSpan, suffix: str, event_type: str, at: int, data: Mapping[str, Any]) -> TraceEvent:
    timestamp = iso(at)
    if timestamp is None:
        raise EventError(f"the time {at} µs is not within the years 1 to 9999")
    return new_event(
        id=f"{span.trace_id}-{span.span_id}-{suffix}",
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        event_type=event_type,
        timestamp=timestamp,
        data=data,
    )


def _opening(span: ForeignSpan) -> dict[str, Any]:
    data = _data({**span.resource, **span.attributes})
    if span.kind:
        data["span.kind"] = span.kind
    if isinstance(host := span.resource.get("host.name"), str):
        data["host"] = host
    if span.links:
        data["links"] = [{"trace_id": trace_id, "span_id": span_id} for trace_id, span_id in span.links]
    return data


def _type_of(note: Note) -> str:
    """Return the event type of a note. A name such as `failed` must not end its span."""
    return f"{note.name}:event" if split_event_type(note.name)[1] else note.name or "event"


def _error(span: ForeignSpan) -> dict[str, Any]:
    raised: Mapping[str, Any] = next((note.attributes for note in reversed(span.notes) if note.name == "exception"), {})
    found = {
        "error": span.message or raised.get("exception.message"),
        "error_type": raised.get("exception.type"),
        "stack": raised.get("exception.stacktrace"),
    }
    return {key: value for key, value in found.items() if value}


def _data(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as event data. Names with a meaning in event data need the prefix `sagatrace.`."""
    return {_key(name): value for name, value in attributes.items()}


def _key(name: str) -> str:
    if name in _MEANT:
        return f"attribute.{name}"
    ours = name.removeprefix(_OURS)
    return ours if ours in _MEANT else name
