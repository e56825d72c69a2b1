"""Find text inside a trace: in names, ids, errors, data and tags, and in the words on the screen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from sagatrace.event import UNREADABLE, TraceEvent, encode_event
from sagatrace_tui.model import Span, Trace

__all__ = ["find"]


def find(
    trace: Trace,
    text: str,
    *,
    meets: Callable[[TraceEvent], bool] = lambda _: False,
    words: Callable[[Span], Iterable[str]] = lambda _: (),
    go_on: Callable[[], bool] = lambda: True,
) -> frozenset[str]:
    """Return the ids of the spans that contain the text. Upper and lower case are the same.

    Args:
        trace: the trace.
        text: the text. An empty text finds nothing.
        meets: returns whether an event matches regardless of its text.
        words: returns the words that a screen shows beside a span's name.
        go_on: returns False to end the search early.
    """
    wanted = text.lower()
    if not wanted:
        return frozenset()
    # JSON can write one character in several ways. Only plain text can be searched in the raw document.
    plain = wanted.isascii() and wanted.isprintable() and not set(wanted) & set('"\\/')
    found: set[str] = set()
    for number, (span_id, span) in enumerate(trace.spans.items()):
        if not number % 256 and not go_on():
            break
        if (
            any(_holds(event, wanted, plain) or meets(event) for event in span.events)
            or wanted in span.name.lower()
            or wanted in span_id.lower()
            or any(wanted in word.lower() for word in words(span))
        ):
            found.add(span_id)
    return frozenset(found)


def _holds(event: TraceEvent, wanted: str, plain: bool) -> bool:
    if wanted in event.event_type.lower() or any(wanted in tag.lower() for tag in event.tags or ()):
        return True
    if event.raw_data is msgspec.UNSET:
        return False
    raw = bytes(event.raw_data)
    if plain and b"\\" not in raw:
        return wanted.encode() in raw.lower()
    try:
        data = msgspec.json.decode(encode_event(event)).get("data")
    except UNREADABLE:  # the trace reports it as an anomaly; search the raw text
        return wanted.encode() in raw.lower()
    return any(wanted in text.lower() for text in _texts(data))


def _texts(value: object) -> Iterator[str]:
    """Yield every key and scalar of a JSON value, as text."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            rest += [*one, *one.values()]
        elif isinstance(one, list):
            rest += one
        elif one is not None:
            yield one if isinstance(one, str) else msgspec.json.encode(one).decode()
