"""Spans that end with their process: a span opened in an RQ execution ends, interrupted, when that execution ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sagatrace.event import TraceEvent
from sagatrace_tui.model.event_data import data_of, text_of
from sagatrace_tui.model.span import Interruption, Span
from sagatrace_tui.model.span_state import mark_of

__all__ = ["interrupt_open_spans"]


def interrupt_open_spans(notable: Iterable[Span], spans: Mapping[str, Span], events: Sequence[TraceEvent]) -> None:
    """Mark each open span as interrupted whose RQ execution (`data.execution`) has ended.

    `notable` are the spans that may be open. The end of an execution is the closing or retrying event whose id is
    `<execution>:end` or whose data names the execution. If neither is known, the end of the job around
    the span counts, once that job is closed.
    """
    opened = {}
    for span in notable:
        if span.state.kind != "job" and span.is_open:
            execution = data_of(span.events[0]).execution
            if isinstance(execution, str) and execution:
                opened[span.span_id] = execution
    if not opened:
        return
    wanted = {f"{execution}:end" for execution in opened.values()}
    ends = {event.id.removesuffix(":end"): event for event in events if event.id in wanted}
    for span_id, execution in opened.items():
        span = spans[span_id]
        end = ends.get(execution) or _end_in_jobs(span, execution, spans)
        if end is not None:
            data = data_of(end)
            phase = end.event_type.rpartition(":")[2]
            reason = text_of(data.error) or text_of(data.reason) or f"its RQ execution ended: {phase}"
            span.interruption = Interruption(end.micros, reason, text_of(data.error_type))


def _end_in_jobs(span: Span, execution: str, spans: Mapping[str, Span]) -> TraceEvent | None:
    """Return the end of the execution as a job around the span records it."""
    closed: TraceEvent | None = None
    for job in _jobs_around(span, spans):
        for event in reversed(job.events):
            ends = mark_of(event.event_type, event.status).kind in ("end", "retry")
            if ends and data_of(event).execution == execution:
                return event
        if closed is None and not job.is_open and job.over_at >= span.first_at:
            closed = job.closing_event
    return closed


def _jobs_around(span: Span, spans: Mapping[str, Span]) -> Iterator[Span]:
    seen: set[str] = set()
    parent = span.parent_id
    while parent is not None and parent in spans and parent not in seen:
        seen.add(parent)
        if spans[parent].state.kind == "job":
            yield spans[parent]
        parent = spans[parent].parent_id
