"""Decode stored documents, and documents from other sources, as events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Final, cast

import msgspec

from sagatrace.coercion import require_storable_id
from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent, encode_event
from sagatrace.timestamps import parse_timestamp

__all__ = ["Decoded", "Malformed", "decode_documents", "decode_event", "document_of", "parse_event", "require_text"]

_FIELDS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(TraceEvent))
_DECODER: Final = msgspec.json.Decoder(TraceEvent)
_RAW_VALUES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_BLOCK: Final = 1 << 17  # bytes
_PART: Final = 100  # events whose data is kept as one text
_UNREADABLE: Final = (*UNREADABLE, ValueError)
_replace: Final = msgspec.structs.force_setattr
_trace_of: Final = attrgetter("trace_id")


class Malformed(msgspec.Struct, frozen=True):
    """A stored document that is not a valid event. Readers show it and raise no exception."""

    document_id: str
    fault: str
    excerpt: str


def require_text(document: bytes | str) -> None:
    """Raise UnicodeDecodeError for bytes that are not UTF-8. Otherwise the undecoded `data` would fail later."""
    if not document.isascii() and isinstance(document, bytes):
        document.decode()


def document_of(event: TraceEvent) -> dict[str, Any]:
    """Return the event as a JSON document. All stores use this form."""
    return cast("dict[str, Any]", msgspec.json.decode(encode_event(event)))


def decode_event(document: bytes | str) -> TraceEvent:
    """Decode a stored document. Unknown fields are ignored. Raises EventError."""
    try:
        require_text(document)
        event = _DECODER.decode(document)
        _keep_only_data([event])
    except UNREADABLE as error:
        raise EventError(str(error)) from error
    parse_timestamp(event.timestamp)
    return event


def decode_documents(documents: Iterable[tuple[str, bytes]]) -> tuple[list[TraceEvent], list[Malformed]]:
    """Decode stored (id, document) pairs. Return the events, and the malformed documents with their faults."""
    decoded = Decoded()
    decoded.add(documents)
    return decoded.events, decoded.malformed


class Decoded:
    """The decoded documents of one reading. Equal ids share one string, so that a large trace takes little memory."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self.malformed: list[Malformed] = []
        self._ids: dict[str | None, str | None] = {}

    def add(self, documents: Iterable[tuple[str, bytes]]) -> None:
        """Add (id, document) pairs."""
        rows = iter(documents)
        while part := list(islice(rows, _PART)):
            texts = [document for _, document in part]
            are_objects = all(text[:1] == b"{" and text[-1:] == b"}" for text in texts)
            if not (are_objects and self.add_joined(b"\n".join(texts), len(texts))):
                self._add_each(part)

    def add_joined(self, text: bytes, count: int) -> bool:
        """Add that many documents, joined by line ends. Return False, and add none, if not each of them is an event.

        Each document must begin with `{` and end with `}`. No JSON value goes on across `}`, a line end and `{`. So as
        many events as documents mean that each document is one event.
        """
        found: list[TraceEvent] = []
        try:
            require_text(text)
            for block in _blocks(text):
                events = _DECODER.decode_lines(block)
                all(map(datetime.fromisoformat, [event.timestamp for event in events]))
                self._compact(events)
                found += events
        except _UNREADABLE:
            return False
        if len(found) != count:
            return False
        self.events += found
        return True

    def _add_each(self, documents: Iterable[tuple[str, bytes]]) -> None:
        found: list[TraceEvent] = []
        for document_id, document in documents:
            try:
                found.append(decode_event(document))
            except EventError as error:
                excerpt = document[:200].decode("utf-8", "backslashreplace")
                self.malformed.append(Malformed(document_id, str(error), excerpt))
        self._compact(found)
        self.events += found

    def _compact(self, events: list[TraceEvent]) -> None:
        share, replace = self._ids.setdefault, _replace
        for event in events:
            trace_id, span_id, parent_id = event.trace_id, event.span_id, event.parent_span_id
            if (shared := share(trace_id, trace_id)) is not trace_id:
                replace(event, "trace_id", shared)
            if (shared := share(span_id, span_id)) is not span_id:
                replace(event, "span_id", shared)
            if (shared := share(parent_id, parent_id)) is not parent_id:
                replace(event, "parent_span_id", shared)
        for _, of_one_trace in groupby(events, _trace_of):
            while part := list(islice(of_one_trace, _PART)):
                _keep_only_data(part)


def _blocks(text: bytes) -> Iterator[bytes]:
    """Yield a text of joined documents in blocks, so small that the processor's cache holds the events of each."""
    start = 0
    while start < len(text):
        end = text.find(b"}\n{", start + _BLOCK) + 1 or len(text)
        yield text[start:end]
        start = end + 1


def _keep_only_data(events: Sequence[TraceEvent]) -> None:
    """Copy the data of these events out of their documents, so that the documents can be freed.

    The data that msgspec leaves undecoded is a view, which keeps the whole document in memory. The copies of these
    events share one text. Pass only events of one trace, because they are freed together.
    """
    holders = [event for event in events if event.raw_data is not msgspec.UNSET]
    views = cast("list[msgspec.Raw]", [event.raw_data for event in holders])
    for event, data in zip(holders, _RAW_VALUES.decode(b"[%b]" % b",".join(views)), strict=True):
        _replace(event, "raw_data", data)


def parse_event(document: bytes | str) -> TraceEvent:
    """Decode and check a document from another source. Raises EventError that names the fault.

    A document without an `id` gets a hash of its content as id, so that reading it again gives the same event.
    Fields that begin with `_` are properties of a database and are dropped.
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
        raise EventError(f"unknown field {unknown[0]!r}: an event has only {known}; put your own values into data")
    if "id" not in fields:
        fields["id"] = sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()[:32]
    if not isinstance(fields.get("data") or {}, dict):
        raise EventError(f"data is not a JSON object but {type(fields['data']).__name__}")
    event = decode_event(msgspec.json.encode(fields))
    require_storable_id(event.id)
    return event
