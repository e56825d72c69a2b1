"""The steps that still stand in any trace, as one list."""

from __future__ import annotations

from collections.abc import Iterable

from sagatrace_tui.incident.trace_row import StandingStep, TraceRow

__all__ = ["standing_steps"]


def standing_steps(rows: Iterable[TraceRow]) -> list[StandingStep]:
    """Return the steps that still stand, the oldest first. Steps of unknown age come last."""
    steps = (step for row in rows for step in row.standing)
    return sorted(steps, key=lambda one: (one.since is None, one.since or 0, one.trace_id, one.span_id))
