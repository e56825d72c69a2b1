"""What the screen of a trace says of it in words, and which part of it answers why."""

from __future__ import annotations

from sagatrace_tui.live import OpenTrace
from sagatrace_tui.model import Trace

__all__ = ["notice_about", "part_of_why"]


def part_of_why(trace: Trace) -> tuple[str, frozenset[str]] | None:
    """What the why view shows: the way from the root to the cause, and the other spans that failed."""
    shown = {*trace.failure_path, *(one for one, role in trace.roles.items() if role != "recovered")}
    return ("why", frozenset(shown)) if shown else None


def notice_about(reading: OpenTrace, trace_id: str) -> tuple[str, str, bool] | None:
    """What to say in place of the trace, or above it: headline, explanation, whether it is a fault."""
    if reading.fault is not None:
        kept = "What is shown was read before. " if reading.trace is not None else ""
        return "The store could not be read", f"{reading.fault}\n{kept}Press r to try again now.", True
    if reading.trace is not None and not reading.trace.event_count and not reading.trace.anomalies:
        return (
            f"No trace {trace_id}",
            "This store has no event of it. It is looked for again every second; Esc goes to the list.",
            False,
        )
    return None
