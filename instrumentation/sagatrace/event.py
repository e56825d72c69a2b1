"""The trace event: its schema and its ids.

An event is an immutable fact. A store keeps it as one JSON document with the fields of `TraceEvent` and nothing else.
Readers compute everything about a trace from its events. They decode them with `sagatrace.stores.codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from sagatrace.errors import EventError
from sagatrace.ids import new_id
from sagatrace.interruptions import Tolerated
from sagatrace.timestamps import parse_timestamp, utc_timestamp

__all__ = ["UNREADABLE", "UNWRITABLE", "Status", "TraceEvent", "encode_event", "json_of", "new_event"]

Status = Literal["success", "failed", "pending"]

_LONGEST: Final = 255  # characters of an id that a store takes
_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST)]
_UNSTORABLE: Final = frozenset("/\\?# ")
_STATUSES: Final[tuple[str, ...]] = get_args(Status)
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""The errors of msgspec for text that is not the expected JSON."""
UNWRITABLE: Final = (*UNREADABLE, TypeError, ValueError, OverflowError)
"""The errors of msgspec for values that JSON cannot express."""
_TOLERATED: Final = Tolerated(*UNWRITABLE)


class TraceEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One stored document. `raw_data` is the JSON of `data`, decoded only where it is read."""

    id: _Key
    trace_id: _Key
    span_id: _Name
    event_type: _Name
    timestamp: _Name
    parent_span_id: str | None = None
    status: Status | None = None
    raw_data: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="data")
    tags: tuple[str, ...] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """The event's own values; empty if it carries none. Raises EventError if they are not a JSON object."""
        if self.raw_data is msgspec.UNSET:
            return {}
        try:
            return msgspec.json.decode(self.raw_data, type=dict[str, Any] | None) or {}
        except UNREADABLE as error:
            raise EventError(f"data is not a JSON object: {error}") from error

    @property
    def micros(self) -> int:
        """The timestamp in microseconds since 1970-01-01 UTC."""
        return parse_timestamp(self.timestamp)


_encode: Final = msgspec.json.Encoder().encode
encode_event: Final[Callable[[TraceEvent], bytes]] = _encode  # to one line of JSON, without a line end


def new_event(
    *,
    trace_id: str,
    span_id: str | None,
    event_type: str,
    parent_span_id: str | None = None,
    status: Status | None = None,
    data: Mapping[str, Any] | None = None,
    tags: Iterable[str] | None = None,
    id: str | None = None,  # noqa: A002 - the field's name in the stored document
    timestamp: str | None = None,
) -> TraceEvent:
    """Return a new event, by default with new ids and the current time. Raises EventError that names the fault.

    `data` may hold any values. A value that JSON cannot express is stored as its type and the beginning of its `repr`.
    """
    if data is not None and not isinstance(data, (dict, Mapping)):  # `dict` is found faster
        raise EventError(f"data is a {type(data).__name__}, not a mapping")
    fields: dict[str, Any] = {
        "id": id or new_id(),
        "trace_id": trace_id,
        "span_id": new_id() if span_id is None else span_id,
        "event_type": event_type,
        "timestamp": timestamp or utc_timestamp(),
        "parent_span_id": parent_span_id or None,
        "status": status,
        "tags": (tuple(tags) if type(tags) is list else tags) or None,
    }
    if not _is_plain(fields):
        from sagatrace.coercion import coerced_fields  # most events do not need it

        fields = coerced_fields(fields)
    if timestamp:
        parse_timestamp(fields["timestamp"])
    return TraceEvent(**fields, raw_data=json_of(data) if data else msgspec.UNSET)


def _is_plain(fields: Mapping[str, Any]) -> bool:
    """Return whether all texts are short and printable, and the id is storable. Most events pass this quick check."""
    *required, parent, status, tags = fields.values()
    texts = [*required, parent or "-"]
    return (
        {*map(type, texts)} == {str}
        and all(texts)
        and max(map(len, texts)) <= _LONGEST
        and "".join(texts).isprintable()
        and _UNSTORABLE.isdisjoint(fields["id"])
        and (status is None or (type(status) is str and status in _STATUSES))
        and (tags is None or (type(tags) is tuple and {*map(type, tags)} == {str} and "".join(tags).isprintable()))
    )


def json_of(data: Mapping[Any, Any]) -> msgspec.Raw:
    """Return an event's data as JSON of one line. A value that JSON cannot express is stored as its description."""
    with _TOLERATED:
        if _SCALARS.issuperset(map(type, data.values())):
            return msgspec.Raw(_encode(data))
        # Each value by itself: a malformed Raw value could change its neighbors.
        return msgspec.Raw(_encode({key: _json_value(value) for key, value in data.items()}))
    from sagatrace.coercion import coerced_data  # only where JSON cannot express the data

    return coerced_data(data)


def _json_value(value: object) -> msgspec.Raw:
    encoded = _encode(value)
    msgspec.json.decode(encoded)
    if b"\n" in encoded:
        raise ValueError("more than one line")
    return msgspec.Raw(encoded)
