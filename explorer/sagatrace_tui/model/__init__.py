"""From a trace's events to what a person asks of it: pure, order-independent, without a clock."""

from sagatrace_tui.model.span import Attempt, Span, SpanStatus, fold_span
from sagatrace_tui.model.trace import IDLE, Anomaly, Trace, TraceStatus, build_trace, reading_anomalies

__all__ = [
    "IDLE",
    "Anomaly",
    "Attempt",
    "Span",
    "SpanStatus",
    "Trace",
    "TraceStatus",
    "build_trace",
    "fold_span",
    "reading_anomalies",
]
