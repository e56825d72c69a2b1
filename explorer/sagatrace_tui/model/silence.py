"""When a trace without an end counts as ended: after `IDLE` without an event, unless it waits for something due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sagatrace.event import TraceEvent
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["IDLE", "are_closed", "is_idle", "silence"]

IDLE: Final = 15 * 60 * 1_000_000
"""Microseconds without an event after which a trace counts as ended."""


def silence(events: Sequence[TraceEvent], now: int) -> int:
    """Return the microseconds without an event, as of `now`; `events` are in order of time.

    An event dated further ahead than `IDLE` was stamped by a wrong clock, so its time is unknown and it does not count.
    If all are, the reader's clock may be wrong, and the result is 0.
    """
    last = next((event.micros for event in reversed(events) if event.micros <= now + IDLE), None)
    return 0 if last is None else max(0, now - last)


def is_idle(events: Sequence[TraceEvent], index: SpanIndex, roots: Sequence[Span], now: int) -> bool:
    """Return whether there was no event for so long that the trace counts as ended.

    A retry that is due later keeps the trace running. So does a scheduled span while a root is open. If a root ended
    without success, nothing is waited for.
    """
    if silence(events, now) <= IDLE:
        return False
    due, starts = index.retries_due, index.starts_due
    if due or starts:
        if not are_closed(roots):
            due = due | starts
        elif any(root.status != "success" for root in roots):
            due = {}
    return not due or now - max(due.values()) > IDLE


def are_closed(roots: Sequence[Span]) -> bool:
    """Return whether there is a root and all of them have ended."""
    return bool(roots) and not any(root.is_open for root in roots)
