"""A trace in one row of a list, without its spans."""

from __future__ import annotations

from dataclasses import dataclass

from sagatrace_tui.model import Trace, Verdict

__all__ = ["TraceRow", "trace_row"]


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One trace of a list. Times are microseconds since 1970; `verdict` is None until the trace has been read."""

    trace_id: str
    latest: int
    verdict: Verdict | None = None
    name: str = ""
    started_at: int | None = None
    duration: int | None = None
    span_count: int = 0
    error_count: int = 0

    @property
    def is_running(self) -> bool:
        """Whether the trace was running when it was read."""
        return self.verdict in ("running", "compensating")

    def elapsed(self, now: int) -> int | None:
        """Return the duration in microseconds; of a running trace, the duration so far."""
        if self.is_running and self.started_at is not None:
            return max(0, now - self.started_at)
        return self.duration


def trace_row(trace: Trace, latest: int) -> TraceRow:
    """Return the row of a trace; `latest` is the time of its last event, in microseconds since 1970."""
    return TraceRow(
        trace_id=trace.trace_id,
        latest=latest,
        verdict=trace.verdict,
        name=trace.name,
        started_at=trace.started_at,
        duration=trace.duration,
        span_count=len(trace.spans),
        error_count=trace.error_count,
    )
