"""Trace and span ids on log records, so that the lines of a job can be found from its trace.

handler.addFilter(TraceFilter())
handler.setFormatter(logging.Formatter("%(levelname)s %(trace_id)s %(span_id)s %(message)s"))
"""

from __future__ import annotations

import logging

from sagatrace.context import current_execution

__all__ = ["TraceFilter"]


class TraceFilter(logging.Filter):
    """Adds `trace_id` and `span_id` to every record: those of the RQ job that runs here, or empty texts."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids. Every record passes."""
        inside = current_execution().inside
        record.trace_id = "" if inside is None else inside.trace_id
        record.span_id = "" if inside is None else inside.span_id or ""
        return True
