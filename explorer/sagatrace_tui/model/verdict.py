"""The verdict: one word for how a saga stands, by the table of its facts; and one for a trace of several sagas.

A trace without an end counts as ended after `IDLE` without an event, unless it waits for something due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from sagatrace.event import TraceEvent
from sagatrace_tui.model.answers import Verdict
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["IDLE", "JudgedSaga", "are_closed", "is_idle", "silence", "verdict_of", "with_standing", "worst"]

IDLE: Final = 15 * 60 * 1_000_000
"""Microseconds without an event after which a trace counts as ended."""


@dataclass(slots=True)
class JudgedSaga:
    """The facts that the verdict of one saga rests on, and the span it failed at.

    `undoing_began` is whether any compensation began for the saga, `undone` whether one did outside of recovered
    branches. `unsettled` is whether a compensation of no known step failed or has no outcome. `standing` are the steps
    that still stand.
    """

    ended: bool
    failed: bool
    succeeded: bool
    undoing_began: bool
    undone: bool
    unsettled: bool
    standing: list[str] = field(default_factory=list)
    cause: str | None = None


def verdict_of(saga: JudgedSaga) -> Verdict:
    """Return the verdict of one saga."""
    if not saga.ended:
        return "compensating" if saga.undone else "running"
    if not saga.failed and not saga.succeeded:
        return "unknown"
    if saga.standing:
        return "rollback_incomplete" if saga.undoing_began else "rollback_missing"
    if saga.unsettled:
        return "rollback_incomplete"
    if saga.failed:
        return "rolled_back" if saga.undoing_began else "failed"
    return "succeeded_but_compensated" if saga.undone else "succeeded"


def worst(sagas: Sequence[JudgedSaga]) -> Verdict:
    """Return the verdict of a trace: the worst of its sagas'."""
    verdicts: list[Verdict] = [verdict_of(saga) for saga in sagas]
    return min(verdicts, key=get_args(Verdict).index) if verdicts else "unknown"


def with_standing(verdict: Verdict, sagas: Sequence[JudgedSaga], *, is_sampled: bool) -> Verdict:
    """Return a trace's verdict, where steps of another saga in it, whose end is unknown, may stand.

    In a trace that was recorded only from a failure on (`is_sampled`), steps that are not recorded may stand as well.
    """
    if verdict in ("rolled_back", "failed") and any(saga.standing for saga in sagas):
        return "rollback_incomplete" if verdict == "rolled_back" else "rollback_missing"
    modest: dict[Verdict, Verdict] = {"succeeded": "unknown", "rolled_back": "failed"}
    return modest.get(verdict, verdict) if is_sampled else verdict


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
    if not are_closed(roots):
        due = due | starts
    elif any(root.status != "success" for root in roots):
        due = {}
    return not due or now - max(due.values()) > IDLE


def are_closed(roots: Sequence[Span]) -> bool:
    """Return whether there is a root and all of them have ended."""
    return bool(roots) and not any(root.is_open for root in roots)
