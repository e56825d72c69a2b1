"""What was to be undone, what was, and what still stands.

How each step stands is kept as events come: a step is looked at again only when its own events, its undos, what
they run, or the undoing of a stage around it changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final, Literal

from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.facts import facts_of, text_of
from sagatrace_tui.model.failure import When, ending_of
from sagatrace_tui.model.fold import Change, Fold
from sagatrace_tui.model.forest import Forest
from sagatrace_tui.model.span import Place, Span

__all__ = ["Compensations", "Footing", "LedgerRow", "Outcome", "Standing", "beginning_of", "ended_in_the_dark"]

Outcome = Literal["compensated", "failed", "running", "unconfirmed", "not_started"]
Footing = Literal["undone", "covered", "standing", "unsure", "pending", "none"]
"""A step was undone, or a stage around it was; it stands; it may stand, its outcome unknown; it still runs; or
there is nothing to undo."""

_FEW: Final = 100  # steps that are sooner asked than everything below a stage is visited

# Errors that say that nobody knows how far the work got.
_UNKNOWN_END: Final = re.compile(r"time[d_ ]?-?out|terminated|abandoned|killed|workerlost", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One try to undo a step, or that there was none (`span_id` None). Times are microseconds since 1970."""

    original_span_id: str
    original_name: str
    completed_at: int | None
    span_id: str | None
    name: str | None
    outcome: Outcome
    attempts: int
    error: str | None
    reason: str | None
    place: Place | None
    started_at: int | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A step that nobody undid, and the one reason why. `certain` is False where the step's outcome is unknown."""

    span_id: str
    name: str
    reason: str
    certain: bool


def beginning_of(fold: Fold, span_id: str) -> When:
    """When a span began, in a form that orders spans."""
    span = fold.spans[span_id]
    seq = facts_of(span.events[0]).seq
    return span.first_at, seq if isinstance(seq, int) else 0, span_id


