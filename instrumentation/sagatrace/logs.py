"""Trace and span ids on log records, so that the lines of a job can be found from its trace.

handler.addFilter(TraceFilter())
handler.setFormatter(logging.Formatter("%(levelname)s %(trace_id)s %(span_id)s %(message)s"))
"""

from __future__ import annotations

import logging

from sagatrace.context import current_execution, innermost_span

__all__ = ["TraceFilter"]


class TraceFilter(logging.Filter):
    """Add `trace_id` and `span_id` to every record: those of the innermost open span here, else of the RQ job.

    Outside of both they are empty texts. A thread knows the job that runs in its process. In a function of
    `Tracer.bind` it knows the span as well. In a spawned work-horse of RQ 2 a thread knows only the bound context.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids. Every record passes."""
        place = innermost_span()
        if place is None and current_execution().id is not None:  # a spawned work-horse of RQ 2, which runs no hook
            from sagatrace.rq.job_place import current_trace

            place = current_trace()
        record.trace_id = "" if place is None else place.trace_id
        record.span_id = "" if place is None else place.span_id or ""
        return True
