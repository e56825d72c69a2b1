"""The steps to undo: for each step its state, and each try to undo it with its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from heapq import nsmallest
from typing import Final, Literal

from sagatrace_tui.model.answers import Outcome
from sagatrace_tui.model.retries import Retries
from sagatrace_tui.model.side_effects import SideEffects, ended_unknown
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import SHOWN
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["StepState", "Steps", "in_order_of_end"]

StepState = Literal["undone", "covered", "standing", "unsure", "pending", "waiting", "none"]
"""A step was undone, or a stage around it was; it stands; it may stand; it still runs; or there is nothing to undo."""

_NEVER: Final = -(2**63)
_OWN_OUTCOMES: Final[Mapping[str, Outcome]] = {"begun": "unconfirmed", "done": "compensated", "failed": "failed"}


class Steps:
    """How each step stands that declares a compensation, is named by one, or reports its own.

    `never_ran` are the spans that will never start, each with the span it waits for; `ended` is whether the trace has.
    A try to undo is named by its span: a compensation, or the step itself where that reports its own one.
    """

    def __init__(self, index: SpanIndex, retries: Retries, never_ran: Mapping[str, str], *, ended: bool) -> None:
        self._index, self._tree, self._spans = index, index.tree, index.spans
        self.retries, self.never_ran, self.ended = retries, never_ran, ended
        self.effects = SideEffects(index)
        self._left_behind: dict[str, list[Span]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self.reverted: set[str] = set()
        self._undone_at: dict[str, int] = {}
        self.states: dict[str, StepState] = {}
        if index.has_undoing:
            self._find_left_behind()
            self._find_reverted()
        self._decide()

    @property
    def undone(self) -> tuple[int, int]:
        """The number of steps that were undone, and of those that were to be."""
        return len(self.in_state("undone", "covered")), len(self.states) - len(self.in_state("none"))

    def in_state(self, *states: StepState) -> list[str]:
        """Return the steps in these states."""
        return [step for step, state in self.states.items() if state in states]

    def name_of(self, step: str) -> str:
        """Return the step's name, or its id if the step has no events."""
        return self._spans[step].name if step in self._spans else step

    def short_name_of(self, step: str) -> str:
        """Return the step's name (a job's function without its package), or its id if the step has no events."""
        return self._spans[step].short_name if step in self._spans else step

    def first_names(self, steps: Sequence[str]) -> list[str]:
        """Return the names of the first few steps to end. The times as text leave out most of the steps cheaply."""
        if len(steps) > SHOWN:
            spans = self._spans
            times = {step: spans[step].closing_event.timestamp if step in spans else "" for step in steps}
            latest = nsmallest(SHOWN, times.values())[-1]
            steps = [step for step in steps if times[step] <= latest]
        return [self.short_name_of(step) for step in in_order_of_end(self._spans, steps)[:SHOWN]]

    def outcome_of(self, undo_id: str) -> Outcome:
        """Return the outcome of one try to undo, as if the trace had ended."""
        if undo_id not in self._outcomes:
            self._outcomes[undo_id] = self._outcome(undo_id)
        return self._outcomes[undo_id]

    def outcome_so_far(self, undo_id: str) -> Outcome:
        """Return the present outcome of one try to undo. It is unconfirmed only if the try cannot continue."""
        outcome, is_over = self.outcome_of(undo_id), self.ended or self._spans[undo_id].status == "interrupted"
        return "running" if outcome == "unconfirmed" and not is_over else outcome

    def _outcome(self, undo_id: str) -> Outcome:
        undo = self._spans[undo_id]
        if undo_id in self._index.unwound:
            return _OWN_OUTCOMES[undo.state.unwinding]
        if undo.is_open:
            return "unconfirmed" if undo.has_begun else "not_started"
        if undo.status in ("point", "interrupted"):
            return "unconfirmed"
        left = self._left_behind.get(undo_id, ())
        if undo.status != "success" or (left and (any(self.failed_later(undo_id)) or self.lost(undo_id))):
            return "failed"
        return "unconfirmed" if any(span.is_open for span in left) else "compensated"

    def failed_later(self, undo_id: str) -> Iterator[Span]:
        """Yield the spans below a compensation that failed after it had reported success, and were not recovered."""
        over_at = self._spans[undo_id].over_at
        for span in self._left_behind.get(undo_id, ()):
            is_late = not span.is_open and not span.was_over_by(over_at)
            if is_late and not self.retries.recovered_within(span.span_id, undo_id):
                yield span

    def lost(self, undo_id: str) -> list[tuple[Span, Span]]:
        """Return the spans below a compensation that will never run, each with the span it waits for."""
        left = self._left_behind.get(undo_id, ()) if self.never_ran else ()
        return [(span, self._spans[self.never_ran[span.span_id]]) for span in left if span.span_id in self.never_ran]

    def undos_in_order(self, step: str) -> list[str]:
        """Return the tries to undo a step, in the order they began."""
        undos = self._index.undos_of.get(step) or {step} & self._index.unwound
        return sorted(undos, key=lambda undo_id: self._spans[undo_id].beginning)

    def tries_of(self, undo_id: str) -> int:
        """Return the number of tries of a compensation: its own attempts, or those of a job inside it."""
        if undo_id in self._index.unwound:
            return 1
        inside = (self._spans[one] for one in self._tree.below(undo_id))
        tries = [len(span.attempts) for span in inside if span.has_failed or span.state.retried]
        return max([1, len(self._spans[undo_id].attempts), *tries])

    def was_tried_in_vain(self, step: str) -> bool:
        """Return whether a compensation of the step began, and none is known to have succeeded."""
        if step in self._index.unwound and self.outcome_of(step) != "compensated":
            return True
        begun = [one for one in self._index.undos_of.get(step, ()) if self._spans[one].has_begun]
        return bool(begun) and all(self.outcome_of(one) != "compensated" for one in begun)

    def _find_reverted(self) -> None:
        """Find the compensations that another one undid, which was not undone itself."""
        undone = {one: self._index.undos_of[one] for one in self._index.undoing & self._index.undos_of.keys()}
        order = TopologicalSorter(undone)
        with suppress(CycleError):  # those that undo each other undo no step: they never become ready
            order.prepare()
        while ready := order.get_ready():
            undos_of = {one: undone.get(one, set()) - self.reverted for one in ready}
            self.reverted.update(one for one, undos in undos_of.items() if "compensated" in map(self.outcome_of, undos))
            order.done(*ready)

    def _find_left_behind(self) -> None:
        """Note, per compensation, the spans below it that ended badly or are open."""
        index = self._index
        for span_id in (index.failed | index.halted | index.open) & index.owner.keys():
            for undo_id in index.undos_around(span_id):
                if undo_id != span_id:
                    self._left_behind.setdefault(undo_id, []).append(self._spans[span_id])

    def _decide(self) -> None:
        index = self._index
        steps = dict.fromkeys((*index.declared, *index.undos_of, *index.unwound))
        for step in steps if index.has_undoing else ():
            if (at := self._undone_when(step)) is not None:
                self._undone_at[step], self.states[step] = at, "undone"
        around: dict[str, int] = {}
        for step in steps:
            if step not in self.states:
                self.states[step] = self._state_of(step, around)
        for step in self.in_state("standing", "unsure") if self._undone_at else ():
            if self._all_jobs_undone(step):
                self.states[step] = "covered"

    def _undone_when(self, step: str) -> int | None:
        """Return when the last compensation ended that did undo the step; None if none did."""
        undos = self._index.undos_of.get(step, ())
        span = self._spans.get(step)
        if span is not None and span.original_span_id is not None:
            return None  # a compensation is not a step
        ends = [self._spans[one].over_at for one in undos if self._undid(one, step)]
        if span is not None and step in self._index.unwound and span.state.unwinding == "done":
            ends.extend(event.micros for event in span.unwound[1:] if event is not None)
        return max(ends, default=None)

    def _undid(self, undo_id: str, step: str) -> bool:
        if self.outcome_of(undo_id) != "compensated" or undo_id in self.reverted:
            return False
        span, over_at = self._spans.get(step), self._spans[undo_id].over_at
        if span is None:
            return True
        # A compensation that ended before the step, or before work the step left behind, cannot have undone that.
        if self.completed_after(span, over_at) or self.effects.outlast(step, over_at):
            return False
        return not self.went_on_after(span, over_at) or step in self._tree.ancestors_of(undo_id)

    def _state_of(self, step: str, around: dict[str, int]) -> StepState:
        state = self._own_state(step)
        if state == "none" or step in self._index.undos_of or not self._undone_at:
            return state

        def pass_on(above: str, latest: int) -> int:
            return max(latest, self._undone_at.get(above, _NEVER))

        until, span = self._tree.inherited(step, around, _NEVER, pass_on), self._spans[step]
        if until == _NEVER or span.is_open or not span.was_over_by(until) or self.effects.outlast(step, until):
            return state
        return "covered"

    def _own_state(self, step: str) -> StepState:
        """Return the state of a step that was not undone. Compensations of steps around it do not matter."""
        span, undos = self._spans.get(step), self._index.undos_of.get(step, ())
        if span is None:
            return "unsure" if any(self._spans[undo_id].has_begun for undo_id in undos) else "none"
        if step in self._index.owner and (not undos or span.original_span_id is not None):
            return "none"
        if span.status in ("success", "point"):
            return "standing"
        if not undos and step not in self._index.declared:
            return "none"
        if span.is_open and span.has_begun:
            return "pending"
        if span.is_open:  # its job waits, and may still run
            may_run = step not in self.never_ran
            if self.was_tried_in_vain(step) or (may_run and any(self._spans[undo_id].is_open for undo_id in undos)):
                return "unsure"
            return "waiting" if may_run and self.ended else "none"
        if ended_unknown(span) or self.effects.of(step) or self.was_tried_in_vain(step):
            return "unsure"
        return "none"

    def _all_jobs_undone(self, step: str) -> bool:
        """Return whether a step ran jobs that need undoing, and each of them was undone after it had ended."""
        span = self._spans.get(step)
        if span is None or self._index.undos_of.get(step):
            return False
        work = [one for one in self._tree.below(step) if self._is_work(self._spans[one])]
        return bool(work) and all(self._undone_at.get(one, _NEVER) >= span.over_at for one in work)

    def _is_work(self, span: Span) -> bool:
        """Return whether a span is a job that may have had an effect, and is not part of the undoing."""
        if span.state.kind != "job" or span.span_id in self._index.owner:
            return False
        return span.status == "success" or (not span.is_open and ended_unknown(span))

    @staticmethod
    def completed_after(step: Span, moment: int) -> bool:
        """Return whether a step succeeded after that moment."""
        return step.status == "success" and step.over_at > moment

    @staticmethod
    def went_on_after(step: Span, moment: int) -> bool:
        """Return whether a step with an unknown effect was running after that moment."""
        is_over_later = not (step.status == "success" or step.is_open or step.was_over_by(moment) or step.is_presumed)
        return is_over_later and ended_unknown(step)


def in_order_of_end(spans: Mapping[str, Span], steps: Iterable[str]) -> list[str]:
    """Return steps in the order they ended. Steps without events come first."""
    return sorted(steps, key=lambda step: spans[step].ending if step in spans else (0, 0, step))
