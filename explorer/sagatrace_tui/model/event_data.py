"""What the model reads of an event's `data`: a few values by name, everything else stays undecoded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import compress
from operator import attrgetter
from typing import Any, Final

import msgspec

from sagatrace.events import UNREADABLE, TraceEvent

__all__ = ["Facts", "Links", "facts_of", "is_readable", "links_of_all", "named", "text_of"]


class Links(msgspec.Struct, frozen=True, gc=False):
    """What ties a step to its undoing: needed of every event before a verdict can be given."""

    original_span_id: Any = None
    compensation: Any = None


class Facts(msgspec.Struct, frozen=True, gc=False):
    """The values read of the few spans that are looked at more closely. Jobs may have written anything there."""

    job_name: Any = None
    queue: Any = None
    worker: Any = None
    host: Any = None
    attempt: Any = None
    attempts_allowed: Any = None
    error: Any = None
    error_type: Any = None
    reason: Any = None
    presumed: Any = None
    seq: Any = None
    depends_on: Any = None
    dependency: Any = None
    allow_failure: Any = None
    next_at: Any = None
    scheduled_for: Any = None
    original_span_id: Any = None
    compensation: Any = None


_NO_FACTS: Final = Facts()
_links: Final = msgspec.json.Decoder(Links | None)
_facts: Final = msgspec.json.Decoder(Facts | None)
_RAW_DATA_OF: Final = attrgetter("raw_data")


def links_of_all(events: Sequence[TraceEvent]) -> tuple[list[tuple[TraceEvent, Links]], list[str]]:
    """The events that have any link, with it, in the order given; and the ids of those whose data is no object."""
    with suppress(TypeError, *UNREADABLE):  # in most traces all have data, and all of it is an object
        return _linked(events), []
    told = [event for event in events if event.raw_data is not msgspec.UNSET]
    with suppress(*UNREADABLE):
        return _linked(told), []
    readable = list(map(is_readable, told))
    unreadable = [event.id for event, is_good in zip(told, readable, strict=True) if not is_good]
    return _linked(list(compress(told, readable))), unreadable


def _linked(events: Sequence[TraceEvent]) -> list[tuple[TraceEvent, Links]]:
    """Those that have any link, with it. Raises what a decoder does at data that is no object, or missing."""
    return [
        (event, links)
        for event, links in zip(events, map(_links.decode, map(_RAW_DATA_OF, events)), strict=True)
        if links is not None and (links.compensation is not None or links.original_span_id is not None)
    ]


def facts_of(event: TraceEvent) -> Facts:
    """The values in one event's data; none where it has no data, or data that is no object."""
    if event.raw_data is msgspec.UNSET:
        return _NO_FACTS
    try:
        return _facts.decode(event.raw_data) or _NO_FACTS
    except UNREADABLE:
        return _NO_FACTS


def is_readable(event: TraceEvent) -> bool:
    """Whether the event's data, if it has any, is a JSON object."""
    if event.raw_data is msgspec.UNSET:
        return True
    try:
        _links.decode(event.raw_data)
    except UNREADABLE:
        return False
    return True


def text_of(value: object) -> str | None:
    """What a job wrote where a text belongs, as a text."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def named(*values: object) -> tuple[str, ...]:
    """Ids out of values that may each be one, a list of them, or something else altogether."""
    ids: dict[str, None] = {}
    for value in values:
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, str) and item:
                ids[item] = None
    return tuple(ids)
