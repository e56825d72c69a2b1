"""The values that a trace answers with. Every rule module makes some of them, and none holds logic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = [
    "Anomaly", "Code", "Compensation", "NeverRan", "Outcome", "Place", "Role", "Standing", "TraceStatus", "Verdict",
    "reading_anomalies",
]  # fmt: skip

# From the worst to the best, for a trace of several sagas.
Verdict = Literal[
    "compensating",
    "running",
    "rollback_incomplete",
    "rollback_missing",
    "rolled_back",
    "failed",
    "unknown",
    "succeeded_but_compensated",
    "succeeded",
]
TraceStatus = Literal["running", "success", "failed", "stopped", "canceled", "unknown"]
Role = Literal["cause", "consequence", "independent", "recovered", "compensation"]
Outcome = Literal["compensated", "failed", "running", "unconfirmed", "not_started"]


class Code(StrEnum):
    """Why a step still stands."""

    NOT_STARTED = "not_started"  # no compensation of it began
    NOT_REACHED = "not_reached"  # compensation began, and stopped before it came to this step
    FAILED = "failed"
    RUNNING = "running"
    UNCONFIRMED = "unconfirmed"  # a compensation began, and no outcome is recorded
    REVERTED = "reverted"  # its compensation was compensated itself
    BEFORE_COMPLETED = "before_completed"  # the compensation ended before the step completed
    BEFORE_ENDED = "before_ended"  # ... before the step ended, whose outcome is unknown
    BEFORE_WORK_ENDED = "before_work_ended"  # ... before the work below the step ended


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span ran last, as far as its events say."""

    worker: str | None
    queue: str | None
    host: str | None
    attempt: int | None
    attempts_allowed: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A step that still stands, and the one reason why.

    `certain` is False where the step may have had no effect. `tries` counts the failed tries to undo it. `effect` says
    why the step counts although it did not succeed, if that is known. `awaited` is whether a rollback is under way
    that has not come to it yet.
    """

    span_id: str
    name: str
    code: Code
    certain: bool
    tries: int = 0
    effect: str | None = None
    awaited: bool = False

    @property
    def being_undone(self) -> bool:
        """Whether its compensation still runs."""
        return self.code is Code.RUNNING

    @property
    def explained(self) -> bool:
        """Whether its reason says why it counts although it did not succeed, or it did succeed."""
        return self.certain or self.effect is not None


@dataclass(frozen=True, slots=True)
class Compensation:
    """One try to undo a step; `span_id` is None where there was no try. Times are microseconds since 1970."""

    original_span_id: str
    original_name: str
    completed_at: int | None
    outcome: Outcome
    span_id: str | None = None
    name: str | None = None
    attempts: int = 0
    error: str | None = None
    error_type: str | None = None
    reason: str | None = None
    place: Place | None = None
    started_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class NeverRan:
    """A span that will never start, and the span it waits for; `fate` says what happened to that: `failed`."""

    span_id: str
    name: str
    dependency_id: str
    dependency_name: str
    fate: str


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something about a trace that should not be: its kind, the spans it concerns, one sentence."""

    kind: str
    span_ids: tuple[str, ...]
    detail: str


def reading_anomalies(malformed: Iterable[tuple[str, str]]) -> list[Anomaly]:
    """Return the documents that are not events, given as (document id, fault), as anomalies of their trace."""
    return [Anomaly("malformed", (), f"document {document_id}: {fault}") for document_id, fault in malformed]
