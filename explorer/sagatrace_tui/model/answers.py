"""The values of a trace's answers. The rule modules create them. The values hold no logic."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

import msgspec

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

    NOT_STARTED = "not_started"  # none of its compensations began
    NOT_REACHED = "not_reached"  # the rollback stopped before this step
    FAILED = "failed"
    RUNNING = "running"
    UNCONFIRMED = "unconfirmed"  # a compensation began, and no outcome is recorded
    REVERTED = "reverted"  # its compensation was compensated itself
    BEFORE_COMPLETED = "before_completed"  # the compensation ended before the step completed
    BEFORE_ENDED = "before_ended"  # ... before the step ended with an unknown outcome
    BEFORE_WORK_ENDED = "before_work_ended"  # ... before the work below the step ended


class Place(msgspec.Struct, frozen=True):
    """The place where a span ran last. A value is None if the events do not hold it."""

    worker: str | None
    queue: str | None
    host: str | None
    attempt: int | None
    attempts_allowed: int | None


class Standing(msgspec.Struct, frozen=True):
    """A step that still stands, and the reason.

    Attributes:
        certain: False if the step may have had no effect.
        tries: The number of failed tries to undo the step.
        maybe_undone: Whether a failed try may have undone the step, because the effect of that try is unknown.
        effect: The reason why the step counts although it did not succeed; None if it is not known.
        awaited: Whether a running rollback has yet to reach the step.
    """

    span_id: str
    name: str
    code: Code
    certain: bool
    tries: int = 0
    maybe_undone: bool = False
    effect: str | None = None
    awaited: bool = False

    @property
    def being_undone(self) -> bool:
        """Whether the compensation of the step still runs."""
        return self.code is Code.RUNNING

    @property
    def undo_goes_on(self) -> bool:
        """Whether its compensation still runs, or a running rollback has yet to reach it."""
        return self.awaited or self.being_undone

    @property
    def explained(self) -> bool:
        """Whether the reason why the step counts is known. The step succeeded, or `effect` is the reason."""
        return self.certain or self.effect is not None


class Compensation(msgspec.Struct, frozen=True):
    """One try to undo a step. Without a try `span_id` is None. Times are microseconds since 1970."""

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


class NeverRan(msgspec.Struct, frozen=True):
    """A span that will never start, and the span it waits for. `fate` is the end of that span, such as `failed`."""

    span_id: str
    name: str
    dependency_id: str
    dependency_name: str
    fate: str


class Anomaly(msgspec.Struct, frozen=True):
    """A fault of a trace: its kind, the spans concerned, and one sentence."""

    kind: str
    span_ids: tuple[str, ...]
    detail: str


def reading_anomalies(malformed: Iterable[tuple[str, str]]) -> list[Anomaly]:
    """Return an anomaly for each document that is not an event. `malformed` gives (document id, fault)."""
    return [Anomaly("malformed", (), f"document {document_id}: {fault}") for document_id, fault in malformed]
