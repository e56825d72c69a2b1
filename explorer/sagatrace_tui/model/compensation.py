"""Find the state of each step to undo, and the outcome of each try to undo it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from heapq import nsmallest
from typing import Final, Literal

from sagatrace.event import TraceEvent
from sagatrace_tui.model.answers import Outcome
from sagatrace_tui.model.retries import Retries
from sagatrace_tui.model.side_effects import SideEffects, ended_unknown
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import SHOWN
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["StepState", "Steps", "in_order_of_end"]

StepState = Literal["undone", "covered", "standing", "unsure", "pending", "waiting", "none"]
"""The state of a step.

`undone`: The step was undone. `covered`: A stage around it, or all of its jobs, were undone. `standing`: It stands.
`unsure`: It may stand. `pending`: It still runs. `waiting`: Its job waits in an ended trace, and may still run. `none`:
There is nothing to undo.
"""

_NEVER: Final = -(2**63)
_OWN_OUTCOMES: Final[Mapping[str, Outcome]] = {"begun": "unconfirmed", "done": "compensated", "failed": "failed"}


class Steps:
    """The states of steps that declare a compensation, are named by one, or report their own compensation.

    Args:
        never_ran: The spans that will never start, each with the span it waits for.
        ended: Whether the trace has ended.

    The id of a try to undo is the id of the compensation. For a step that reports its own one, it is the step's id.
    """

    def __init__(self, index: SpanIndex, retries: Retries, never_ran: Mapping[str, str], *, ended: bool) -> None:
        self._index, self._tree, self._spans = index, index.tree, index.spans
        self.retries, self.never_ran, self.ended = retries, never_ran, ended
        self.effects = SideEffects(index, never_ran)
        self._left_behind: dict[str, list[Span]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self.reverted: set[str] = set()  # compensations that were undone, or may have been
        self.doubtful: set[str] = set()  # compensations that may have been undone, or may not
        self._undone: dict[str, list[TraceEvent]] = {}  # per step, the ends of its effective compensations
        self.states: dict[str, StepState] = {}
        if index.undoing:
            self._find_left_behind()
        if not index.undoing.isdisjoint(index.undos_of):
            self._find_reverted()
        self._decide()

    @property
    def undone(self) -> tuple[int, int]:
        """The number of steps that were undone, and the number of steps to undo."""
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
        """Return the names of the first few steps to end. Comparing times as text first skips most steps cheaply."""
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
        """Return the outcome of one try to undo so far. It is `unconfirmed` only if the try cannot continue."""
        outcome, is_over = self.outcome_of(undo_id), self.ended or self._spans[undo_id].status == "interrupted"
        return "running" if outcome == "unconfirmed" and not is_over else outcome

    def _outcome(self, undo_id: str) -> Outcome:
        undo = self._spans[undo_id]
        status = undo.status
        if undo_id in self._index.unwound:
            return _OWN_OUTCOMES[undo.state.unwinding]
        if status in ("queued", "running"):
            return "unconfirmed" if undo.has_begun else "not_started"
        if status in ("point", "interrupted"):
            return "unconfirmed"
        left = self._left_behind.get(undo_id, ())
        if status != "success" or (left and (any(self.failed_later(undo_id)) or self.lost(undo_id))):
            return "failed"
        return "unconfirmed" if left and any(span.is_open for span in left) else "compensated"

    def failed_later(self, undo_id: str) -> Iterator[Span]:
        """Yield the unrecovered spans below a compensation that failed after the compensation had reported success."""
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
        """Return the largest number of attempts of a compensation, or of a failed or retried span below it."""
        if undo_id in self._index.unwound:
            return 1
        inside = (self._spans[one] for one in self._tree.below(undo_id))
        tries = [len(span.attempts) for span in inside if span.has_failed or span.state.retried]
        return max([1, len(self._spans[undo_id].attempts), *tries])

    def was_tried_in_vain(self, step: str) -> bool:
        """Return whether a compensation of the step began, but no compensation of it succeeded."""
        if step in self._index.unwound and self.outcome_of(step) != "compensated":
            return True
        begun = [one for one in self._index.undos_of.get(step, ()) if self._spans[one].has_begun]
        return bool(begun) and all(self.outcome_of(one) != "compensated" for one in begun)

    def _find_reverted(self) -> None:
        """Find the compensations that were undone by another compensation, which itself was not undone."""
        undone = {one: self._index.undos_of[one] for one in self._index.undoing & self._index.undos_of.keys()}
        order = TopologicalSorter(undone)
        with suppress(CycleError):  # compensations that undo each other never become ready, so they undo no step
            order.prepare()
        while ready := order.get_ready():
            for one in ready:
                undos = [self._spans[undo] for undo in undone.get(one, ()) if self._may_have_undone(undo)]
                if undos:
                    self.reverted.add(one)
                    # With an earlier end, either it undid nothing or the clocks of two hosts disagree.
                    over_at = self._spans[one].over_at
                    certain = {undo.span_id for undo in undos if undo.over_at >= over_at} - self.doubtful
                    if "compensated" not in map(self.outcome_of, certain):
                        self.doubtful.add(one)
            order.done(*ready)

    def _may_have_undone(self, undo_id: str) -> bool:
        """Return whether a compensation undid another one, or may have undone it."""
        outcome = self.outcome_of(undo_id)
        if undo_id in self.reverted - self.doubtful:
            return False
        return outcome in ("compensated", "unconfirmed") or (
            outcome == "failed" and ended_unknown(self._spans[undo_id])
        )

    def _find_left_behind(self) -> None:
        """Find the failed, halted and open spans below each compensation."""
        index = self._index
        for span_id in (index.failed | index.halted | index.open).intersection(index.owner):
            for undo_id in index.undos_around(span_id):
                if undo_id != span_id:
                    self._left_behind.setdefault(undo_id, []).append(self._spans[span_id])

    def _decide(self) -> None:
        index, states = self._index, self.states
        for step in (*index.undos_of, *index.unwound):
            if ends := self._ends(step):
                self._undone[step] = ends
                if not self._was_outlasted(step):
                    states[step] = "undone"
        around: dict[str, int] = {}
        left = index.declared.union(index.undos_of, index.unwound).difference(states)
        for step in left:
            states[step] = self._state_of(step, around)
        for step in left if self._undone else ():
            if states[step] in ("standing", "unsure") and self._all_jobs_undone(step):
                states[step] = "covered"

    def _ends(self, step: str) -> list[TraceEvent]:
        """Return the ends of the compensations that undid the step. Work below the step may have ended later."""
        span = self._spans.get(step)
        if span is not None and span.original_span_id is not None:
            return []  # a compensation is not a step
        undos = self._index.undos_of.get(step, ())
        ends = [undo.closing_event for undo in map(self._spans.__getitem__, undos) if self._undid(undo, span)]
        if span is not None and span.state.unwinding == "done":
            ends.extend(event for event in span.unwound[1:] if event is not None)
        return ends

    def _was_outlasted(self, step: str) -> bool:
        """Return whether work below a step may have ended after the step was undone.

        Work that began after a step had undone itself does not count, because it is part of the same process.
        """
        below = self.effects.of(step)
        if not below:
            return False
        undone_at, is_own = self._undone_at(step), step in self._index.unwound
        late = (span for span in map(self._spans.__getitem__, below) if span.is_open or not span.was_over_by(undone_at))
        return any(not is_own or span.first_at < undone_at for span in late)

    def _undone_at(self, step: str) -> int:
        """Return the time at which the last effective compensation of the step ended; `_NEVER` without one."""
        return max((event.micros for event in self._undone.get(step, ())), default=_NEVER)

    def _undid(self, undo: Span, step: Span | None) -> bool:
        """Return whether a compensation undid the step."""
        if self.outcome_of(undo.span_id) != "compensated" or undo.span_id in self.reverted:
            return False
        if step is None:
            return True
        # A compensation cannot undo a step that ended later. Times as text suffice to compare ends.
        succeeded = step.status == "success"
        if succeeded and step.closing_event.timestamp > undo.closing_event.timestamp:
            return False
        went_on = not succeeded and step.span_id not in self.never_ran and self.went_on_after(step, undo.over_at)
        return not went_on or step.span_id in self._tree.ancestors_of(undo.span_id)

    def _state_of(self, step: str, around: dict[str, int]) -> StepState:
        state = self._own_state(step)
        if state == "none" or step in self._index.undos_of or not self._undone:
            return state

        def pass_on(above: str, latest: int) -> int:
            return max(latest, self._undone_until(above))

        until, span = self._tree.inherited(step, around, _NEVER, pass_on), self._spans[step]
        if until == _NEVER or span.is_open or not span.was_over_by(until) or self.effects.outlast(step, until):
            return state
        return "covered"

    def _undone_until(self, step: str) -> int:
        """Return the time by which work below a step must have ended to be undone with it; `_NEVER` if none was.

        Work that ended after a job was no part of it. The job may have enqueued it as the next step.
        """
        undone_at, span = self._undone_at(step), self._spans.get(step)
        return undone_at if span is None or span.state.kind != "job" else min(undone_at, span.over_at)

    def _own_state(self, step: str) -> StepState:
        """Return the state of a step that was not undone. Ignore compensations of steps around it."""
        span, undos = self._spans.get(step), self._index.undos_of.get(step, ())
        if span is None:
            return "unsure" if any(self._spans[undo_id].has_begun for undo_id in undos) else "none"
        if step in self._index.owner and (not undos or span.original_span_id is not None):
            return "none"
        if span.status in ("success", "point"):
            return "standing" if self.doubtful.isdisjoint(undos) else "unsure"
        if not undos and step not in self._index.declared:
            return "none"
        if span.is_open and span.has_begun:
            return "pending"
        if span.is_open:  # the job of the step waits, and may still run
            may_run = step not in self.never_ran
            if self.was_tried_in_vain(step) or (may_run and any(self._spans[undo_id].is_open for undo_id in undos)):
                return "unsure"
            return "waiting" if may_run and self.ended else "none"
        if ended_unknown(span) or self.effects.of(step) or self.was_tried_in_vain(step):
            return "unsure"
        return "none"

    def _all_jobs_undone(self, step: str) -> bool:
        """Return whether all jobs below a step that need undoing were undone after the step ended.

        If the step is a job itself, its own work was not undone by that.
        """
        span = self._spans.get(step)
        if span is None or span.state.kind == "job" or self._index.undos_of.get(step):
            return False
        work = [one for one in self._tree.below(step) if self._is_work(self._spans[one])]
        undone = {one for one in work if self.states.get(one) == "undone" and self._undone_at(one) >= span.over_at}
        return bool(work) and all(one in undone or not undone.isdisjoint(self._tree.ancestors_of(one)) for one in work)

    def _is_work(self, span: Span) -> bool:
        """Return whether a span is a job that may have had an effect, and is not part of the undoing."""
        if span.state.kind != "job" or span.span_id in self._index.owner:
            return False
        return span.status == "success" or (span.span_id not in self.never_ran and ended_unknown(span))

    @staticmethod
    def went_on_after(step: Span, moment: int) -> bool:
        """Return whether a step with an unknown effect ran after that moment, or may run."""
        if step.is_open:
            return True
        is_over_later = not (step.status == "success" or step.was_over_by(moment) or step.is_presumed)
        return is_over_later and ended_unknown(step)


def in_order_of_end(spans: Mapping[str, Span], steps: Iterable[str]) -> list[str]:
    """Return steps in the order they ended. Steps without events come first."""
    return sorted(steps, key=lambda step: spans[step].ending if step in spans else (0, 0, step))
