"""The result of a comparison of two traces, as plain values."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sagatrace_tui.model import Outcome, Verdict
from sagatrace_tui.model.span_state import SpanStatus
from sagatrace_tui.model.verdict import elapsed

__all__ = ["Comparison", "Difference", "Kind", "Run", "Side", "Undone"]


class Kind(StrEnum):
    """The kind of a difference, the most important first."""

    OUTCOME = "outcome"
    ERROR = "error"
    MISSING = "missing"
    NEW = "new"
    ATTEMPTS = "attempts"
    SLOWER = "slower"
    FASTER = "faster"


class Side(msgspec.Struct, frozen=True):
    """A step in one trace. `took` is in microseconds; None if start or end is unknown."""

    span_id: str
    status: SpanStatus
    took: int | None
    attempts: int
    error: str | None
    error_type: str | None


class Difference(msgspec.Struct, frozen=True):
    """One step that differs. `here` is its side in the trace, `there` in the other; None if missing.

    `above` are the names of the nearest ancestors, the outermost first. `nth` is the number among the siblings with the
    same name. A difference can represent `count` siblings of one name, with `below` steps below them. `near` is the id
    of the step's span in the trace, or of its nearest ancestor.
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
        """The duration of the longer side divided by that of the shorter; None if unknown."""
        took = [side.took for side in (self.here, self.there) if side is not None and side.took is not None]
        return max(took) / min(took) if len(took) == 2 and min(took) > 0 else None


class Undone(msgspec.Struct, frozen=True):
    """A step with a compensation, and the outcome of its last attempt."""

    name: str
    span_id: str
    outcome: Outcome


class Run(msgspec.Struct, frozen=True):
    """One of the two traces. `started_at` is in microseconds since 1970, `duration` in microseconds."""

    trace_id: str
    name: str
    verdict: Verdict
    started_at: int | None
    duration: int | None
    span_count: int

    @property
    def is_running(self) -> bool:
        """Whether the trace was running when it was read."""
        return self.verdict in ("running", "compensating")

    def elapsed(self, now: int) -> int | None:
        """Return the duration in microseconds. For a running trace it is the duration until `now`."""
        return elapsed(self.started_at, self.duration, now, is_running=self.is_running)


class Comparison(msgspec.Struct, frozen=True):
    """The comparison of a trace (`here`) with another (`there`).

    `undone_here` are the steps undone or left standing only in the trace, or with a different outcome. `undone_there`
    are those of the other trace. `would_run_next` are the differences about steps that the trace did not reach, in the
    order of their start in the other trace. `in_both` is the number of common steps.
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
        """Whether the traces do not differ."""
        return not (self.differences or self.undone_here or self.undone_there)
