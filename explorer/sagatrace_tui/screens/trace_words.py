"""The notices of the trace screen, and the spans of its why view."""

from __future__ import annotations

from sagatrace_tui.live.trace_feed import OpenTrace
from sagatrace_tui.model import Trace

__all__ = ["notice_about", "part_of_why"]


def part_of_why(trace: Trace) -> tuple[str, frozenset[str]] | None:
    """Return the why view: the path from the root to the cause, and the other failures. None without failures."""
    shown = {*trace.failure_path, *(one for one, role in trace.roles.items() if role != "recovered")}
    return ("why", frozenset(shown)) if shown else None


def notice_about(reading: OpenTrace, trace_id: str) -> tuple[str, str, bool] | None:
    """Return a notice (headline, explanation, whether it is a fault); None if the trace needs no notice."""
    if reading.fault is not None:
        kept = "The spans below were read earlier. " if reading.trace is not None else ""
        return "The store could not be read", f"{reading.fault}\n{kept}Press r to try again now.", True
    if reading.trace is not None and not reading.trace.event_count and not reading.trace.anomalies:
        return (
            f"No trace {trace_id}",
            "This store has no event of this trace. The store is read again every second. Esc goes to the list.",
            False,
        )
    return None
