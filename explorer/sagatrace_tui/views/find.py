"""Find text inside a trace: in names, ids, errors, data and tags. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sagatrace.event import UNREADABLE, TraceEvent, encode_event
from sagatrace_tui.model import Span, Trace

__all__ = ["find"]


def find(trace: Trace, text: str, *, go_on: Callable[[], bool] = lambda: True) -> frozenset[str]:
    """Return the spans with the text in any event, whatever its case; stop early once `go_on` returns False."""
    wanted = text.lower()
    if not wanted:
        return frozenset()
    # JSON can write one character in several ways; plain text is searched in the raw document.
    plain = wanted.isascii() and wanted.isprintable() and not set(wanted) & set('"\\/')
    needle = wanted.encode()
    found: set[str] = set()
    for number, (span_id, span) in enumerate(trace.spans.items()):
        if not number % 256 and not go_on():
            break
        if any(_holds(event, wanted, needle if plain else None) for event in span.events) or _named(span, wanted):
            found.add(span_id)
    return frozenset(found)


def _named(span: Span, wanted: str) -> bool:
    return wanted in span.name.lower() or wanted in span.span_id.lower()


def _holds(event: TraceEvent, wanted: str, needle: bytes | None) -> bool:
    if wanted in event.event_type.lower() or any(wanted in tag.lower() for tag in event.tags or ()):
        return True
    if event.raw_data is msgspec.UNSET:
        return False
    raw = bytes(event.raw_data)
    if needle is not None and b"\\" not in raw:
        return needle in raw.lower()
    try:
        data = msgspec.json.decode(encode_event(event)).get("data")
    except UNREADABLE:  # an anomaly of the trace already: as it is written, then
        return wanted.encode() in raw.lower()
    return any(wanted in text.lower() for text in _texts(data))


def _texts(value: object) -> list[str]:
    """Return every key and scalar of a JSON value, as text."""
    texts: list[str] = []
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            texts += map(str, one)
            rest += one.values()
        elif isinstance(one, list):
            rest += one
        elif isinstance(one, str):
            texts.append(one)
        elif one is not None:
            texts.append(msgspec.json.encode(one).decode())
    return texts
