"""The verdict: one word for how a saga stands, by the table of its facts; and one for a trace of several sagas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sagatrace_tui.model.answers import Verdict

__all__ = ["JudgedSaga", "verdict_of", "with_standing", "worst"]

_FROM_WORST: Final[tuple[Verdict, ...]] = (
    "compensating",
    "running",
    "rollback_incomplete",
    "rollback_missing",
    "rolled_back",
    "failed",
    "unknown",
    "succeeded_but_compensated",
    "succeeded",
)


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
    return min(verdicts, key=_FROM_WORST.index) if verdicts else "unknown"


def with_standing(verdict: Verdict, sagas: Sequence[JudgedSaga]) -> Verdict:
    """Return a trace's verdict, where steps of another saga in it, whose end is unknown, may stand."""
    if verdict not in ("rolled_back", "failed") or not any(saga.standing for saga in sagas):
        return verdict
    return "rollback_incomplete" if verdict == "rolled_back" else "rollback_missing"
