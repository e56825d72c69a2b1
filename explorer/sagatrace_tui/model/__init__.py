"""Derive a trace's answers from its events. The result depends neither on the order of events nor on a clock.

`event_data`, `span_state`, `attempts` and `runs` read the events of one span; `span`
and `fold` make spans of events. `tree` places and sorts the spans, and ends spans whose process died. Then the rules
follow: `sagas`, `retries`, `failures`, `side_effects`, `compensation`, `branches` and `verdict`. `standing`,
`rollback_checks` and `anomaly_checks` make the lists, and `sentence` makes the sentence. `trace` calls them all.
"""

from sagatrace_tui.model.answers import (
    Code,
    Compensation,
    NeverRan,
    Outcome,
    Place,
    Role,
    Standing,
    Verdict,
    reading_anomalies,
)
from sagatrace_tui.model.fold import fold_span
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.trace import Trace, build_trace
from sagatrace_tui.model.verdict import IDLE

__all__ = [
    "IDLE", "Code", "Compensation", "NeverRan", "Outcome", "Place", "Role", "Span", "Standing", "Trace", "Verdict",
    "build_trace", "fold_span", "reading_anomalies",
]  # fmt: skip
