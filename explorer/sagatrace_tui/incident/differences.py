"""The values that a comparison of two traces answers with; none holds logic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sagatrace_tui.model import Outcome, Verdict
from sagatrace_tui.model.span_state import SpanStatus

__all__ = ["Comparison", "Difference", "Kind", "Run", "Side", "Undone"]


class Kind(StrEnum):
    """How a step differs, in the order of weight."""

    OUTCOME = "outcome"
    ERROR = "error"
    MISSING = "missing"
    NEW = "new"
    ATTEMPTS = "attempts"
    SLOWER = "slower"
    FASTER = "faster"


@dataclass(frozen=True, slots=True)
class Side:
    """A step in one of the traces. `took` is in microseconds, None where start or end is not known."""

    span_id: str
    status: SpanStatus
    took: int | None
    attempts: int
    error: str | None
    error_type: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One step that differs. `here` is its side in the trace, `there` in the other; None where it is missing.

    `above` are the names of the nearest steps above, the outermost first. `nth` is its number among the siblings of its
    name. A difference may stand for `count` siblings of one name, and for the `below` steps under them. `near` is
    the span of the step in the trace, or the nearest one above it.
    """

    kind: Kind
    name: str
    above: tuple[str, ...]
    nth: int
    here: Side | None
    there: Side | None
    near: str | None
    count: int = 1
    below: int = 0

    @property
    def ratio(self) -> float | None:
        """How many times as long as the shorter side the longer one took."""
        took = [side.took for side in (self.here, self.there) if side is not None and side.took is not None]
        return max(took) / min(took) if len(took) == 2 and min(took) > 0 else None


@dataclass(frozen=True, slots=True)
class Undone:
    """A step that a compensation was tried for, and how the last try ended."""

    name: str
    span_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """One of the two traces. Times are microseconds since 1970, `duration` in microseconds."""

    trace_id: str
    name: str
    verdict: Verdict
    started_at: int | None
    duration: int | None
    span_count: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A trace (`here`) beside another (`there`).

    `undone_here` are the steps undone in the trace alone, or with another outcome; `undone_there` those of the other.
    `would_run_next` are the differences about steps of the other trace that this one did not come to, in the order of
    their start there. `in_both` counts the steps that both have.
    """

    here: Run
    there: Run
    differences: tuple[Difference, ...]
    undone_here: tuple[Undone, ...]
    undone_there: tuple[Undone, ...]
    would_run_next: tuple[Difference, ...]
    in_both: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.differences or self.undone_here or self.undone_there)
