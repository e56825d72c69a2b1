"""Find the verdict of a saga from a table of facts, and the verdict of a trace with several sagas.

A trace without an end counts as ended after `IDLE` without an event, unless it waits for something due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, get_args

import msgspec

from sagatrace.event import TraceEvent
from sagatrace_tui.model.answers import Verdict
from sagatrace_tui.model.sagas import Sagas
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["IDLE", "JudgedSaga", "elapsed", "is_idle", "silence", "with_standing", "worst"]

_FROM_WORST: Final[tuple[Verdict, ...]] = get_args(Verdict)
_WITH_STANDING: Final[Mapping[Verdict, Verdict]] = {"rolled_back": "rollback_incomplete", "failed": "rollback_missing"}
_WITHOUT_BEGINNING: Final[Mapping[Verdict, Verdict]] = {"succeeded": "unknown", "rolled_back": "failed"}
IDLE: Final = 15 * 60 * 1_000_000
"""Microseconds without an event after which a trace counts as ended."""


class JudgedSaga(msgspec.Struct):
    """The facts behind the verdict of one saga, and the span at which the saga failed.

    Attributes:
        undoing_began: Whether any compensation began for the saga.
        undone: Whether a compensation began outside of recovered branches.
        unsettled: Whether a compensation without a known step failed or has no outcome.
        standing: The steps that still stand.
    """

    ended: bool
    failed: bool
    succeeded: bool
    undoing_began: bool
    undone: bool
    unsettled: bool
    standing: list[str]
    cause: str | None

    @property
    def verdict(self) -> Verdict:
        """The verdict of the saga."""
        if not self.ended:
            return "compensating" if self.undone else "running"
        if not self.failed and not self.succeeded:
            return "unknown"
        if self.standing:
            return "rollback_incomplete" if self.undoing_began else "rollback_missing"
        if self.unsettled:
            return "rollback_incomplete"
        if self.failed:
            return "rolled_back" if self.undoing_began else "failed"
        return "succeeded_but_compensated" if self.undone else "succeeded"


def worst(sagas: Sequence[JudgedSaga]) -> Verdict:
    """Return the verdict of a trace, which is the worst verdict of its sagas."""
    return _FROM_WORST[min(_FROM_WORST.index(saga.verdict) for saga in sagas)]


def with_standing(verdict: Verdict, standing: Sequence[str], *, is_sampled: bool) -> Verdict:
    """Return the verdict of a trace in which these steps stand, perhaps of another saga than the worst one.

    If the trace was recorded only from its first failure (`is_sampled`), steps without events may stand as well.
    """
    if standing and verdict in _WITH_STANDING:
        verdict = _WITH_STANDING[verdict]
    return _WITHOUT_BEGINNING[verdict] if is_sampled and verdict in _WITHOUT_BEGINNING else verdict


def elapsed(started_at: int | None, duration: int | None, now: int, *, is_running: bool) -> int | None:
    """Return the duration of a trace. For a running one it is the duration until `now`. All in microseconds."""
    return max(0, now - started_at) if is_running and started_at is not None else duration


def silence(events: Sequence[TraceEvent], now: int) -> int:
    """Return the microseconds without an event, as of `now`; `events` are in order of time.

    An event dated more than `IDLE` after `now` has a wrong clock, so it does not count. If all events are, the reader's
    clock may be wrong, and the result is 0.
    """
    last = next((event.micros for event in reversed(events) if event.micros <= now + IDLE), None)
    return 0 if last is None else max(0, now - last)


def is_idle(events: Sequence[TraceEvent], index: SpanIndex, sagas: Sagas, now: int) -> bool:
    """Return whether the trace counts as ended because events stopped.

    A retry that is due later keeps the trace running. So does a scheduled span while a root is open. After a root ended
    without success, only due retries and scheduled spans of the undoing keep it running.
    """
    if silence(events, now) <= IDLE:
        return False
    due, starts = index.retries_due, index.starts_due
    roots = [index.spans[one] for saga in sagas.all for one in saga]
    if not roots or any(root.is_open for root in roots):
        due = due | starts
    elif any(root.status != "success" for root in roots):
        due = {one: at for one, at in (due | starts).items() if sagas.is_undoing(one)}
    return not due or now - max(due.values()) > IDLE
