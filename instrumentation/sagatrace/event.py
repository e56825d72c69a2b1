"""The trace event: its schema and its ids.

An event is an immutable fact. A store keeps it as one JSON document with the fields of `TraceEvent` and nothing else.
Readers compute everything about a trace from its events. They decode them with `sagatrace.stores.codec`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from sagatrace.errors import EventError
from sagatrace.interruptions import must_pass
from sagatrace.timestamps import parse_timestamp, utc_timestamp

__all__ = [
    "LONGEST", "UNREADABLE", "Status", "TraceEvent", "encode_event", "new_event", "new_id", "require_storable_id",
]  # fmt: skip

Status = Literal["success", "failed", "pending"]

LONGEST: Final = 255  # characters of an id that a store takes
_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
_UNSTORABLE: Final = frozenset("/\\?# ")
_STORABLE: Final = re.compile(r"[^/\\?#\x00-\x1f\x7f-\x9f]*[^/\\?#\x00-\x20\x7f-\x9f]")
_STATUSES: Final[tuple[str, ...]] = get_args(Status)
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""The errors of msgspec for text that is not the expected JSON."""
_UNWRITABLE: Final = (*UNREADABLE, TypeError, ValueError, OverflowError)


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
_encode_leniently: Final = msgspec.json.Encoder(enc_hook=lambda value: _described(value)).encode
_decode: Final = msgspec.json.Decoder(TraceEvent).decode


def encode_event(event: TraceEvent) -> bytes:
    """Return the event as one line of JSON, without a line end."""
    return _encode(event)


def new_event(
    *,
    trace_id: str,
    span_id: str,
    event_type: str,
    parent_span_id: str | None = None,
    status: Status | None = None,
    data: Mapping[str, Any] | None = None,
    tags: Iterable[str] | None = None,
    id: str | None = None,  # noqa: A002 - the field's name in the stored document
    timestamp: str | None = None,
) -> TraceEvent:
    """Return a new event, by default with a new id and the current time. Raises EventError that names the fault.

    `data` may hold any values. A value that JSON cannot express is stored as its type and the beginning of its `repr`.
    """
    if data is not None and not isinstance(data, Mapping):
        raise EventError(f"data is a {type(data).__name__}, not a mapping")
    fields: dict[str, Any] = {
        "id": id or new_id(),
        "trace_id": trace_id,
        "span_id": span_id,
        "event_type": event_type,
        "timestamp": timestamp or utc_timestamp(),
        "parent_span_id": parent_span_id or None,
        "status": status,
        "tags": tags or None,
    }
    if not _is_plain(fields):
        fields = _checked(fields)
    if timestamp:
        parse_timestamp(fields["timestamp"])
    return TraceEvent(**fields, raw_data=_raw(data) if data else msgspec.UNSET)


def _is_plain(fields: Mapping[str, Any]) -> bool:
    """Return whether all texts are short and ASCII, and the id is storable. Most events pass this quick check."""
    required = ("id", "trace_id", "span_id", "event_type", "timestamp")
    texts = [*map(fields.__getitem__, required), fields["parent_span_id"] or "-"]
    return (
        fields["tags"] is None
        and (fields["status"] is None or (type(fields["status"]) is str and fields["status"] in _STATUSES))
        and all(type(text) is str and 0 < len(text) <= LONGEST and text.isascii() for text in texts)
        and fields["id"].isprintable()
        and _UNSTORABLE.isdisjoint(fields["id"])
    )


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as a reader decodes them. Raises EventError that names the fault."""
    try:
        tags = fields["tags"]
        listed = {**fields, "tags": [tags] if isinstance(tags, str) else list(tags or ()) or None}
        event = _decode(_encode({name: _plain(value) for name, value in listed.items()}))
    except _UNWRITABLE as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.partition("`")[0].partition("[")[0]
        raise EventError(f"{name or 'event'} {_shown(fields.get(name, fields)):.300}: {reason}") from error
    require_storable_id(event.id)
    return {name: getattr(event, name) for name in fields}


def require_storable_id(event_id: str) -> None:
    """Raise EventError for an id that Cosmos DB cannot address: it would block the delivery of other events."""
    if not _STORABLE.fullmatch(event_id):
        raise EventError(
            f"id {event_id!r} holds one of / \\ ? #, a control character or a space at its end: "
            "Cosmos DB cannot address such an item id"
        )


def _raw(data: Mapping[Any, Any]) -> msgspec.Raw:
    """Return the data as JSON of one line."""
    try:
        # Each value by itself: a malformed Raw value could change its neighbors.
        plain = {key: value if type(value) in _SCALARS else _written(value) for key, value in data.items()}
        return msgspec.Raw(_encode(plain))
    except _UNWRITABLE as error:
        if must_pass(error):
            raise
        named = {_plain(key if isinstance(key, str) else _shown(key)): value for key, value in data.items()}
        return msgspec.Raw(_encode({name: _written(value) for name, value in named.items()}))


def _written(value: object) -> msgspec.Raw:
    """Return the value as JSON of one line; if JSON cannot express it, its description."""
    try:
        encoded = _encode_leniently(_plain(value))
        msgspec.json.decode(encoded)
        return msgspec.Raw(msgspec.json.format(encoded, indent=-1) if b"\n" in encoded else encoded)
    except _UNWRITABLE as error:
        if must_pass(error):
            raise
        return msgspec.Raw(_encode(_described(value)))


def _plain(value: object) -> object:
    """Return text, and lists of text, with each lone surrogate written as six characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _described(value: object) -> object:
    return _plain(f"{type(value).__qualname__}: {_shown(value)}")


def _shown(value: object) -> str:
    """Return the beginning of the value's `repr`, which is foreign code and may raise any exception."""
    try:
        return repr(bytes(value) if isinstance(value, msgspec.Raw) else value)[:1000]
    except Exception as error:
        if must_pass(error):
            raise
        return f"<repr failed: {type(error).__name__}>"


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): sortable by time of emission, here to 1/4096 of a millisecond.

    The entropy must come from the kernel at every call: a generator with state in the process repeats itself in
    forked children.
    """
    millis, rest = divmod(time.time_ns(), 1_000_000)
    entropy = int.from_bytes(os.urandom(8)) >> 2
    digits = f"{millis << 80 | 7 << 76 | (rest * 4096 // 1_000_000) << 64 | 2 << 62 | entropy:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