class Compensations:
    """Steps with what would undo them or did. `by_footing` holds the steps by how they stand."""

    def __init__(self, fold: Fold, forest: Forest, census: Census, areas: Areas) -> None:
        self._fold, self._forest, self._census, self._areas = fold, forest, census, areas
        self._footing: dict[str, Footing] = {}
        self.by_footing: dict[Footing, set[str]] = {}
        self._stale = {*census.declared, *census.undos_of, *census.unwound}
        self._trouble: dict[str, list[Span]] | None = None

    def update(self, change: Change) -> None:
        """Take a change of one span, and note which steps it may have touched."""
        span = change.span
        census = self._census
        if any(span.span_id in steps for steps in (census.declared, census.undos_of, census.unwound)):
            self._stale.add(span.span_id)
        if span.span_id in self._areas.owner:
            self._trouble = None
            undos = (self._fold.spans[undo_id] for undo_id in self._areas.outer(span.span_id))
            self._stale.update(undo.original_span_id for undo in undos if undo.original_span_id is not None)

    def adopt(self, span_id: str) -> None:
        """Take a span that comes after its children: what was undone above it covers them too."""
        if self.by_footing.get("undone"):
            self._stale.update(step for step in self._forest.below(span_id) if step in self._footing)

    def settle(self) -> None:
        """Decide anew how the touched steps stand."""
        flipped = [step for step in self._stale if self._is_undone(step) != (self._footing.get(step) == "undone")]
        stages = [step for step in flipped if step in self._forest.children]
        for step in flipped:
            self._move(step, "undone" if self._footing.get(step) != "undone" else "none")
        # What a stage's undoing covers are the steps below it.
        steps = self._below(stages)
        covered: dict[str, bool] = {}
        for step in self._stale.union(steps):
            if self._footing.get(step) != "undone":
                self._move(step, self._footing_of(step, covered))
        self._stale.clear()

    def _below(self, stages: list[str]) -> Iterable[str]:
        """The steps below a stage, or all where that is sooner found out."""
        if len(stages) == 1 and len(self._footing) > _FEW:
            return [step for step in self._forest.below(stages[0]) if step in self._footing]
        return list(self._footing) if stages else []

    def _move(self, step: str, footing: Footing) -> None:
        was = self._footing.get(step)
        if was is not None:
            self.by_footing[was].discard(step)
        self._footing[step] = footing
        self.by_footing.setdefault(footing, set()).add(step)

    def footing_of(self, span_id: str) -> Footing:
        """How a step stands; `none` for what is no step."""
        return self._footing.get(span_id, "none")

    def _is_undone(self, step: str) -> bool:
        if step in self._census.unwound and self._fold.spans[step].state.unwinding == "done":
            return True
        return any(self._undid(undo_id, step) for undo_id in self._census.undos_of.get(step, ()))

    def _undid(self, undo_id: str, step: str) -> bool:
        span = self._fold.spans.get(step)
        if self.outcome_of(undo_id, ended=True) != "compensated":
            return False
        # What ended before the step did cannot have undone it.
        return span is None or span.status != "success" or self._fold.spans[undo_id].over_at >= span.over_at

    def _footing_of(self, step: str, covered: dict[str, bool]) -> Footing:
        footing = self._own_footing(step)
        if footing == "none" or step in self._census.undos_of or not self.by_footing.get("undone"):
            return footing

        def pass_on(above: str, is_covered: bool) -> bool:
            return is_covered or self._footing.get(above) == "undone"

        return "covered" if self._forest.inherited(step, covered, False, pass_on) else footing

    def _own_footing(self, step: str) -> Footing:
        """How a step that was not undone stands, whatever was undone around it."""
        span, undos = self._fold.spans.get(step), self._census.undos_of.get(step, ())
        if span is None:
            return "unsure" if any(self._fold.spans[undo_id].has_begun for undo_id in undos) else "none"
        if step in self._areas.owner and not undos:
            return "none"
        if span.status in ("success", "point"):
            return "standing"
        if not undos and step not in self._census.declared:
            return "none"
        if span.is_open:
            return "pending" if span.has_begun else "none"
        return "unsure" if ended_in_the_dark(span) else "none"

    def began(self) -> bool:
        """Whether any undoing has begun."""
        return bool(self._census.unwound) or any(
            self._fold.spans[span_id].has_begun for span_id in self._census.undoing
        )

    def outcome_of(self, undo_id: str, *, ended: bool) -> Outcome:
        """How one try to undo stands, in a trace that has ended or not."""
        undo = self._fold.spans[undo_id]
        pending: Outcome = "unconfirmed" if ended else "running"
        if undo.is_open:
            return pending if undo.has_begun else "not_started"
        if undo.status == "point":
            return pending
        if undo.status != "success":
            return "failed"
        troubles = self._troubles().get(undo_id, ())
        if any(not span.is_open for span in troubles):
            return "failed"
        return pending if troubles else "compensated"

    def _troubles(self) -> dict[str, list[Span]]:
        """Per undo that says it went well, what it left behind: jobs that failed after that, or are still open."""
        if self._trouble is None:
            self._trouble = {}
            for span_id in (self._census.failed | self._census.open) & self._areas.owner.keys():
                span = self._fold.spans[span_id]
                for undo_id in self._areas.outer(span_id):
                    undo = self._fold.spans[undo_id]
                    if undo_id != span_id and undo.status == "success" and _outlives(span, undo):
                        self._trouble.setdefault(undo_id, []).append(span)
        return self._trouble

    def first_standing(self, count: int) -> list[str]:
        """The names of the first steps nobody undid, by when they ended; what still runs counts among them."""
        footings: tuple[Footing, ...] = ("standing", "unsure", "pending")
        steps = [step for footing in footings for step in self.by_footing.get(footing, ())]
        return [self.name_of(step) for step in nsmallest(count, steps, key=self._ending)]

    def standing(self, *, ended: bool) -> list[Standing]:
        """The steps nobody undid, by when they ended, and those that may have taken effect."""
        footings: tuple[Footing, ...] = ("standing", "unsure", "pending") if ended else ("standing", "unsure")
        began = self.began()
        steps = [step for footing in footings for step in self.by_footing.get(footing, ())]
        return [
            Standing(
                step,
                self.name_of(step),
                self._reason(step, began=began, ended=ended),
                self._footing[step] == "standing",
            )
            for step in sorted(steps, key=self._ending)
        ]

    def _ending(self, step: str) -> When:
        return ending_of(self._fold, step) if step in self._fold.spans else (0, 0, step)

    def name_of(self, step: str) -> str:
        """The step's name; its id where it was never seen."""
        return self._fold.spans[step].name if step in self._fold.spans else step

    def _reason(self, step: str, *, began: bool, ended: bool) -> str:
        undos = self.undos_in_order(step)
        if not undos and step in self._census.unwound:
            failed = self._fold.spans[step].state.unwinding == "failed"
            return "undo failed after 1 attempt" if failed else "unconfirmed" if ended else "undo still running"
        if not undos:
            return "unwind stopped before it" if began and ended else "undo never started"
        outcomes = [self.outcome_of(undo_id, ended=ended) for undo_id in undos]
        if "running" in outcomes:
            return "undo still running"
        told = [outcome for outcome in outcomes if outcome != "not_started"]
        if not told:
            return "undo never started"
        if told[-1] == "failed":
            tries = sum(self.tries_of(undo_id) for undo_id, one in zip(undos, outcomes, strict=True) if one == "failed")
            return f"undo failed after {tries} attempt{'s' if tries > 1 else ''}"
        return "unconfirmed"

    def undos_in_order(self, step: str) -> list[str]:
        """The tries to undo a step, by when they began."""
        return sorted(self._census.undos_of.get(step, ()), key=lambda undo_id: beginning_of(self._fold, undo_id))

    def tries_of(self, undo_id: str) -> int:
        """How often an undo was tried: its own attempts, or those of a job inside it."""
        inside = [self._fold.spans[one] for one in self._forest.below(undo_id)]
        failed = [len(span.attempts) for span in inside if span.status == "failed" or span.state.retried]
        return max([1, len(self._fold.spans[undo_id].attempts), *failed])

    def ledger(self, *, ended: bool, steps: Iterable[Standing]) -> list[LedgerRow]:
        """Every try to undo, in the order they began; then those of the given steps that nobody tried to undo."""
        undos = {
            undo_id: beginning_of(self._fold, undo_id) for one in self._census.undos_of.values() for undo_id in one
        }
        undos |= {step: self._unwinding_of(step) for step in self._census.unwound}
        rows = [
            self._own_row(undo_id, ended=ended) if undo_id in self._census.unwound else self._row(undo_id, ended=ended)
            for undo_id in sorted(undos, key=undos.__getitem__)
        ]
        tried = self._census.undos_of.keys() | self._census.unwound
        untried = [one.span_id for one in steps if one.span_id not in tried]
        return rows + [self._untried(step) for step in reversed(untried)]

    def _row(self, undo_id: str, *, ended: bool) -> LedgerRow:
        undo = self._fold.spans[undo_id]
        step = undo.original_span_id or ""
        outcome = self.outcome_of(undo_id, ended=ended)
        troubles = [] if undo.error is not None else self._troubles().get(undo_id, [])
        error = undo.error or next((span.error for span in troubles if span.error), None)
        if outcome == "failed" and error is None:
            error = undo.reason if undo.status in ("stopped", "canceled") and undo.reason else undo.status
        ran = self._ran(undo_id)
        return LedgerRow(
            original_span_id=step,
            original_name=self.name_of(step),
            completed_at=self._completed_at(step),
            span_id=undo_id,
            name=undo.name,
            outcome=outcome,
            attempts=self.tries_of(undo_id),
            error=error if outcome == "failed" else None,
            reason=undo.reason,
            place=ran.place,
            started_at=undo.started_at if undo.started_at is not None else undo.first_at if undo.has_begun else None,
            ended_at=undo.ended_at,
        )

    def _unwinding_of(self, step: str) -> When:
        event = next(event for event in self._fold.spans[step].unwound if event is not None)
        return event.micros, 0, step

    def _own_row(self, step: str, *, ended: bool) -> LedgerRow:
        """What a saga or a step says of its own undoing."""
        span = self._fold.spans[step]
        begun, over = span.unwound
        outcome: Outcome = "unconfirmed" if ended else "running"
        if over is not None:
            outcome = "compensated" if span.state.unwinding == "done" else "failed"
        error = text_of(facts_of(over).error) if over is not None and outcome == "failed" else None
        return LedgerRow(
            original_span_id=span.span_id,
            original_name=span.name,
            completed_at=self._completed_at(span.span_id),
            span_id=span.span_id,
            name=span.name,
            outcome=outcome,
            attempts=1,
            error=error,
            reason=None if begun is None else text_of(facts_of(begun).reason),
            place=span.place,
            started_at=None if begun is None else begun.micros,
            ended_at=None if over is None else over.micros,
        )

    def _ran(self, undo_id: str) -> Span:
        """Where the work of an undo was done: in itself, or in the job it ran."""
        undo = self._fold.spans[undo_id]
        if undo.place.worker is not None:
            return undo
        inside = (self._fold.spans[one] for one in self._forest.below(undo_id))
        return next((span for span in inside if span.place.worker is not None), undo)

    def _untried(self, step: str) -> LedgerRow:
        name, completed_at = self.name_of(step), self._completed_at(step)
        return LedgerRow(step, name, completed_at, None, None, "not_started", 0, None, None, None, None, None)

    def _completed_at(self, step: str) -> int | None:
        span = self._fold.spans.get(step)
        return span.over_at if span is not None and span.status in ("success", "point") else None


def _outlives(span: Span, undo: Span) -> bool:
    return span.is_open or not span.was_over_by(undo.over_at)


def ended_in_the_dark(span: Span) -> bool:
    """Whether a span's end leaves open how far it got."""
    if span.status in ("stopped", "canceled") or span.is_presumed:
        return True
    return bool(_UNKNOWN_END.search(span.error_type or ""))
