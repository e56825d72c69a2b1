"""The conditions of a search, and the definition of a match.

A search finds a trace if a single event of it meets every condition. A store passes the search to its database or calls
`Search.matches`. The contract tests require the same results from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from sagatrace.errors import EventError, SearchError
from sagatrace.event import UNREADABLE, Status, TraceEvent
from sagatrace.phases import CLOSING_PHASES, split_event_type

__all__ = ["MAX_LIMIT", "DataIs", "Scalar", "Search", "TraceHit", "data_condition", "event_status"]

Scalar = str | int | float | bool | None
MAX_LIMIT: Final = 10_000
_MAX_DEPTH: Final = 32
_LARGEST_FLOAT: Final = 2**1023


class TraceHit(msgspec.Struct, frozen=True):
    """A trace found by a search, and the time of its latest matching event (microseconds since 1970)."""

    trace_id: str
    latest: int


class DataIs(msgspec.Struct, frozen=True):
    """A condition on `data`: the value at the path of keys equals any of the values.

    Values are equal as in JSON: text is never a number, `true` is not 1, but 5 is 5.0. Numbers compare as 64-bit
    floats, as Cosmos DB stores them. An absent key matches no value, not even null.
    """

    path: tuple[str, ...]
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.path) <= _MAX_DEPTH or not all(self.path):
            raise SearchError(f"data path {'.'.join(self.path)!r} names no key: write e.g. customer.tier=gold")
        if not self.values:
            raise SearchError(
                f"data condition on {'.'.join(self.path)!r} gives no value: write e.g. customer.tier=gold"
            )

    def matches(self, data: Mapping[str, Any]) -> bool:
        """Return whether the data meets the condition."""
        found: Any = data
        for key in self.path:
            if not isinstance(found, Mapping) or key not in found:
                return False
            found = found[key]
        return any(_equal(found, value) for value in self.values)


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A search for the newest `limit` traces with an event that meets every condition.

    since, until    microseconds since 1970; `since` is included, `until` is not
    trace_prefix    the trace id, or its beginning
    status          the event's status, or else the status of its phase (`job:failed` is failed)
    event_type      the whole event type, e.g. `job:failed`
    tag             a tag of the event
    error           part of `data.error` or `data.error_type`, in any letter case
    data            conditions on values in `data`, also nested ones
    before, before_trace
                    the end of the previous page, set by `after`

    Text compares exactly, with its letter case, except for `error`.
    """

    limit: int = 50
    before: int | None = None
    before_trace: str = ""
    since: int | None = None
    until: int | None = None
    trace_prefix: str = ""
    status: Status | None = None
    event_type: str = ""
    tag: str = ""
    error: str = ""
    data: tuple[DataIs, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise SearchError(f"search limit {self.limit} is not between 1 and {MAX_LIMIT}")

    def after(self, hit: TraceHit) -> Search:
        """Return the search for the page after this hit.

        Traces with the same `latest` are ordered by id, so that no trace is lost between two pages.
        """
        return replace(self, before=hit.latest, before_trace=hit.trace_id)

    @property
    def reads_documents(self) -> bool:
        """Whether a condition needs more than an event's trace id and time."""
        return bool(self.status or self.event_type or self.tag or self.error or self.data)

    def in_window(self, trace_id: str, at: int) -> bool:
        """Return whether an event of that trace and time can be on this page."""
        if not trace_id.startswith(self.trace_prefix):
            return False
        if (self.since is not None and at < self.since) or (self.until is not None and at >= self.until):
            return False
        if self.before is None or at < self.before:
            return True
        return at == self.before and trace_id < self.before_trace

    def matches(self, event: TraceEvent) -> bool:
        """Return whether the event meets every condition on its content."""
        if self.status is not None and event_status(event) != self.status:
            return False
        if self.event_type and event.event_type != self.event_type:
            return False
        if self.tag and self.tag not in (event.tags or ()):
            return False
        return not (self.error or self.data) or self._matches_data(event)

    def _matches_data(self, event: TraceEvent) -> bool:
        try:
            data = event.data
        except EventError:
            return False  # the trace reports it as an anomaly; a search does not find it
        if self.error:
            wanted = self.error.lower()
            texts = (data.get("error"), data.get("error_type"))
            if not any(isinstance(text, str) and wanted in text.lower() for text in texts):
                return False
        return all(condition.matches(data) for condition in self.data)


def event_status(event: TraceEvent) -> str | None:
    """Return the event's status, or else the status of its phase; None if the phase has none."""
    if event.status is not None:
        return event.status
    _, phase = split_event_type(event.event_type)
    return CLOSING_PHASES.get(phase) if phase else None


def data_condition(text: str) -> DataIs:
    """Parse a condition such as `customer.tier=gold`: a path of keys and a value. Raises SearchError.

    A JSON number, true, false or null matches as a JSON value and as text. In double quotes it matches only as text. A
    dot or equals sign inside a key needs a backslash before it.
    """
    path, rest = _read_path(text)
    if rest is None or not all(path):
        raise SearchError(f"data condition {text!r} is not KEY=VALUE: write e.g. customer.tier=gold")
    try:
        value = msgspec.json.decode(rest)
    except UNREADABLE:
        return DataIs(path, (rest,))
    if isinstance(value, str):
        return DataIs(path, (value,))
    if isinstance(value, (dict, list)):
        raise SearchError(
            f"data condition {text!r} asks for a list or object: only text, numbers, true, false and null"
        )
    return DataIs(path, (rest, value))


def _read_path(text: str) -> tuple[tuple[str, ...], str | None]:
    keys, key, position = [], "", 0
    while position < len(text):
        sign = text[position]
        if sign == "\\" and position + 1 < len(text):
            position += 1
            key += text[position]
        elif sign == ".":
            keys.append(key)
            key = ""
        elif sign == "=":
            return (*keys, key), text[position + 1 :]
        else:
            key += sign
        position += 1
    return (*keys, key), None


def _equal(found: Any, wanted: Scalar) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool) or found is None or wanted is None:
        return found is wanted
    if isinstance(found, str) or isinstance(wanted, str):
        return isinstance(found, str) and isinstance(wanted, str) and found == wanted
    if not isinstance(found, (int, float)):
        return False
    if abs(found) > _LARGEST_FLOAT or abs(wanted) > _LARGEST_FLOAT:
        return found == wanted
    return float(found) == float(wanted)
