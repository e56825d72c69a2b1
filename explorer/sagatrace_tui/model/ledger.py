"""The ledger: every try to undo a step, and the steps that nobody tried to undo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sagatrace_tui.model.census import Census
from sagatrace_tui.model.compensation import Compensations, Outcome, Standing, beginning_of
from sagatrace_tui.model.event_data import facts_of, text_of
from sagatrace_tui.model.failures import When, ending_of
from sagatrace_tui.model.fold import Fold
from sagatrace_tui.model.span import Place, Span
from sagatrace_tui.model.tree import Forest

__all__ = ["Ledger", "LedgerRow", "fate_of"]


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


class Ledger:
    """Writes the ledger when asked for."""

    def __init__(self, fold: Fold, forest: Forest, census: Census, compensations: Compensations) -> None:
        self._fold, self._forest, self._census, self._compensations = fold, forest, census, compensations

    def rows(self, *, ended: bool, steps: Iterable[Standing]) -> list[LedgerRow]:
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
        outcome = self._compensations.outcome_of(undo_id, ended=ended)
        error = undo.error or self._error_of_leftovers(undo_id)
        if outcome == "failed" and error is None:
            # Not its own `reason`: that may be why the step was to be undone.
            error = undo.attempt_error or undo.status
        return LedgerRow(
            original_span_id=step,
            original_name=self._compensations.name_of(step),
            completed_at=self._completed_at(step),
            span_id=undo_id,
            name=undo.name,
            outcome=outcome,
            attempts=self._compensations.tries_of(undo_id),
            error=error if outcome == "failed" else undo.attempt_error if outcome != "compensated" else None,
            reason=undo.reason,
            place=self._ran(undo_id),
            started_at=undo.started_at if undo.started_at is not None else undo.first_at if undo.has_begun else None,
            ended_at=undo.ended_at,
        )

    def _error_of_leftovers(self, undo_id: str) -> str | None:
        """What went wrong first of what an undo that says it went well left behind; else what of it will never run."""
        if self._fold.spans[undo_id].status != "success":
            return None
        over = list(self._compensations.leftovers.ended_ill(undo_id))
        if over:
            first = min(over, key=lambda span: ending_of(self._fold, span.span_id))
            return first.error or f"{first.name} was {first.status}{f': {first.reason}' if first.reason else ''}"
        waits = list(self._compensations.leftovers.lost(undo_id))
        if not waits:
            return None
        first, dependency = min(waits, key=lambda pair: beginning_of(self._fold, pair[0].span_id))
        return f"{first.name} never ran: it waits for {dependency.name}, which {fate_of(dependency)}"

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

    def _ran(self, undo_id: str) -> Place:
        """Where the work of an undo was done: in itself, or in the job it ran."""
        own = self._fold.spans[undo_id].place
        if own.worker is not None:
            return own
        inside = (self._fold.spans[one].place for one in self._forest.below(undo_id))
        return next((place for place in inside if place.worker is not None), own)

    def _untried(self, step: str) -> LedgerRow:
        name, completed_at = self._compensations.name_of(step), self._completed_at(step)
        return LedgerRow(step, name, completed_at, None, None, "not_started", 0, None, None, None, None, None)

    def _completed_at(self, step: str) -> int | None:
        span = self._fold.spans.get(step)
        return span.over_at if span is not None and span.status in ("success", "point") else None


def fate_of(span: Span) -> str:
    """What became of a span that another waits for in vain, to follow `which`."""
    return "failed" if span.status == "failed" else f"was {span.status}" if not span.is_open else "never ran either"
