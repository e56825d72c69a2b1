"""Read the few values of an event's `data` that the model needs. All other values stay undecoded."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent
from sagatrace.timestamps import parse_timestamp

__all__ = ["UNTIED", "EventData", "Links", "data_of", "decode_links", "execution_of", "ids_in", "moment_of", "text_of"]


class Links(msgspec.Struct, frozen=True, gc=False):
    """The values that relate a step to its compensation. Every verdict needs them for every event.

    `sagatrace_sample` marks a trace whose earlier events were not recorded.
    """

    original_span_id: Any = None
    compensation: Any = None
    sagatrace_sample: Any = None


class EventData(msgspec.Struct, frozen=True, gc=False):
    """The values read for the few spans that need a closer look. A job may have written any value."""

    job_name: Any = None
    queue: Any = None
    worker: Any = None
    host: Any = None
    attempt: Any = None
    attempts_allowed: Any = None
    error: Any = None
    error_type: Any = None
    error_causes: Any = None
    took_effect: Any = None
    reason: Any = None
    presumed: Any = None
    seq: Any = None
    depends_on: Any = None
    dependency: Any = None
    allow_failure: Any = None
    next_at: Any = None
    scheduled_for: Any = None
    execution: Any = None


_EMPTY: Final = EventData()
UNTIED: Final = Links()
decode_links: Final = msgspec.json.Decoder(Links | None).decode
_data: Final = msgspec.json.Decoder(EventData | None)


def data_of(event: TraceEvent) -> EventData:
    """Return these values of one event. All are absent if its data is missing or not a JSON object."""
    if event.raw_data is msgspec.UNSET:
        return _EMPTY
    try:
        return _data.decode(event.raw_data) or _EMPTY
    except UNREADABLE:
        return _EMPTY


def execution_of(event: TraceEvent) -> str | None:
    """Return the RQ execution of a job's event, from its data or else from its id. Return None if unknown.

    Workers name the events of an execution after it: `<execution>:start` and `<execution>:end`.
    """
    execution = data_of(event).execution
    if isinstance(execution, str) and execution:
        return execution
    name, _, suffix = event.id.rpartition(":")
    return name if name and suffix in ("start", "end") else None


def text_of(value: object) -> str | None:
    """Return a job's value as text. The value may have any type."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def ids_in(*values: object) -> tuple[str, ...]:
    """Return the span ids in values that may each be an id, a list of ids, or anything else."""
    items = (item for value in values for item in (value if isinstance(value, list) else (value,)))
    return tuple(dict.fromkeys(item for item in items if isinstance(item, str) and item))


def moment_of(value: object) -> int | None:
    """Return a time from an event's data, or None. The value may have any type."""
    try:
        return parse_timestamp(value) if isinstance(value, str) else None
    except EventError:
        return None
