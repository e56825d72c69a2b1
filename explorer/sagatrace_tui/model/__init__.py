"""From a trace's events to what a person asks of it: pure, order-independent, without a clock.

facts, phases, attempts → span → fold (events into spans) → forest → census → failure, effects → compensation →
ledger, undoing → verdict → trace, which joins them → waiting (what a running one waits on) → explain, which says it.
"""

from sagatrace_tui.model.compensation import Outcome, Standing
from sagatrace_tui.model.failures import Role
from sagatrace_tui.model.ledger import LedgerRow
from sagatrace_tui.model.span import Attempt, Place, Span, SpanKind, SpanStatus, fold_span
from sagatrace_tui.model.trace import IDLE, Anomaly, NeverRan, Trace, TraceStatus, build_trace, reading_anomalies
from sagatrace_tui.model.verdict import Verdict

__all__ = [
    "IDLE",
    "Anomaly",
    "Attempt",
    "LedgerRow",
    "NeverRan",
    "Outcome",
    "Place",
    "Role",
    "Span",
    "SpanKind",
    "SpanStatus",
    "Standing",
    "Trace",
    "TraceStatus",
    "Verdict",
    "build_trace",
    "fold_span",
    "reading_anomalies",
]
