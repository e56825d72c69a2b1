"""The trace event: its schema, its one codec, its ids, timestamps and phases.

An event is an immutable fact. It is stored as one JSON document with the fields of `TraceEvent` and nothing
else; everything about a trace is computed from its events by readers.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, cast, get_args

import msgspec

from sagatrace.errors import EventError, is_job_timeout

__all__ = [
    "CLOSING_PHASES",
    "LONGEST",
    "MAX_ERROR",
    "MAX_STACK",
    "OPENING_PHASES",
    "UNREADABLE",
    "UNWRITABLE",
    "Status",
    "TraceEvent",
    "decode_event",
    "decode_events",
    "encode_event",
    "new_event",
    "new_id",
    "parse_event",
    "parse_timestamp",
    "require_text",
    "split_event_type",
    "timestamp_of",
    "utc_timestamp",
]

Status = Literal["success", "failed", "pending"]

MAX_ERROR: Final = 4_000  # characters kept of an error's message
MAX_STACK: Final = 16_000  # characters kept of a traceback: its end, where the error is

OPENING_PHASES: Final = frozenset({"enqueued", "scheduled", "deferred", "started", "compensating"})
# Each closing phase with the status its span gets, unless the event carries an explicit one.
CLOSING_PHASES: Final[Mapping[str, Literal["success", "failed", "stopped", "canceled"]]] = {
    "completed": "success",
    "compensated": "success",
    "failed": "failed",
    "compensation_failed": "failed",
    "abandoned": "failed",
    "stopped": "stopped",
    "canceled": "canceled",
}
_PHASES: Final = OPENING_PHASES | CLOSING_PHASES.keys() | {"retrying"}

_Name = Annotated[str, msgspec.Meta(min_length=1)]
LONGEST: Final = 255  # characters of an id that a store takes
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
_STATUSES: Final[Mapping[object, Status]] = {status: status for status in get_args(Status)}
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_UNSTORABLE: Final = re.compile(r"[/\\?#]")


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
        """The event's own values; empty when it carries none. Raises EventError when not a JSON object."""
        if self.raw_data is msgspec.UNSET:
            return {}
        try:
            return _DATA.decode(self.raw_data) or {}
        except UNREADABLE as error:
            raise EventError(f"data is not a JSON object: {error}") from error

    @property
    def micros(self) -> int:
        """The timestamp in microseconds since 1970-01-01 UTC."""
        return parse_timestamp(self.timestamp)

    def document(self) -> dict[str, Any]:
        """The event as the JSON document that every store keeps."""
        return cast("dict[str, Any]", msgspec.json.decode(_ENCODER.encode(self)))


_FIELDS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(TraceEvent))
_ENCODER: Final = msgspec.json.Encoder()
_LENIENT_ENCODER: Final = msgspec.json.Encoder(enc_hook=lambda value: _described(value))
_DECODER: Final = msgspec.json.Decoder(TraceEvent)
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_DATA: Final = msgspec.json.Decoder(dict[str, Any] | None)


UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""What msgspec raises for text that is not the JSON it was to be."""

UNWRITABLE: Final = (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError)
"""What msgspec raises for values that JSON cannot express."""


def require_text(document: bytes | str) -> None:
    """Raises UnicodeDecodeError for bytes that are no UTF-8: data, which is kept raw, would only fail later."""
    if not document.isascii() and isinstance(document, bytes):
        document.decode()


def encode_event(event: TraceEvent) -> bytes:
    """The event as one line of JSON, without a line end."""
    return _ENCODER.encode(event)


def decode_event(document: bytes | str) -> TraceEvent:
    """Read a stored document. Fields this version does not know are ignored. Raises EventError."""
    try:
        require_text(document)
        event = _DECODER.decode(document)
    except UNREADABLE as error:
        raise EventError(str(error)) from error
    parse_timestamp(event.timestamp)
    return event


def decode_events(documents: Iterable[bytes | str]) -> list[TraceEvent]:
    """Read many stored documents at a fraction of the cost of one at a time. Raises EventError at the first fault."""
    events: list[TraceEvent] = []
    decode, read_time, keep = _DECODER.decode, datetime.fromisoformat, events.append
    timestamp = ""
    try:
        for document in documents:
            if not document.isascii():
                require_text(document)
            event = decode(document)
            timestamp = event.timestamp
            read_time(timestamp)
            keep(event)
    except UNREADABLE as error:
        raise EventError(str(error)) from error
    except ValueError:
        parse_timestamp(timestamp)  # says what is wrong with it
        raise
    return events


def parse_event(document: bytes | str) -> TraceEvent:
    """Read a document from outside, checking all of it. Raises EventError that names the fault.

    A document without an `id` gets one made from its content, so that reading it again gives the same event.
    Fields beginning with `_` are a database's own and are dropped.
    """
    try:
        fields = msgspec.json.decode(document)
    except UNREADABLE as error:
        raise EventError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise EventError(f"not a JSON object but {type(fields).__name__}")
    fields = {name: value for name, value in fields.items() if not name.startswith("_")}
    if unknown := sorted(fields.keys() - _FIELDS):
        known = ", ".join(sorted(_FIELDS))
        raise EventError(f"unknown field {unknown[0]!r}: an event has only {known}; own values go into data")
    if "id" not in fields:
        fields["id"] = sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()[:32]
    if not isinstance(fields.get("data") or {}, dict):
        raise EventError(f"data is not a JSON object but {type(fields['data']).__name__}")
    event = decode_event(msgspec.json.encode(fields))
    if _UNSTORABLE.search(event.id):
        raise EventError(f"id {event.id!r} holds one of / \\ ? #, which no Cosmos DB item id may")
    return event


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
    """Make an event of now, with a new id unless given one. Raises EventError.

    `data` may hold anything: what JSON cannot express is stored as its type and a bounded `repr`.
    """
    if timestamp:
        parse_timestamp(timestamp := _text("timestamp", timestamp))
    return TraceEvent(
        id=_id(id) if id else new_id(),
        trace_id=_text("trace_id", trace_id, LONGEST),
        span_id=_text("span_id", span_id),
        parent_span_id=_text("parent_span_id", parent_span_id) if parent_span_id else None,
        event_type=_text("event_type", event_type),
        timestamp=timestamp or utc_timestamp(),
        status=_status(status) if status is not None else None,
        raw_data=_raw(data) if data else msgspec.UNSET,
        tags=_tags(tags) if tags else None,
    )


def _id(value: object) -> str:
    text = _text("id", value, LONGEST)
    if _UNSTORABLE.search(text):
        raise EventError(f"id {text!r} holds one of / \\ ? #, which no Cosmos DB item id may")
    return text


def _status(value: object) -> Status:
    status = _STATUSES.get(value) if isinstance(value, str) else None
    if status is None:
        raise EventError(f"status {_shown(value):.300} is none of success, failed, pending")
    return status


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    if not isinstance(tags, Iterable):
        raise EventError(f"tags are no list of text but {type(tags).__name__}")
    listed = (tags,) if isinstance(tags, str) else tags
    return tuple(["" if tag == "" else _text("tag", tag) for tag in listed])


def _text(name: str, value: object, longest: int | None = None) -> str:
    """The value as it is stored, and no more than that: a lone surrogate takes six characters."""
    text = value
    if isinstance(value, str) and (type(value) is not str or not value.isascii()):
        text = _encodable(value)
    if not isinstance(text, str) or not text or (longest is not None and len(text) > longest):
        wanted = f"text of 1 to {longest} characters" if longest else "text"
        raise EventError(f"{name} {_shown(value):.300} is no {wanted}")
    return text


def _raw(data: Mapping[str, Any]) -> msgspec.Raw:
    """The data as JSON; what cannot be written so is described, value by value: the event matters more."""
    if type(data) is not dict and not isinstance(data, Mapping):
        raise EventError(f"data is not a JSON object but {type(data).__name__}")
    values = dict(data)
    try:
        if not _SCALARS.issuperset(map(type, values.values())):
            # Each by itself: what is JSON only together with its neighbours may say something in their name.
            values = {key: value if type(value) in _SCALARS else _alone(value) for key, value in values.items()}
        return msgspec.Raw(_LENIENT_ENCODER.encode(values))
    except UNWRITABLE:
        return msgspec.Raw(_ENCODER.encode({_key(key): _value(value) for key, value in values.items()}))


def _alone(value: object) -> msgspec.Raw:
    """JSON of one line; a `msgspec.Raw` is written as it is, and may be none. Raises one of `UNWRITABLE`."""
    encoded = _LENIENT_ENCODER.encode(value)
    require_text(encoded)
    _ANY.decode(encoded)
    return msgspec.Raw(msgspec.json.format(encoded, indent=-1) if b"\n" in encoded else encoded)


def _value(value: object) -> msgspec.Raw:
    try:
        return _alone(_plain(value))
    except UNWRITABLE:
        return msgspec.Raw(_ENCODER.encode(_described(value)))


def _plain(value: Any) -> Any:
    """The value with every string made encodable and every key made a string."""
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value


def _key(key: object) -> str:
    return _encodable(key if isinstance(key, str) else _shown(key))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _described(value: object) -> str:
    """What to keep of a value that JSON cannot express."""
    return _encodable(f"{type(value).__qualname__}: {_shown(value)}")


def _shown(value: object) -> str:
    """The beginning of its `repr`, which is foreign code and may raise anything."""
    try:
        return repr(bytes(value) if isinstance(value, msgspec.Raw) else value)[:1000]
    except Exception as error:
        if is_job_timeout(error):
            raise
        return f"<repr failed: {type(error).__name__}>"


def new_id() -> str:
    """A UUIDv7 (RFC 9562): sortable by time of emission, here to 1/4096 of a millisecond.

    Own code because the entropy must come from the kernel on every call: generators that keep state in the
    process repeat themselves in forked children.
    """
    millis, rest = divmod(time.time_ns(), 1_000_000)
    entropy = int.from_bytes(os.urandom(8)) >> 2
    value = millis << 80 | 7 << 76 | (rest * 4096 // 1_000_000) << 64 | 2 << 62 | entropy
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def utc_timestamp(moment: datetime | None = None) -> str:
    """The moment (default now) as fixed-width UTC with microseconds: `2025-12-22T10:00:01.100000Z`."""
    if moment is None:
        return timestamp_of(time.time_ns())
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:26] + "Z"


def timestamp_of(nanos: int) -> str:
    """The moment so many nanoseconds after 1970, as `utc_timestamp` writes it.

    Own code, as each work-horse pays for what memory it touches: 12 µs there, `datetime` takes 40 for the same.
    """
    global _today  # a worker computes it once a day, its work-horses inherit it
    midnight, date = _today
    micros = nanos // 1000
    if not 0 <= (since := micros - midnight) < _DAY:
        midnight, since = micros - micros % _DAY, micros % _DAY
        date = (_EPOCH + timedelta(microseconds=midnight)).isoformat()[:11]
        _today = midnight, date
    seconds, fraction = divmod(since, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return "%s%02d:%02d:%02d.%06dZ" % (date, hour, minute, second, fraction)  # noqa: UP031 - an f-string touches more


_DAY: Final = 86_400_000_000  # microseconds
_today = (0, "")  # when it began, in microseconds since 1970, and how its timestamps begin


def parse_timestamp(text: str) -> int:
    """Any ISO 8601 timestamp as microseconds since 1970 UTC; without an offset it is taken as UTC.

    Digits past the microsecond are dropped. Raises EventError that names the text.
    """
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise EventError(f"timestamp {text[:64]!r} is not ISO 8601: {error}") from error


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def split_event_type(event_type: str) -> tuple[str, str | None]:
    """`stage:validate:completed` → (`stage:validate`, `completed`); no known phase → (the whole, None)."""
    name, _, phase = event_type.rpartition(":")
    if phase in _PHASES:
        return name or phase, phase
    return event_type, None
