"""What was to be undone, what was, and what still stands, each step with one reason.

How each step stands is kept as events come: a step is looked at again only when its own events, its undos, what
they run, or the undoing of a stage around it changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final, Literal

from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.event_data import facts_of
from sagatrace_tui.model.failures import Failures, When, ending_of
from sagatrace_tui.model.fold import Change, Fold
from sagatrace_tui.model.leftovers import Leftovers
from sagatrace_tui.model.side_effects import Effects, ended_in_the_dark
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import Forest

__all__ = ["Compensations", "Footing", "Outcome", "Standing", "beginning_of"]

Outcome = Literal["compensated", "failed", "running", "unconfirmed", "not_started"]
Footing = Literal["undone", "covered", "standing", "unsure", "pending", "none"]
"""A step was undone, or a stage around it was; it stands; it may stand, its outcome unknown; it still runs; or
there is nothing to undo."""

_FEW: Final = 100  # steps that are sooner asked than everything below a stage is visited

_NEVER: Final = -(2**63)
_RUNNING: Final = "undo still running"
_BEFORE_IT: Final = "undone before it completed (or clocks disagree)"
_FAILED_ITSELF: Final = "it had failed itself, so there may be nothing to undo"
_BEFORE_ITS_END: Final = "undone before it was over (or clocks disagree)"
_TOO_EARLY: Final = "undone before the work below it was over (or clocks disagree)"


@dataclass(frozen=True, slots=True)
class Standing:
    """A step that nobody undid, and the one reason why. `certain` is False where it may have had no effect."""

    span_id: str
    name: str
    reason: str
    certain: bool
    explained: bool  # whether the reason tells why it counts, or nothing needs to be told
    being_undone: bool = False


class _Reached(dict[str | None, tuple[int, int]]):
    """By parent, of the earliest of its steps that somebody undid: when that ended, and when its undoing began."""


def beginning_of(fold: Fold, span_id: str) -> When:
    """When a span began, in a form that orders spans."""
    span = fold.spans[span_id]
    seq = facts_of(span.events[0]).seq
    return span.first_at, seq if isinstance(seq, int) else 0, span_id


class Compensations:
    """Steps with what would undo them or did. `by_footing` holds the steps by how they stand."""

    def __init__(self, fold: Fold, forest: Forest, census: Census, areas: Areas, failures: Failures) -> None:
        self._fold, self._forest, self._census, self._areas = fold, forest, census, areas
        self.leftovers = Leftovers(fold, census, areas, failures)
        self.effects = Effects(fold, forest, census, areas)
        self._footing: dict[str, Footing] = {}
        self._undone_at: dict[str, int] = {}  # per step that was undone, when its last good undo ended
        self._revoked: dict[str, bool] = {}  # per undo that was asked for, whether it was undone itself
        self.by_footing: dict[Footing, set[str]] = {}
        self._stale = {*census.declared, *census.undos_of, *census.unwound}

    def update(self, change: Change) -> None:
        """Take a change of one span, and note which steps it may have touched."""
        span = change.span
        census = self._census
        self._stale.update(self.effects.update(change))
        if any(span.span_id in steps for steps in (census.declared, census.undos_of, census.unwound)):
            self._stale.add(span.span_id)
        if span.span_id in self._areas.owner:
            self.leftovers.update(span.span_id)
            for undo_id in self._areas.outer(span.span_id):
                self._stale.update(self._undone_by(undo_id))

    def _undone_by(self, undo_id: str) -> Iterable[str]:
        """The step an undo names; and where that is an undo itself, the one it names, and so on."""
        steps: dict[str, None] = {}
        undo = self._fold.spans.get(undo_id)
        while undo is not None and (step := undo.original_span_id) is not None and step not in steps:
            steps[step] = None
            undo = self._fold.spans.get(step)
        return steps

    def adopt(self, span_id: str) -> None:
        """Take a span that comes after its children: what was undone above it covers them too.

        An undo among them may turn out to be below the very step it undoes, and so part of it.
        """
        if not self._census.undos_of and not self._census.unwound:
            return
        for below in self._forest.below(span_id):
            if below in self._footing:
                self._stale.add(below)
            if below in self._census.undoing:
                self._stale.update(self._undone_by(below))

    def settle(self) -> None:
        """Decide anew how the touched steps stand."""
        self._revoked.clear()
        stages: list[str] = []
        stale = self._fold.in_turn(self._stale)
        for step in stale:
            at = self._undone_when(step)
            if at == self._undone_at.get(step):
                continue
            if at is None:
                del self._undone_at[step]
            else:
                self._undone_at[step] = at
            self._move(step, "none" if at is None else "undone")
            if step in self._forest.children:
                stages.append(step)
        # What a stage's undoing covers are the steps below it.
        steps = self._below(stages)
        covered: dict[str, int] = {}
        for step in self._fold.in_turn(self._stale.union(steps)) if steps else stale:
            if self._footing.get(step) != "undone":
                self._move(step, self._footing_of(step, covered))
        self._stale.clear()

    def _below(self, stages: list[str]) -> list[str]:
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

    def _undone_when(self, step: str) -> int | None:
        """When the last undo that did undo the step ended; None while none has. An undo is no step."""
        undos = self._census.undos_of.get(step, ())
        if not undos and step not in self._census.unwound:
            return None
        span = self._fold.spans.get(step)
        if span is not None and span.original_span_id is not None:
            return None
        ends = [self._fold.spans[one].over_at for one in undos if self._undid(one, step)]
        if span is not None and step in self._census.unwound and span.state.unwinding == "done":
            ends.extend(event.micros for event in span.unwound[1:] if event is not None)
        return max(ends, default=None)

    def _undid(self, undo_id: str, step: str) -> bool:
        if self.outcome_of(undo_id, ended=True) != "compensated" or self._is_revoked(undo_id):
            return False
        span, over_at = self._fold.spans.get(step), self._fold.spans[undo_id].over_at
        if span is None:
            return True
        # What ended before the step did, or before the work it left behind, cannot have undone it.
        if _completed_after(span, over_at) or self.effects.outlast(step, over_at):
            return False
        return not _went_on_after(span, over_at) or step in self._forest.ancestors_of(undo_id)

    def _is_revoked(self, undo_id: str) -> bool:
        """Whether an undo was undone itself, by an undo that was not."""
        undos_of, known = self._census.undos_of, self._revoked
        if undo_id not in undos_of:
            return False
        seen = {undo_id: None}
        for one in (order := [undo_id]):
            fresh = [undo for undo in undos_of.get(one, ()) if undo not in seen and undo not in known]
            seen |= dict.fromkeys(fresh)
            order.extend(fresh)
        for one in reversed(order):
            undos = undos_of.get(one, ())
            known[one] = any(
                not known.get(undo, False) and self.outcome_of(undo, ended=True) == "compensated" for undo in undos
            )
        return known[undo_id]

    def _footing_of(self, step: str, covered: dict[str, int]) -> Footing:
        footing = self._own_footing(step)
        if footing == "none" or step in self._census.undos_of or not self.by_footing.get("undone"):
            return footing

        def pass_on(above: str, latest: int) -> int:
            return max(latest, self._undone_at.get(above, _NEVER))

        until, span = self._forest.inherited(step, covered, _NEVER, pass_on), self._fold.spans[step]
        if until == _NEVER or span.is_open or not span.was_over_by(until) or self.effects.outlast(step, until):
            return footing
        return "covered"

    def _own_footing(self, step: str) -> Footing:
        """How a step that was not undone stands, whatever was undone around it."""
        span, undos = self._fold.spans.get(step), self._census.undos_of.get(step, ())
        if span is None:
            return "unsure" if any(self._fold.spans[undo_id].has_begun for undo_id in undos) else "none"
        if step in self._areas.owner and (not undos or span.original_span_id is not None):
            return "none"
        if span.status in ("success", "point"):
            return "standing"
        if not undos and step not in self._census.declared:
            return "none"
        if span.is_open:
            return "pending" if span.has_begun else "none"
        if ended_in_the_dark(span) or self.effects.of(step) or self._undone_in_vain(step):
            return "unsure"
        return "none"

    def _undone_in_vain(self, step: str) -> bool:
        """Whether somebody set about undoing a step, and nobody tells that it went well."""
        if step in self._census.unwound and self._fold.spans[step].state.unwinding != "done":
            return True
        undos = [one for one in self._census.undos_of.get(step, ()) if self._fold.spans[one].has_begun]
        return bool(undos) and all(self.outcome_of(one, ended=True) != "compensated" for one in undos)

    def began(self) -> bool:
        """Whether any undoing has begun."""
        return bool(self._census.unwound or self._census.begun)

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
        if self.leftovers.went_wrong(undo_id):
            return "failed"
        return pending if self.leftovers.still_open(undo_id) else "compensated"

    def first_standing(self, count: int) -> list[str]:
        """The names of the first steps nobody undid, by when they ended; what still runs counts among them."""
        footings: tuple[Footing, ...] = ("standing", "unsure", "pending")
        steps = [step for footing in footings for step in self.by_footing.get(footing, ())]
        if len(steps) > _FEW:  # all but those that come first go by the text of their times
            spans, when = self._fold.spans, self._fold.when
            times = {step: when(spans[step].closing_event) if step in spans else "" for step in steps}
            latest = nsmallest(count, times.values())[-1]
            steps = [step for step in steps if times[step] <= latest]
        return [self.name_of(step) for step in nsmallest(count, steps, key=self._ending)]

    def names_in_order(self, steps: Iterable[str]) -> list[str]:
        """The names of steps, by when they ended."""
        return [self.name_of(step) for step in sorted(steps, key=self._ending)]

    def standing(self, *, ended: bool) -> list[Standing]:
        """The steps nobody undid, by when they ended, and those that may have taken effect."""
        footings: tuple[Footing, ...] = ("standing", "unsure", "pending") if ended else ("standing", "unsure")
        steps = [step for footing in footings for step in self.by_footing.get(footing, ())]
        reached = self._reached() if ended and self.began() else None
        return [self._stands(step, reached, ended=ended) for step in sorted(steps, key=self._ending)]

    def _reached(self) -> _Reached:
        """How far back undoing went below each parent."""
        spans, reached = self._fold.spans, _Reached()
        for step in self._census.undos_of.keys() | self._census.unwound:
            span, undos = spans.get(step), self._census.undos_of.get(step, ())
            begun = [spans[undo_id].first_at for undo_id in undos if spans[undo_id].has_begun]
            if span is not None and (own := next(filter(None, span.unwound), None)) is not None:
                begun.append(own.micros)
            if begun and span is not None and not span.is_open:
                began = max(begun)
                reached[span.parent_id] = min((span.over_at, began), reached.get(span.parent_id, (span.over_at, began)))
        return reached

    def _stands(self, step: str, reached: _Reached | None, *, ended: bool) -> Standing:
        certain, reason = self._footing[step] == "standing", self._reason(step, reached, ended=ended)
        span = self._fold.spans.get(step)
        evidence = None
        if span is not None and not span.is_open and (not certain or reason == _TOO_EARLY):
            evidence = self.effects.evidence(step, ended=ended)
        if evidence is None and span is not None and span.status == "failed" and not ended_in_the_dark(span):
            return Standing(step, self.name_of(step), f"{reason}; {_FAILED_ITSELF}", certain, explained=True)
        if evidence is None:
            running = reason == _RUNNING
            return Standing(step, self.name_of(step), reason, certain, explained=certain, being_undone=running)
        told = f"{reason}; {evidence.sentence}"
        certain = certain or evidence.certain
        return Standing(step, self.name_of(step), told, certain, explained=True, being_undone=reason == _RUNNING)

    def _ending(self, step: str) -> When:
        return ending_of(self._fold, step) if step in self._fold.spans else (0, 0, step)

    def name_of(self, step: str) -> str:
        """The step's name; its id where it was never seen."""
        return self._fold.spans[step].name if step in self._fold.spans else step

    def _reason(self, step: str, reached: _Reached | None, *, ended: bool) -> str:
        undos = self.undos_in_order(step)
        if not undos and step in self._census.unwound:
            failed = self._fold.spans[step].state.unwinding == "failed"
            return "undo failed after 1 attempt" if failed else "unconfirmed" if ended else _RUNNING
        if not undos:
            if reached is None:
                return "undo never started"
            span = self._fold.spans.get(step)
            # Undoing goes backwards: where it came to a step that had ended before this one began, it passed this one.
            at = reached.get(span.parent_id) if span is not None else None
            passed = span is not None and at is not None and at[0] <= span.first_at and span.over_at <= at[1]
            return "undo never started" if passed else "unwind stopped before it"
        outcomes = [self.outcome_of(undo_id, ended=ended) for undo_id in undos]
        if "running" in outcomes:
            return _RUNNING
        told = [outcome for outcome in outcomes if outcome != "not_started"]
        if not told:
            return "undo never started"
        if told[-1] == "failed":
            tries = sum(self.tries_of(undo_id) for undo_id, one in zip(undos, outcomes, strict=True) if one == "failed")
            return f"undo failed after {tries} attempt{'s' if tries > 1 else ''}"
        if told[-1] == "unconfirmed":
            return "unconfirmed"
        if any(self._is_revoked(undo_id) for undo_id in undos):
            return "its undo was undone again"
        return self._early(step, undos)

    def _early(self, step: str, undos: list[str]) -> str:
        """Why an undo that went well did not undo the step."""
        span = self._fold.spans[step]
        over_at = max(self._fold.spans[undo_id].over_at for undo_id in undos)
        if _completed_after(span, over_at):
            return _BEFORE_IT
        return _BEFORE_ITS_END if _went_on_after(span, over_at) else _TOO_EARLY

    def undos_in_order(self, step: str) -> list[str]:
        """The tries to undo a step, by when they began."""
        undos = list(self._census.undos_of.get(step, ()))
        if len(undos) > 1:
            undos.sort(key=lambda undo_id: beginning_of(self._fold, undo_id))
        return undos

    def tries_of(self, undo_id: str) -> int:
        """How often an undo was tried: its own attempts, or those of a job inside it."""
        inside = [self._fold.spans[one] for one in self._forest.below(undo_id)]
        failed = [len(span.attempts) for span in inside if span.status == "failed" or span.state.retried]
        return max([1, len(self._fold.spans[undo_id].attempts), *failed])


def _went_on_after(step: Span, moment: int) -> bool:
    """Whether a step that ended in the dark was at work after that moment; of a lost worker nobody saw until when."""
    if step.status == "success" or step.is_open or step.was_over_by(moment) or step.is_presumed:
        return False
    return ended_in_the_dark(step)


def _completed_after(step: Span, moment: int) -> bool:
    return step.status == "success" and step.over_at > moment
