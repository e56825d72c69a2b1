"""Spans that end with their process: a span opened in an RQ execution ends, interrupted, when that execution ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sagatrace.event import TraceEvent
from sagatrace_tui.model.event_data import data_of
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.span_state import mark_of
from sagatrace_tui.model.tree import SpanTree

__all__ = ["interrupt_open_spans"]


def interrupt_open_spans(notable: Iterable[Span], tree: SpanTree, events: Sequence[TraceEvent]) -> None:
    """Mark each open span as interrupted whose RQ execution (`data.execution`) has ended.

    `notable` are the spans that may be open. The end of an execution is the closing or retrying event whose id is
    `<execution>:end` or whose data names the execution. If neither is known, the end of the job around
    the span counts, once that job is closed.
    """
    candidates = [span for span in notable if span.state.kind != "job" and span.is_open]
    executions = [(span, data_of(span.events[0]).execution) for span in candidates]
    opened = [(span, execution) for span, execution in executions if isinstance(execution, str) and execution]
    ends = {event.id: event for event in events if event.id.endswith(":end")} if opened else {}
    ended = [(span, ends.get(f"{execution}:end") or _end_in_jobs(span, execution, tree)) for span, execution in opened]
    for span, end in ended:
        span.interruption = end


def _end_in_jobs(span: Span, execution: str, tree: SpanTree) -> TraceEvent | None:
    """Return the end of the execution as a job around the span records it."""
    closed: TraceEvent | None = None
    for job in map(tree.spans.__getitem__, tree.ancestors_of(span.span_id)):
        if job.state.kind != "job":
            continue
        for event in reversed(job.events):
            ends = mark_of(event.event_type, event.status).kind in ("end", "retry")
            if ends and data_of(event).execution == execution:
                return event
        if closed is None and not job.is_open and job.over_at >= span.first_at:
            closed = job.closing_event
    return closed
