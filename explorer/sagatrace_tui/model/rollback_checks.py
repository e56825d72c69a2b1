"""What is wrong with how a trace was undone: order, twice, for nothing, too early, too late."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from math import nan

from sagatrace_tui.model.anomaly import SHOWN, Anomaly, listed
from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.compensation import Compensations, beginning_of
from sagatrace_tui.model.event_data import facts_of
from sagatrace_tui.model.failures import Failures
from sagatrace_tui.model.fold import Fold
from sagatrace_tui.model.side_effects import ended_in_the_dark
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import Forest

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


_Window = tuple[int, int | None]
"""When undoing began, and from when on it no longer counts."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """A part of the trace that was replaced: a span, or of a span only what began in one attempt."""

    top: str
    began: int | None = None
    until: int | None = None

    def holds(self, moment: int) -> bool:
        """Whether what began at that moment belongs to the attempt."""
        return (self.began is None or self.began <= moment) and (self.until is None or moment < self.until)


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
        return sorted(self._census.begun, key=lambda span_id: beginning_of(self._fold, span_id))

    def branch_of(self, undo_id: str) -> _Branch | None:
        """The failed part of the trace that an undo cleans up, if its failure was made good, or may yet be; else None.

        A sub-saga that failed, undid itself and was replaced does not make its trace one that was undone, nor does
        an attempt of a job that failed, undid itself and was followed by one that went well or still runs.
        """
        step = self._fold.spans[undo_id].original_span_id
        start = step if step is not None and step in self._fold.spans else undo_id
        above = (start, *self._forest.ancestors_of(start))
        failed = [one for one in above if one in self._census.failed and one not in self._areas.owner]
        if failed:
            return None if any(one in self._failures.live for one in failed) else _Branch(failed[-1])
        around = above if undo_id in self._census.unwound else above[1:]
        tried = [one for one in around if self._goes_on(one) and self._was_retried(one)]
        branches = (_Branch(one, *self._attempt(one, undo_id)) for one in reversed(tried))
        return next((branch for branch in branches if branch.until is not None), None)

    def _goes_on(self, span_id: str) -> bool:
        return self._fold.spans[span_id].status in ("success", "running")

    def _was_retried(self, span_id: str) -> bool:
        span = self._fold.spans[span_id]
        return (span.state.retried or span.state.odd) and len(span.attempts) > 1

    def _attempt(self, span_id: str, undo_id: str) -> tuple[int | None, int | None]:
        """When the attempt of a span in which an undo began itself began, and when the next one did.

        To the first belongs all that went before, by whatever clock.
        """
        undo, span = self._fold.spans[undo_id], self._fold.spans[span_id]
        own = next(filter(None, undo.unwound), None) if undo_id in self._census.unwound else None
        at = undo.first_at if own is None else own.micros
        starts = [attempt.started_at for attempt in span.attempts if attempt.started_at is not None]
        before, after = [start for start in starts if start <= at], [start for start in starts if start > at]
        return max(before) if len(before) > 1 else None, min(after, default=None)

    def _is_in(self, span_id: str, branches: Collection[_Branch]) -> bool:
        if not branches:
            return False
        above, at = {span_id, *self._forest.ancestors_of(span_id)}, self._first_at(span_id)
        return any(branch.top in above and branch.holds(at) for branch in branches)

    def _first_at(self, span_id: str) -> int:
        return self._fold.spans[span_id].first_at if span_id in self._fold.spans else 0

    def has_branches(self) -> bool:
        """Whether any failure was made good at all, or is tried again."""
        return bool(self._census.recovered or self._census.again or self._failures.made_good)

    def began_outside_branches(self) -> bool:
        """Whether undoing began for the trace as a whole."""
        if not self.has_branches():
            return self._compensations.began()
        return any(self.branch_of(one) is None for one in chain(self._census.unwound, self._census.begun))

    def outside_branches(self) -> list[str]:
        """The undos that began for the trace as a whole, in order."""
        branches = self.has_branches()
        begun = [*self.begun(), *sorted(self._census.unwound)]
        return [one for one in begun if not branches or self.branch_of(one) is None]

    def left_in_branches(self) -> list[str]:
        """Steps that still stand in parts of the trace that failed, were partly undone and then replaced."""
        if not self.has_branches():
            return []
        found = map(self.branch_of, (*self.begun(), *self._census.unwound))
        branches = {branch for branch in found if branch is not None}
        steps = [*self._compensations.by_footing.get("standing", ()), *self._compensations.by_footing.get("unsure", ())]
        return [step for step in steps if self._is_in(step, branches)]

    def unsettled(self) -> dict[str, str]:
        """Undoing that did not go well as far as is known, and of which no step tells: what is to be said of each."""
        found = {one: words for one in sorted(self._census.untied) if (words := self._without_step(one))}
        for span_id in sorted(self._census.unwound):
            unwinding = self._fold.spans[span_id].state.unwinding
            if unwinding != "done" and self._compensations.footing_of(span_id) == "none":
                told = "failed to undo itself" if unwinding == "failed" else "never told how its undoing ended"
                found[span_id] = told
        return found

    def _tells_for(self, undo: Span, span_id: str) -> bool:
        """Whether a span below an undo tells how it went: one that names a step; of a group, any undo."""
        is_undo = undo.state.group and span_id in self._census.undoing
        return is_undo or self._fold.spans[span_id].original_span_id is not None

    def unsettled_in_branches(self) -> dict[str, str]:
        """The same, of parts of the trace that failed and were then replaced."""
        if not self.has_branches():
            return {}
        return {one: words for one, words in self.unsettled().items() if self.branch_of(one) is not None}

    def _without_step(self, undo_id: str) -> str | None:
        """What is to be said of an undo that names no step, nor runs one that does, and did not go well."""
        undo = self._fold.spans[undo_id]
        if not undo.has_begun or any(self._tells_for(undo, one) for one in self._forest.below(undo_id)):
            return None
        outcome = self._compensations.outcome_of(undo_id, ended=True)
        if outcome == "compensated" or (undo.status == "failed" and self._failures.made_good_within(undo_id)):
            return None
        if outcome == "unconfirmed":
            return "never told how it ended and names no step"
        return f"{f'was {undo.status}' if undo.status in ('stopped', 'canceled') else 'failed'} and names no step"

    def anomalies(self, *, ended: bool) -> Iterator[Anomaly]:
        """Every check of the undoing, in a fixed order."""
        if not (self._census.undoing or self._census.unwound):
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
            elif self._hangs(undo, span):
                late = (span.over_at - undo.over_at) / 1000
                detail = f"the undo of {name} ended {late:g} ms before {name} did: what it did later is not undone"
                yield Anomaly("hanging_undo", (step, undo.span_id), detail)
            elif self._is_empty(span, ended=ended):
                detail = f"{undo.name} undoes {name}, which never completed ({span.status})"
                yield Anomaly("empty_undo", (step, undo.span_id), detail)

    def _hangs(self, undo: Span, step: Span) -> bool:
        """Whether an undo was over before its step; a step that fails may well undo itself before it says so."""
        if undo.status != "success" or step.is_open or step.over_at <= undo.over_at or step.is_presumed:
            return False  # of a presumed end is only known when somebody found out
        return step.status == "success" or step.span_id not in self._forest.ancestors_of(undo.span_id)

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
        if span.status != "failed" or ended_in_the_dark(span) or self._compensations.effects.of(span.span_id):
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
        for step_id in self._census.undos_of.keys() | self._census.unwound:
            step = self._fold.spans.get(step_id)
            undos = [self._fold.spans[one] for one in self._compensations.undos_in_order(step_id)]
            undo = next((undo for undo in undos if undo.has_begun), None)
            if step is None or step.status not in ("success", "point"):
                continue
            if undo is not None:
                began = beginning_of(self._fold, undo.span_id)[:2]
            elif (own := next(filter(None, step.unwound), None)) is not None:
                undo, began = step, (own.micros, 0)
            else:
                continue
            seq = facts_of(step.closing_event).seq
            started = step.first_at if step.state.opened else step.over_at
            yield _Undone(step, undo, began, step.over_at, seq if isinstance(seq, int) else None, started)

    def _after_abort(self) -> Iterator[Anomaly]:
        """Steps that began after the undoing had in their part of the trace: what failed, or one attempt at it."""
        windows = self._windows()
        if not windows:
            return
        began = min(self._fold.when(self._fold.spans[one].events[0]) for one in self.begun())
        known: dict[str, tuple[_Window, ...]] = {}

        def pass_on(above: str, have: tuple[_Window, ...]) -> tuple[_Window, ...]:
            return _joined(have, windows[above]) if above in windows else have

        late = set[str]()
        for span_id in self._fold.spans:
            at = self._started_after(span_id, began)
            if at is not None:
                around = self._forest.inherited(span_id, known, windows.get(None, ()), pass_on)
                if any(begun < at and (until is None or at < until) for begun, until in around):
                    late.add(span_id)
        tops = [one for one in late if self._forest.parent_of(one) not in late and not self._only_undoes(one)]
        if tops:
            tops.sort(key=self._began)
            names = listed([self._fold.spans[one].name for one in tops])
            detail = f"started after the undoing had begun: {names}{self._apart(tops, self.begun()[0])}"
            yield Anomaly("step_after_abort", tuple(tops), detail)

    def _only_undoes(self, span_id: str) -> bool:
        """Whether a span, such as a job, is there for the undos in it: it does nothing else that anybody told of."""
        if span_id in self._census.declared or span_id in self._census.undos_of:
            return False
        owner, children = self._areas.owner, self._forest.children
        leaves = [one for one in self._forest.below(span_id) if one not in children and not self._is_instant(one)]
        return bool(leaves) and all(one in owner for one in leaves)

    def _is_instant(self, span_id: str) -> bool:
        return self._fold.spans[span_id].kind == "point"

    def _apart(self, late: list[str], undo_id: str) -> str:
        """That steps said to be late ran on other hosts than the undoing: then clocks may be all that is wrong."""
        here = self._host_of(undo_id)
        hosts = {host: None for host in map(self._host_of, late[:SHOWN]) if host not in (None, here)}
        if here is None or not hosts:
            return ""
        return f" (on {listed([host for host in hosts if host])}, the undoing on {here}: their clocks may disagree)"

    def _host_of(self, span_id: str) -> str | None:
        """The host that a span ran on: as it tells, or as the nearest job above it does."""
        hosts = (self._fold.spans[one].place.host for one in (span_id, *self._forest.ancestors_of(span_id)))
        return next((host for host in hosts if host is not None), None)

    def _windows(self) -> dict[str | None, tuple[_Window, ...]]:
        """Per part of the trace, when its undoing began and when it was tried again; None is the trace as a whole."""
        windows: dict[str | None, tuple[_Window, ...]] = {}
        known: dict[str, str | None] = {}

        def pass_on(above: str, top: str | None) -> str | None:
            is_part = above in self._census.failed or self._was_retried(above)
            return above if is_part and above not in self._areas.owner else top

        for undo_id in self.begun():
            top = self._forest.inherited(undo_id, known, None, pass_on)
            until = self._attempt(top, undo_id)[1] if top is not None else None
            window = (self._fold.spans[undo_id].first_at, until)
            windows[top] = _joined(windows.get(top, ()), (window,))
        return windows

    def _began(self, span_id: str) -> tuple[str, str]:
        first = self._fold.spans[span_id].events[0]
        return self._fold.when(first), first.id

    def _started_after(self, span_id: str, began: str) -> int | None:
        """When a span outside of the undoing began, if that may have been after the first undo did."""
        span = self._fold.spans[span_id]
        # Most spans are done before: their last event tells, without a closer look.
        if not span.state.opened or self._fold.when(span.events[-1]) < began or span_id in self._areas.owner:
            return None
        return span.started_at if span.state.waited else span.first_at


def _joined(have: tuple[_Window, ...], more: tuple[_Window, ...]) -> tuple[_Window, ...]:
    """The windows of both, of those that end together only the one that began first."""
    first: dict[int | None, int] = {}
    for began, until in (*have, *more):
        first[until] = min(began, first.get(until, began))
    return tuple((began, until) for until, began in first.items())


def _seq_of(one: _Undone) -> float:
    """Its `seq`; where it has none, a number that is neither less nor more than any."""
    return nan if one.seq is None else one.seq


def _swapped(done: list[_Undone]) -> Iterator[tuple[_Undone, _Undone]]:
    """Pairs undone in the order they completed; steps that ran at once have no order, unless `seq` gives one.

    The later one must have begun before the first was undone: else it belongs to another try of the whole.
    """
    before: list[_Undone] = []  # those whose undo began before, without any that a later one completed before
    by_end: dict[int, _Undone] = {}
    start = 0
    while start < len(done):
        stop = start
        while stop < len(done) and done[stop].began == done[start].began:
            stop += 1
        for later in done[start:stop]:
            place = bisect_right(before, later.started, key=lambda one: one.began[0])
            first = before[place] if place < len(before) else None
            twin = by_end.get(later.completed)
            if first is not None and first.completed <= later.started and first.completed < later.completed:
                yield first, later
            elif twin is not None and twin.began[0] > later.started and _seq_of(twin) < _seq_of(later):
                yield twin, later
        for one in done[start:stop]:
            while before and before[-1].completed >= one.completed:
                before.pop()
            before.append(one)
            twin = by_end.get(one.completed)
            if one.seq is not None and (twin is None or twin.seq is None or one.seq < twin.seq):
                by_end[one.completed] = one
        start = stop
