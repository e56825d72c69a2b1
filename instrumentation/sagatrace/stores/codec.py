"""Decode stored documents and documents from outside as events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, cast

import msgspec

from sagatrace.coercion import require_storable_id
from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent, encode_event
from sagatrace.timestamps import parse_timestamp

__all__ = ["decode_event", "decode_events", "document_of", "parse_event", "require_text"]

_FIELDS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(TraceEvent))
_DECODER: Final = msgspec.json.Decoder(TraceEvent)


def require_text(document: bytes | str) -> None:
    """Raise UnicodeDecodeError for bytes that are not UTF-8. `data` stays undecoded, so it would fail later."""
    if not document.isascii() and isinstance(document, bytes):
        document.decode()


def document_of(event: TraceEvent) -> dict[str, Any]:
    """Return the event as the JSON document that every store keeps."""
    return cast("dict[str, Any]", msgspec.json.decode(encode_event(event)))


def decode_event(document: bytes | str) -> TraceEvent:
    """Read a stored document. Fields that this version does not know are ignored. Raises EventError."""
    try:
        require_text(document)
        event = _DECODER.decode(document)
    except UNREADABLE as error:
        raise EventError(str(error)) from error
    parse_timestamp(event.timestamp)
    _keep_only_data(event)
    return event


def decode_events(documents: Iterable[bytes | str]) -> list[TraceEvent]:
    """Read many stored documents, faster than one by one. Raises EventError at the first fault."""
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
            _keep_only_data(event)
            keep(event)
    except UNREADABLE as error:
        raise EventError(str(error)) from error
    except ValueError:
        parse_timestamp(timestamp)  # raises an error that names the fault
        raise
    return events


def _keep_only_data(event: TraceEvent) -> None:
    """Let go of the document: what msgspec leaves undecoded is a view that keeps all of it in memory."""
    if isinstance(event.raw_data, msgspec.Raw):
        msgspec.structs.force_setattr(event, "raw_data", event.raw_data.copy())


def parse_event(document: bytes | str) -> TraceEvent:
    """Read a document from outside and check all of it. Raises EventError that names the fault.

    A document without an `id` gets a hash of its content as id, so reading it again gives the same event.
    Fields that begin with `_` belong to a database and are dropped.
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
    require_storable_id(event.id)
    return event
