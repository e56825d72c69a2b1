"""Spans over hours and processes: begin one in a process, keep its text in a database row, end it in another process.

    order.trace_ref = tracer.begin("workflow:order", "order-7", data={"customer": 5})
    ...
    with tracer.span("stage:pick", tracer.resume(order.trace_ref)):     # any process, any time
        ...
    tracer.resume(order.trace_ref).complete()                           # or .fail("the customer withdrew")

Such a span does not end with the RQ execution that began it. After 15 minutes without an event, the verdict of a trace
with an open root is `unknown` until the next event. A saga whose process died looks the same in the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from sagatrace.context import TraceContext
from sagatrace.error_text import causes_of
from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE
from sagatrace.ids import new_id

if TYPE_CHECKING:
    from sagatrace.context import TraceRef
    from sagatrace.tracer import Tracer

__all__ = ["LongSpan", "begun", "resumed"]


class _Kept(msgspec.Struct, omit_defaults=True):
    """The fields of the text that `Tracer.begin` returns."""

    trace_id: str
    span_id: str
    name: str
    parent_span_id: str | None = None
    compensation: str | None = None


class LongSpan:
    """A span that began elsewhere, made by `Tracer.resume`. Pass it as the `TraceRef` of the work inside it."""

    def __init__(self, tracer: Tracer, kept: _Kept | None) -> None:
        self._tracer, self._kept = tracer, kept
        self.trace_id = new_id() if kept is None else kept.trace_id
        self.span_id = None if kept is None else kept.span_id
        self.compensation = None if kept is None else kept.compensation

    def complete(self, data: Mapping[str, Any] | None = None) -> None:
        """Record that the span completed, with this data. The first recorded end of a span stays."""
        self._end("completed", {"status": "success", "data": data})

    def fail(self, error: BaseException | str, data: Mapping[str, Any] | None = None) -> None:
        """Record that the span failed, with an exception or a reason. The first recorded end of a span stays."""
        if isinstance(error, BaseException):
            given = {**(data or {}), **causes_of(error)}
            self._end("failed", {"status": "failed", "data": given, "error": error})
        else:
            self._end("failed", {"status": "failed", "data": {**(data or {}), "error": error}})

    def _end(self, phase: str, given: dict[str, Any]) -> None:
        kept = self._kept
        if kept is not None:  # else no span was begun
            place = TraceContext(kept.trace_id, kept.parent_span_id)
            event_type, event_id = f"{kept.name}:{phase}", f"{kept.span_id}:end"
            self._tracer.emit(event_type, place, span_id=kept.span_id, event_id=event_id, **given)


def begun(
    tracer: Tracer,
    name: str,
    parent: TraceRef | str | None,
    *,
    compensation: str | None,
    data: Mapping[str, Any] | None,
    tags: Iterable[str] | None,
) -> str:
    """Record the start of a span and return its text. See `Tracer.begin`."""
    span = tracer.span(name, parent)
    declared = {} if compensation is None else {"compensation": compensation}
    place = span._parent  # noqa: SLF001 - its place in the trace
    given = {**(data or {}), **declared}
    tracer.emit(f"{name}:started", place, span_id=span.span_id, event_id=f"{span.span_id}:start", data=given, tags=tags)
    kept = _Kept(span.trace_id, span.span_id, name, place.span_id, compensation)
    return msgspec.json.encode(kept).decode()


def resumed(tracer: Tracer, ref: object) -> LongSpan:
    """Return the span of a text. See `Tracer.resume`. Raises EventError."""
    if ref is None or ref == "":
        tracer._count("no trace context here, so the span that is resumed was not begun")  # noqa: SLF001 - its counter
        return LongSpan(tracer, None)
    try:
        kept = msgspec.json.decode(ref, type=_Kept) if isinstance(ref, str) else msgspec.convert(ref, _Kept)
    except UNREADABLE as error:
        raise EventError(
            f"resume({ref!r:.100}): that is not a text that Tracer.begin returned ({error}); "
            "store the text that it returns, unchanged, and give it to resume"
        ) from error
    return LongSpan(tracer, kept)
