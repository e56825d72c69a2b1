"""Add trace and span ids to log records, so that the log lines of a trace can be found.

handler.addFilter(TraceFilter())
handler.setFormatter(logging.Formatter("%(levelname)s %(trace_id)s %(span_id)s %(message)s"))
"""

from __future__ import annotations

import logging

from sagatrace.context import current_execution, innermost_span

__all__ = ["TraceFilter"]


class TraceFilter(logging.Filter):
    """Add `trace_id` and `span_id` to every record: those of the innermost open span, else of the RQ job.

    Outside of spans and jobs both are empty texts. In a thread they are those of the job that runs in the process. A
    function from `Tracer.bind` uses the bound span. In a work-horse that RQ 2 spawned, a thread has only bound ids.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids. Return True, so that every record passes."""
        place = innermost_span()
        if place is None and current_execution().id is not None:  # a spawned work-horse of RQ 2, which runs no hook
            from sagatrace.rq.job_place import current_trace

            place = current_trace()
        record.trace_id = "" if place is None else place.trace_id
        record.span_id = "" if place is None else place.span_id or ""
        return True
