"""A trace in one row: what a list shows of it, without its spans."""

from __future__ import annotations

from dataclasses import dataclass

from sagatrace_tui.model.answers import Verdict
from sagatrace_tui.model.trace import Trace

__all__ = ["TraceSummary", "summarize"]


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace of a list. Times are microseconds since 1970; `verdict` is None until the trace has been read."""

    trace_id: str
    latest: int
    verdict: Verdict | None = None
    name: str = ""
    started_at: int | None = None
    duration: int | None = None
    span_count: int = 0
    error_count: int = 0
    anomaly_count: int = 0

    @property
    def is_running(self) -> bool:
        """Whether it was running when read."""
        return self.verdict in ("running", "compensating")

    def elapsed(self, now: int) -> int | None:
        """Microseconds it took, or has taken so far."""
        if self.is_running and self.started_at is not None:
            return max(0, now - self.started_at)
        return self.duration


def summarize(trace: Trace, latest: int) -> TraceSummary:
    """The trace in one row; `latest` is when its last event happened."""
    return TraceSummary(
        trace_id=trace.trace_id,
        latest=latest,
        verdict=trace.verdict,
        name=trace.name,
        started_at=trace.started_at,
        duration=trace.duration,
        span_count=len(trace.spans),
        error_count=trace.error_count,
        anomaly_count=len(trace.anomalies),
    )
