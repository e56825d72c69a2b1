"""What is wrong with how a trace was undone: order, twice, for nothing, too early, too late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from sagatrace_tui.model.anomaly import Anomaly, listed
from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.compensation import Compensations, beginning_of, ended_in_the_dark
from sagatrace_tui.model.facts import facts_of
from sagatrace_tui.model.failure import Failures
from sagatrace_tui.model.fold import Fold, order_of
from sagatrace_tui.model.forest import Forest
from sagatrace_tui.model.span import Span

__all__ = ["Undoing"]


@dataclass(frozen=True, slots=True)
class _Undone:
    """A completed step and when the first try to undo it began; times in microseconds, then `seq`."""

    step: Span
    undo: Span
    began: tuple[int, int]
    completed: int
    seq: int | None
    started: int


class Undoing:
    """The undoing as a whole, read when asked for."""

    def __init__(
        self,
        fold: Fold,
        forest: Forest,
        census: Census,
        areas: Areas,
        failures: Failures,
        compensations: Compensations,
    ) -> None:
        self._fold, self._forest, self._census, self._areas = fold, forest, census, areas
        self._failures, self._compensations = failures, compensations

    def begun(self) -> list[str]:
        """The undos and groups of undos that began, in order."""
        begun = [span_id for span_id in self._census.undoing if self._fold.spans[span_id].has_begun]
        return sorted(begun, key=lambda span_id: beginning_of(self._fold, span_id))

    def branch_of(self, undo_id: str) -> str | None:
        """The failed part of the trace that an undo cleans up, if its failure was made good; else None.

        A sub-saga that failed, undid itself and was replaced does not make its trace one that was undone.
        """
        step = self._fold.spans[undo_id].original_span_id
        start = step if step in self._fold.spans else undo_id
        above = (start or undo_id, *self._forest.ancestors_of(start or undo_id))
        failed = [one for one in above if one in self._census.failed and one not in self._areas.owner]
        return failed[-1] if failed and not any(one in self._failures.live for one in failed) else None

    def has_branches(self) -> bool:
        """Whether any failure was made good at all."""
        live, owner = self._failures.live, self._areas.owner
        if len(live) == len(self._census.failed):
            return False
        return any(one not in live and one not in owner for one in self._census.failed)

    def began_outside_branches(self) -> bool:
        """Whether undoing began for the trace as a whole."""
        if not self.has_branches():
            return self._compensations.began()
        spans = self._fold.spans
        begun = (one for one in self._census.undoing if spans[one].has_begun)
        return any(self.branch_of(one) is None for one in chain(self._census.unwound, begun))

    def outside_branches(self) -> list[str]:
        """The undos that began for the trace as a whole, in order."""
        branches = self.has_branches()
        begun = [*self.begun(), *sorted(self._census.unwound)]
        return [one for one in begun if not branches or self.branch_of(one) is None]

    def left_in_branches(self) -> list[str]:
        """Steps that still stand in parts of the trace that failed, were partly undone and then replaced."""
        undos = (*self.begun(), *self._census.unwound)
        tops = {self.branch_of(undo_id) for undo_id in undos} if self.has_branches() else {None}
        steps = [*self._compensations.by_footing.get("standing", ()), *self._compensations.by_footing.get("unsure", ())]
        return [step for step in steps if tops.intersection((step, *self._forest.ancestors_of(step)))]

    def failed_untold(self) -> list[str]:
        """Undos that failed and name no step, nor run one that does."""
        found = []
        for span_id in self._census.undoing & self._census.failed:
            span = self._fold.spans[span_id]
            if span.original_span_id is None and not span.state.group:
                below = self._forest.below(span_id)
                if not any(self._fold.spans[one].original_span_id for one in below):
                    found.append(span_id)
        return sorted(found)

    def anomalies(self, *, ended: bool) -> Iterator[Anomaly]:
        """Every check of the undoing, in a fixed order."""
        if not self._census.undoing:
            return
        yield from self._out_of_order()
        for step in sorted(self._census.undos_of):
            yield from self._of_step(step, ended=ended)
        yield from self._after_abort()

    def _of_step(self, step: str, *, ended: bool) -> Iterator[Anomaly]:
        undos = [self._fold.spans[one] for one in self._compensations.undos_in_order(step)]
        undos = [undo for undo in undos if undo.has_begun]
        span, name = self._fold.spans.get(step), self._compensations.name_of(step)
        if twice := self._twice(undos):
            yield Anomaly("double_undo", (step, *twice), f"{name} was undone {len(twice)} times")
        for undo in undos:
            if span is None:
                detail = f"{undo.name} undoes {step}, which was never seen in this trace"
                yield Anomaly("empty_undo", (undo.span_id,), detail)
            elif undo.status == "success" and not span.is_open and span.over_at > undo.over_at:
                late = (span.over_at - undo.over_at) / 1000
                detail = f"the undo of {name} ended {late:g} ms before {name} did: what it did later is not undone"
                yield Anomaly("hanging_undo", (step, undo.span_id), detail)
            elif self._is_empty(span, ended=ended):
                detail = f"{undo.name} undoes {name}, which never completed ({span.status})"
                yield Anomaly("empty_undo", (step, undo.span_id), detail)

    def _twice(self, undos: list[Span]) -> list[str]:
        """The undos that succeeded, and those begun after one had; none unless there are two."""
        done = [undo for undo in undos if undo.status == "success"]
        if not done:
            return []
        first = min(undo.over_at for undo in done)
        again = [undo.span_id for undo in undos if undo.status == "success" or undo.first_at > first]
        return again if len(again) > 1 else []

    def _is_empty(self, span: Span, *, ended: bool) -> bool:
        if span.status == "queued" and not span.has_begun:
            return ended
        if span.status != "failed" or ended_in_the_dark(span):
            return False
        # Undoing a stage that failed is right where something below it did complete.
        return not any(self._compensations.footing_of(one) == "covered" for one in self._forest.below(span.span_id))

    def _out_of_order(self) -> Iterator[Anomaly]:
        done = sorted(self._undone_steps(), key=lambda one: (one.began, one.undo.span_id))
        wrong: dict[str, None] = {}
        first_pair: tuple[_Undone, _Undone] | None = None
        for earlier, later in _swapped(done):
            first_pair = first_pair or (earlier, later)
            wrong.update(dict.fromkeys((earlier.undo.span_id, later.undo.span_id)))
        if first_pair is not None:
            one, other = (pair.step.name for pair in first_pair)
            more = f", and {len(wrong) - 2} more" if len(wrong) > 2 else ""
            detail = f"{one} was undone before {other}, which completed after it{more}"
            yield Anomaly("out_of_order_undo", tuple(wrong), detail)

    def _undone_steps(self) -> Iterator[_Undone]:
        for step_id in self._census.undos_of:
            step = self._fold.spans.get(step_id)
            undos = [self._fold.spans[one] for one in self._compensations.undos_in_order(step_id)]
            undo = next((undo for undo in undos if undo.has_begun), None)
            if step is None or undo is None or step.status not in ("success", "point"):
                continue
            seq = facts_of(step.closing_event).seq
            started = step.first_at if step.state.opened else step.over_at
            began = beginning_of(self._fold, undo.span_id)[:2]
            yield _Undone(step, undo, began, step.over_at, seq if isinstance(seq, int) else None, started)

    def _after_abort(self) -> Iterator[Anomaly]:
        scopes: dict[str | None, str] = {}
        branches = self.has_branches()
        for undo_id in self.begun():
            scopes.setdefault(self.branch_of(undo_id) if branches else None, undo_id)
        for top, undo_id in scopes.items():
            began, began_at = order_of(self._fold.spans[undo_id].events[0]), self._fold.spans[undo_id].first_at
            spans = self._fold.spans.keys() if top is None else self._forest.below(top)
            late = {one for one in spans if self._starts_after(one, began, began_at)}
            tops = [one for one in late if self._forest.parent_of(one) not in late]
            if tops:
                tops.sort(key=lambda one: order_of(self._fold.spans[one].events[0]))
                names = listed([self._fold.spans[one].name for one in tops])
                yield Anomaly("step_after_abort", tuple(tops), f"started after the undoing had begun: {names}")

    def _starts_after(self, span_id: str, began: tuple[str, str], began_at: int) -> bool:
        span = self._fold.spans[span_id]
        # Most spans are done before: their last event tells, without a closer look.
        if not span.state.opened or order_of(span.events[-1]) < began or span_id in self._areas.owner:
            return False
        if not span.state.waited:
            return order_of(span.events[0])[0] > began[0]
        started = span.started_at
        return started is not None and started > began_at


def _swapped(done: list[_Undone]) -> Iterator[tuple[_Undone, _Undone]]:
    """Pairs undone in the order they completed; steps that ran at once have no order, unless `seq` gives one."""
    first: _Undone | None = None  # of those whose undo began before: the one that completed first
    by_end: dict[int, _Undone] = {}
    start = 0
    while start < len(done):
        stop = start
        while stop < len(done) and done[stop].began == done[start].began:
            stop += 1
        for later in done[start:stop]:
            twin = by_end.get(later.completed)
            if first is not None and first.completed <= later.started and first.completed < later.completed:
                yield first, later
            elif twin is not None and later.seq is not None and twin.seq is not None and twin.seq < later.seq:
                yield twin, later
        for one in done[start:stop]:
            if first is None or one.completed < first.completed:
                first = one
            twin = by_end.get(one.completed)
            if one.seq is not None and (twin is None or twin.seq is None or one.seq < twin.seq):
                by_end[one.completed] = one
        start = stop
