"""Make the lists of the compensation view: the tries to undo steps, and the standing steps with their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sagatrace_tui.model.answers import Code, Compensation, Outcome, Place, Standing
from sagatrace_tui.model.compensation import Steps, in_order_of_end
from sagatrace_tui.model.event_data import EventData, data_of, text_of
from sagatrace_tui.model.side_effects import ended_unknown, took_effect, unknown_error
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["StepLists", "fate_of", "reason_of"]

_WORDS: Final[Mapping[Code, str]] = {
    Code.NOT_STARTED: "compensation never started",
    Code.NOT_REACHED: "rollback stopped before this step",
    Code.RUNNING: "compensation still running",
    Code.UNCONFIRMED: "unconfirmed: compensation started, no outcome recorded",
    Code.REVERTED: "its compensation was undone again",
    Code.BEFORE_COMPLETED: "undone before it completed (or clocks disagree)",
    Code.BEFORE_ENDED: "undone before it ended (or clocks disagree)",
    Code.BEFORE_WORK_ENDED: "undone before the work below it ended (or clocks disagree)",
}

# Per parent: the end of its earliest step whose compensation began, and the start of that compensation.
_Reached = dict[str | None, tuple[int, int]]


class StepLists:
    """Make the lists of standing steps and of compensations."""

    def __init__(self, index: SpanIndex, steps: Steps) -> None:
        self._index, self._tree, self._spans, self._steps = index, index.tree, index.spans, steps

    def standing(self, steps: Iterable[str]) -> list[Standing]:
        """Return these steps in the order they ended, each with the reason why it stands."""
        reached = self._reached() if self._has_begun else {}
        return [self._stands(step, reached) for step in in_order_of_end(self._spans, steps)]

    def compensations(self, standing: Iterable[Standing]) -> list[Compensation]:
        """Return the tries to undo a step in the order they began, then the standing steps without a try."""
        index, spans = self._index, self._spans
        tries = index.unwound.union(*index.undos_of.values())
        rows = [self._row(undo_id) for undo_id in sorted(tries, key=lambda one: spans[one].undo_beginning)]
        untried = [one.span_id for one in standing if one.span_id not in index.undos_of.keys() | index.unwound]
        return rows + [Compensation(*self._step(step), "not_started") for step in reversed(untried)]

    @property
    def _has_begun(self) -> bool:
        return bool(self._index.begun or self._index.unwound)

    def _reached(self) -> _Reached:
        """Return per parent the earliest step that the rollback reached."""
        spans, reached = self._spans, _Reached()
        for step in self._index.undos_of.keys() | self._index.unwound:
            span = spans.get(step)
            undos = (spans[one] for one in (*self._index.undos_of.get(step, ()), *({step} & self._index.unwound)))
            begun = [undo.undo_beginning[0] for undo in undos if undo.has_begun]
            if begun and span is not None and not span.is_open:
                came = span.over_at, max(begun)
                reached[span.parent_id] = min(came, reached.get(span.parent_id, came))
        return reached

    def _stands(self, step: str, reached: _Reached) -> Standing:
        span, certain = self._spans.get(step), self._steps.states[step] == "standing"
        waits, tries, maybe_undone = span is not None and span.is_open and not span.has_begun, 0, False
        undos = self._steps.undos_in_order(step)
        code = self._code(step, undos) if undos else self._code_untried(span, reached)
        if code is Code.FAILED:
            tries = sum(self._steps.tries_of(one) for one in undos if self._steps.outcome_of(one) == "failed")
            maybe_undone = not waits and self._may_have_been_undone(undos)
        words = None
        if span is not None and not span.is_open and (not certain or code is Code.BEFORE_WORK_ENDED):
            effect = self._steps.effects.strongest(step, ended=self._steps.ended)
            if effect is not None:
                words, certain = effect[0], certain or effect[1]
            elif took_effect(span):
                words, certain = "it had done its work before it failed", True
            elif span.status == "failed" and not ended_unknown(span):
                words = "it had failed itself, so there may be nothing to undo"
            elif not self._steps.doubtful.isdisjoint(undos):
                words = "whether that took effect is unknown"
        elif waits:
            words = "its job still waits, and may run later"
        awaited = not self._steps.ended and self._has_begun and code is Code.NOT_STARTED
        awaited = awaited and not self._is_passed(span, reached)
        return Standing(step, self._steps.name_of(step), code, certain, tries, maybe_undone, words, awaited)

    def _may_have_been_undone(self, undos: list[str]) -> bool:
        """Return whether the effect of a failed compensation, or of work below it, is unknown."""
        for undo in (self._spans[one] for one in undos if self._steps.outcome_of(one) == "failed"):
            if undo.span_id in self._index.unwound:
                end = undo.unwound[1]
                if end is not None and unknown_error([end]) is not None:
                    return True
                continue
            work = {undo.span_id, *self._tree.below(undo.span_id)} - self._steps.never_ran.keys()
            spans = (span for span in map(self._spans.__getitem__, work) if span.status not in ("success", "point"))
            if any(map(ended_unknown, spans)):
                return True
        return False

    def _code(self, step: str, undos: list[str]) -> Code:
        """Return the reason why a step stands that has compensations."""
        outcomes = [outcome for undo_id in undos if (outcome := self._steps.outcome_so_far(undo_id)) != "not_started"]
        if not outcomes:
            return Code.NOT_STARTED
        if "running" in outcomes:
            return Code.RUNNING
        if outcomes[-1] != "compensated":
            return Code(outcomes[-1])
        if not self._steps.reverted.isdisjoint(undos):
            return Code.REVERTED
        span, over_at = self._spans[step], max(self._spans[undo_id].over_at for undo_id in undos)
        if span.status == "success" and span.over_at > over_at:
            return Code.BEFORE_COMPLETED
        return Code.BEFORE_ENDED if self._steps.went_on_after(span, over_at) else Code.BEFORE_WORK_ENDED

    def _code_untried(self, span: Span | None, reached: _Reached) -> Code:
        """Return the reason why a step stands that has no compensation."""
        if not self._steps.ended or not self._has_begun or self._is_passed(span, reached):
            return Code.NOT_STARTED
        return Code.NOT_REACHED

    @staticmethod
    def _is_passed(span: Span | None, reached: _Reached) -> bool:
        """Return whether the rollback passed this step: it reached an earlier step without undoing this one."""
        at = reached.get(span.parent_id) if span is not None else None
        return span is not None and at is not None and at[0] <= span.first_at and span.over_at <= at[1]

    def _row(self, undo_id: str) -> Compensation:
        """Return one try to undo: a compensation, or a saga or step that reports its own compensation."""
        undo, outcome = self._spans[undo_id], self._steps.outcome_so_far(undo_id)
        if undo_id in self._index.unwound:
            step, place = undo_id, undo.place
            begun, over = undo.unwound if undo.state.unwinding != "begun" else (undo.unwound[0], None)
            closed = data_of(over) if over is not None and outcome == "failed" else EventData()
            reason = None if begun is None else text_of(data_of(begun).reason)
            why = text_of(closed.error), text_of(closed.error_type), reason
            times = begun.micros if begun is not None else None, over.micros if over is not None else None
        else:
            step, place = undo.original_span_id or "", self._ran(undo_id)
            why = self._error(undo, outcome), undo.error_type, undo.reason
            times = undo.began_at if undo.has_begun else undo.started_at, undo.ended_at
        attempts = self._steps.tries_of(undo_id)
        return Compensation(*self._step(step), outcome, undo_id, undo.name, attempts, *why, place, *times)

    def _step(self, step: str) -> tuple[str, str, int | None]:
        """Return a step's id, its name and its completion time."""
        span = self._spans.get(step)
        completed = span is not None and span.status in ("success", "point")
        return step, self._steps.name_of(step), span.over_at if span is not None and completed else None

    def _error(self, undo: Span, outcome: Outcome) -> str | None:
        """Return the error of a failed compensation, or of the last attempt if the compensation may still succeed."""
        if outcome != "failed":
            return undo.error or (undo.attempt_error if outcome != "compensated" else None)
        # Do not use its `reason`, which may be the reason to undo the step.
        error = undo.error or self._error_left_behind(undo) or undo.attempt_error
        return error or (None if undo.error_type else undo.status)

    def _error_left_behind(self, undo: Span) -> str | None:
        """Return the first error of work below a successful compensation, else the reason why work never ran."""
        if undo.status != "success":
            return None
        failed = list(self._steps.failed_later(undo.span_id))
        if failed:
            first = min(failed, key=lambda span: span.ending)
            return first.error or f"{first.name} was {first.status}{f': {first.reason}' if first.reason else ''}"
        waits = self._steps.lost(undo.span_id)
        if not waits:
            return None
        span, dependency = min(waits, key=lambda pair: pair[0].beginning)
        return f"{span.name} never ran: it waits for {dependency.name}, which {fate_of(dependency)}"

    def _ran(self, undo_id: str) -> Place:
        """Return the place where a compensation ran, or where the job inside it ran."""
        places = [self._spans[one].place for one in (undo_id, *self._tree.below(undo_id))]
        return next((place for place in places if place.worker is not None), places[0])


def fate_of(span: Span) -> str:
    """Return the end of a span that another span waits for: `failed`, `was canceled` or `never ran either`."""
    return "failed" if span.status == "failed" else f"was {span.status}" if not span.is_open else "never ran either"


def reason_of(standing: Standing, *, ended: bool = True) -> str:
    """Return the reason why a step stands, and why it counts if it did not succeed. `ended`: the trace has ended."""
    if standing.code is Code.FAILED:
        reason = f"compensation failed after {standing.tries} attempt{'s' if standing.tries > 1 else ''}"
        reason += "; its effect is unknown" if standing.maybe_undone else ""
    elif standing.awaited:
        reason = "waits to be undone"
    elif standing.code is Code.NOT_STARTED and not ended:
        reason = "compensation not started so far"
    else:
        reason = _WORDS[standing.code]
    return f"{reason}; {standing.effect}" if standing.effect is not None else reason
