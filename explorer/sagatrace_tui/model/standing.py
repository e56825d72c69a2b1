"""The lists of the compensation view: every try to undo a step, and the steps that still stand, with their reasons."""

from __future__ import annotations

from collections.abc import Iterable

from sagatrace_tui.model.answers import Code, Compensation, Outcome, Place, Standing
from sagatrace_tui.model.compensation import Steps, in_order_of_end
from sagatrace_tui.model.event_data import data_of, text_of
from sagatrace_tui.model.index import SpanIndex
from sagatrace_tui.model.side_effects import ended_unknown
from sagatrace_tui.model.span import Span, When
from sagatrace_tui.model.tree import SpanTree

__all__ = ["StepLists", "fate_of"]

_Reached = dict[str | None, tuple[int, int]]
"""By parent, of its earliest step whose compensation began: when that step ended, and when its compensation began."""


class StepLists:
    """Makes these lists, for a trace that has ended or not."""

    def __init__(self, tree: SpanTree, index: SpanIndex, steps: Steps) -> None:
        self._tree, self._spans, self._index, self._steps = tree, tree.spans, index, steps

    def standing(self, steps: Iterable[str], *, ended: bool) -> list[Standing]:
        """Return these steps in the order they ended, each with the reason why it still stands."""
        began = self._index.begun or self._index.unwound
        reached = self._reached() if ended and began else None
        return [self._stands(step, reached, ended=ended) for step in in_order_of_end(self._spans, steps)]

    def compensations(self, standing: Iterable[Standing], *, ended: bool) -> list[Compensation]:
        """Return every try to undo a step, in the order they began; then the standing steps that had no try."""
        index = self._index
        begun: dict[str, When] = {
            undo_id: self._spans[undo_id].beginning for undos in index.undos_of.values() for undo_id in undos
        }
        begun |= {step: (self._spans[step].own_compensation_at or 0, 0, step) for step in index.unwound}
        rows = [
            self._own_row(undo_id, ended=ended) if undo_id in index.unwound else self._row(undo_id, ended=ended)
            for undo_id in sorted(begun, key=begun.__getitem__)
        ]
        tried = index.undos_of.keys() | index.unwound
        untried = [one.span_id for one in standing if one.span_id not in tried]
        return rows + [self._untried(step) for step in reversed(untried)]

    def _reached(self) -> _Reached:
        """Return how far back the rollback came below each parent."""
        spans, reached = self._spans, _Reached()
        for step in self._index.undos_of.keys() | self._index.unwound:
            span, undos = spans.get(step), self._index.undos_of.get(step, ())
            begun = [spans[undo_id].first_at for undo_id in undos if spans[undo_id].has_begun]
            if span is not None and (own := span.own_compensation_at) is not None:
                begun.append(own)
            if begun and span is not None and not span.is_open:
                began = max(begun)
                reached[span.parent_id] = min((span.over_at, began), reached.get(span.parent_id, (span.over_at, began)))
        return reached

    def _stands(self, step: str, reached: _Reached | None, *, ended: bool) -> Standing:
        name, span = self._steps.name_of(step), self._spans.get(step)
        code, tries = self._code(step, reached, ended=ended)
        certain = self._steps.states[step] == "standing"
        effect = None
        if span is not None and not span.is_open and (not certain or code is Code.BEFORE_WORK_ENDED):
            effect = self._steps.effects.strongest(step, ended=ended)
        if effect is not None:
            return Standing(step, name, code, certain or effect.kind == "late", tries, effect)
        failed_itself = span is not None and span.status == "failed" and not ended_unknown(span)
        return Standing(step, name, code, certain, tries, None, failed_itself)

    def _code(self, step: str, reached: _Reached | None, *, ended: bool) -> tuple[Code, int]:
        """Return why a step stands, and how often its compensation was tried in vain."""
        undos = self._steps.undos_in_order(step)
        if not undos and step in self._index.unwound:
            if self._spans[step].state.unwinding == "failed":
                return Code.FAILED, 1
            return (Code.UNCONFIRMED if ended else Code.RUNNING), 0
        if not undos:
            return self._code_untried(step, reached), 0
        outcomes = {undo_id: self._steps.outcome_of(undo_id, ended=ended) for undo_id in undos}
        if "running" in outcomes.values():
            return Code.RUNNING, 0
        begun = [outcome for outcome in outcomes.values() if outcome != "not_started"]
        if not begun:
            return Code.NOT_STARTED, 0
        if begun[-1] == "failed":
            return Code.FAILED, sum(self._steps.tries_of(one) for one, how in outcomes.items() if how == "failed")
        if begun[-1] == "unconfirmed":
            return Code.UNCONFIRMED, 0
        if any(self._steps.is_reverted(undo_id) for undo_id in undos):
            return Code.REVERTED, 0
        return self._code_too_early(self._spans[step], undos), 0

    def _code_untried(self, step: str, reached: _Reached | None) -> Code:
        if reached is None:
            return Code.NOT_STARTED
        span = self._spans.get(step)
        # A rollback goes backwards: where it came to a step that had ended before this one began, it passed this one.
        at = reached.get(span.parent_id) if span is not None else None
        passed = span is not None and at is not None and at[0] <= span.first_at and span.over_at <= at[1]
        return Code.NOT_STARTED if passed else Code.NOT_REACHED

    def _code_too_early(self, span: Span, undos: list[str]) -> Code:
        over_at = max(self._spans[undo_id].over_at for undo_id in undos)
        if self._steps.completed_after(span, over_at):
            return Code.BEFORE_COMPLETED
        return Code.BEFORE_ENDED if self._steps.went_on_after(span, over_at) else Code.BEFORE_WORK_ENDED

    def _row(self, undo_id: str, *, ended: bool) -> Compensation:
        undo = self._spans[undo_id]
        step = undo.original_span_id or ""
        outcome = self._steps.outcome_of(undo_id, ended=ended)
        error = undo.error or self._error_left_behind(undo_id)
        if outcome == "failed" and error is None:
            # Not its own `reason`: that may be why the step was to be undone.
            error = undo.attempt_error or (None if undo.error_type else undo.status)
        last_error = undo.attempt_error if outcome != "compensated" else None
        return Compensation(
            original_span_id=step,
            original_name=self._steps.name_of(step),
            completed_at=self._completed_at(step),
            span_id=undo_id,
            name=undo.name,
            outcome=outcome,
            attempts=self._steps.tries_of(undo_id),
            error=error if outcome == "failed" or undo.error else last_error,
            error_type=undo.error_type,
            reason=undo.reason,
            place=self._ran(undo_id),
            started_at=undo.began_at if undo.has_begun else undo.started_at,
            ended_at=undo.ended_at,
        )

    def _error_left_behind(self, undo_id: str) -> str | None:
        """Return the first error of work that a successful compensation left behind; else why some never ran."""
        if self._spans[undo_id].status != "success":
            return None
        failed = list(self._steps.failed_later(undo_id))
        if failed:
            first = min(failed, key=lambda span: span.ending)
            return first.error or f"{first.name} was {first.status}{f': {first.reason}' if first.reason else ''}"
        waits = self._steps.lost(undo_id)
        if not waits:
            return None
        span, dependency = min(waits, key=lambda pair: pair[0].beginning)
        return f"{span.name} never ran: it waits for {dependency.name}, which {fate_of(dependency)}"

    def _own_row(self, step: str, *, ended: bool) -> Compensation:
        """Return what a saga or a step reports of its own compensation."""
        span = self._spans[step]
        begun, over = span.unwound
        outcome: Outcome = "unconfirmed" if ended else "running"
        if over is not None:
            outcome = "compensated" if span.state.unwinding == "done" else "failed"
        data = data_of(over) if over is not None and outcome == "failed" else None
        return Compensation(
            original_span_id=span.span_id,
            original_name=span.name,
            completed_at=self._completed_at(span.span_id),
            span_id=span.span_id,
            name=span.name,
            outcome=outcome,
            attempts=1,
            error=None if data is None else text_of(data.error),
            error_type=None if data is None else text_of(data.error_type),
            reason=None if begun is None else text_of(data_of(begun).reason),
            place=span.place,
            started_at=None if begun is None else begun.micros,
            ended_at=None if over is None else over.micros,
        )

    def _ran(self, undo_id: str) -> Place:
        """Return where a compensation ran: itself, or the job inside it."""
        own = self._spans[undo_id].place
        if own.worker is not None:
            return own
        inside = (self._spans[one].place for one in self._tree.below(undo_id))
        return next((place for place in inside if place.worker is not None), own)

    def _untried(self, step: str) -> Compensation:
        name, at = self._steps.name_of(step), self._completed_at(step)
        return Compensation(step, name, at, None, None, "not_started", 0, None, None, None, None, None, None)

    def _completed_at(self, step: str) -> int | None:
        span = self._spans.get(step)
        return span.over_at if span is not None and span.status in ("success", "point") else None


def fate_of(span: Span) -> str:
    """Return what happened to a span that another waits for: `failed`, `was canceled`, `never ran either`."""
    return "failed" if span.status == "failed" else f"was {span.status}" if not span.is_open else "never ran either"
