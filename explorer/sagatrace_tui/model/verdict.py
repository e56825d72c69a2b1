"""The verdict: one word for how a saga stands, by the table of its facts; and one for a trace of several sagas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.model.answers import Verdict

__all__ = ["JudgedSaga", "SagaFacts", "verdict_of", "with_standing", "worst"]

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


@dataclass(frozen=True, slots=True)
class SagaFacts:
    """What the verdict of one saga rests on.

    `undoing_began` is whether any compensation began for the saga, `undone` whether one did outside of recovered
    branches. `standing` is whether any step still stands, `unsettled` whether a compensation of no known step failed or
    has no outcome.
    """

    ended: bool
    failed: bool
    succeeded: bool
    undoing_began: bool
    undone: bool
    standing: bool
    unsettled: bool


@dataclass(frozen=True, slots=True)
class JudgedSaga:
    """A saga's verdict and what it rests on; `recalled` are recovered failures that count all the same."""

    verdict: Verdict
    failed: bool
    halted: bool
    standing: list[str]
    live: list[str]
    recalled: set[str]
    retried: str | None


def verdict_of(facts: SagaFacts) -> Verdict:
    """Return the verdict of one saga."""
    if not facts.ended:
        return "compensating" if facts.undone else "running"
    if not facts.failed and not facts.succeeded:
        return "unknown"
    if facts.standing:
        return "rollback_incomplete" if facts.undoing_began else "rollback_missing"
    if facts.unsettled:
        return "rollback_incomplete"
    if facts.failed:
        return "rolled_back" if facts.undoing_began else "failed"
    return "succeeded_but_compensated" if facts.undone else "succeeded"


def with_standing(verdict: Verdict, standing: bool) -> Verdict:
    """Return a trace's verdict, where steps of another saga in it, whose end is unknown, may stand."""
    if standing and verdict == "rolled_back":
        return "rollback_incomplete"
    return "rollback_missing" if standing and verdict == "failed" else verdict


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of a trace: the worst of its sagas'."""
    ordered = sorted(verdicts, key=_FROM_WORST.index)
    return ordered[0] if ordered else "unknown"
