"""A trace: its spans as a tree, and the answers. `build_trace` is a pure function of events and a moment.

The rules run in this order. `fold` makes spans of events. `tree` places and indexes the spans. `sagas` finds the
deciding spans, `failures` the causes, `compensation` the states of steps, and `branches` the recovered parts. `verdict`
makes one word of them. The lists are computed on first use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from sagatrace.event import TraceEvent
from sagatrace_tui.collector import CollectorPaused
from sagatrace_tui.model.anomaly_checks import event_anomalies, never_ended, span_anomalies, tree_anomalies
from sagatrace_tui.model.answers import Anomaly, Compensation, NeverRan, Role, Standing, TraceStatus, Verdict
from sagatrace_tui.model.branches import Branches
from sagatrace_tui.model.compensation import Steps, StepState, in_order_of_end
from sagatrace_tui.model.event_data import text_of
from sagatrace_tui.model.failures import Failures, first_to_end
from sagatrace_tui.model.fold import fold_events
from sagatrace_tui.model.rollback_checks import RollbackChecks
from sagatrace_tui.model.sagas import Sagas
from sagatrace_tui.model.sentence import Sentence, cause_text
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.standing import StepLists, fate_of
from sagatrace_tui.model.tree import SpanIndex, SpanTree
from sagatrace_tui.model.verdict import JudgedSaga, elapsed, is_idle, silence, with_standing, worst

__all__ = ["Trace", "build_trace"]

_STANDING: Final[tuple[StepState, ...]] = ("standing", "unsure", "pending", "waiting")


def build_trace(trace_id: str, events: Iterable[TraceEvent], now: int, anomalies: Iterable[Anomaly] = ()) -> Trace:
    """Build a trace of its events. They may come in any order, and more than once.

    Args:
        trace_id: The id of the trace.
        events: Its events.
        now: The moment as of which it is judged, in microseconds since 1970.
        anomalies: The anomalies found while reading, such as malformed documents.

    Returns:
        The trace, an immutable value. Build a new trace for new events.
    """
    with CollectorPaused():
        return Trace(trace_id, events, now, tuple(anomalies))


class Trace:
    """One trace as of `now`. Times are microseconds since 1970.

    Attributes:
        children: Per span id, the ids of its children in start order. The children of a missing parent are its orphans.
        roots: The spans at the top: true roots, and spans at which a cycle was cut.
        cause: The span at which the trace failed. If no span failed, the span that was stopped or canceled.
        ancestors_of: Yields the ids of the spans above a span, nearest first.
        walk: Yields every span once, as (depth, span id), in tree order. The id of a missing parent has depth 0.
    """

    def __init__(self, trace_id: str, events: Iterable[TraceEvent], now: int, found: tuple[Anomaly, ...]) -> None:
        self.trace_id, self.now, self._found = trace_id, now, found
        fold = self._fold = fold_events(events)
        self.spans: Mapping[str, Span] = fold.spans
        self._is_sampled = fold.sampled_from is not None
        tree = self._tree = SpanTree(fold.spans, fold.unplaced)
        self.children: Mapping[str, Sequence[str]] = tree.children
        self.roots, self.missing_parents, self.walk = tree.roots, tree.missing_parents, tree.walk
        self.ancestors_of = tree.ancestors_of
        index = self._index = SpanIndex(tree, fold.notable, fold.events)
        self._sagas = Sagas(index)
        self._failures = Failures(index, self._sagas, fold.runs)
        self.ended = not self.spans or (bool(self._sagas.all) and not self._failures.going_on) or self.is_idle(now)
        self._steps = Steps(index, self._failures.retries, self._failures.never_ran, ended=self.ended)
        self._branches = Branches(index, self._failures)
        self.event_count = len(fold.events)
        self._judge()

    def __eq__(self, other: object) -> bool:
        """Return whether two traces have the same id, verdict, reading anomalies and events."""
        return isinstance(other, Trace) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self.trace_id)

    def _identity(self) -> tuple[object, ...]:
        return self.trace_id, self.verdict, self._found, self._fold.events

    def __repr__(self) -> str:
        return f"Trace({self.trace_id!r}, {self.verdict!r}, {len(self.spans)} spans, {self.event_count} events)"

    def _judge(self) -> None:
        """Find the verdict, the cause and the standing steps of each saga, and with them those of the trace."""
        self._unsettled = self._branches.unsettled(self._steps) if self._index.untied or self._index.unwound else {}
        count, judged = len(self._sagas.all), list(self._judge_sagas())
        self._standing_ids: list[str] = []
        if count > 1 and not judged[0].failed:
            outside = judged.pop(0)  # outside of sagas only failures matter, and steps beside a failure
            if any(saga.failed for saga in judged):
                self._standing_ids += outside.standing
        worst_verdict = worst(judged) if count > 1 else judged[0].verdict
        causes: list[Span] = []
        failed = False
        for saga in judged:
            self._standing_ids += saga.standing
            if count < 2 or not self.ended or saga.verdict == worst_verdict:
                failed |= saga.failed
                causes += [self.spans[saga.cause]] if saga.cause is not None else []
        # The verdict must not read as settled while steps of another saga may stand.
        self.verdict: Verdict = with_standing(worst_verdict, self._standing_ids, is_sampled=self._is_sampled)
        self.cause = first_to_end(causes)
        self.status: TraceStatus = "unknown" if self.verdict == "unknown" else "success"
        if not self.ended:
            self.status = "running"
        elif failed:
            status = self.cause.status if self.cause is not None else "failed"
            self.status = status if status in ("stopped", "canceled") else "failed"

    def _judge_sagas(self) -> Iterator[JudgedSaga]:
        """Judge each saga. If there is not exactly one, first judge the spans outside of all sagas."""
        sagas, failures, branches, count = self._sagas, self._failures, self._branches, len(self._sagas.all)
        sets = failures.live, failures.stopped, branches.undos, branches.outside, self._unsettled, self._steps.states
        if count < 2:
            yield self._judge_saga(count - 1, sets, is_over=False)
            return
        parts, going_on = list(map(sagas.by_place, sets)), set(map(sagas.place_of, failures.going_on))
        for place in range(-1, count):
            before, own = len(failures.live), [part.get(place, ()) for part in parts]
            yield self._judge_saga(place, own, is_over=going_on.isdisjoint((place, -1)))
            if len(failures.live) > before:  # by recovered failures that count
                parts[0] = sagas.by_place(failures.live)

    def _judge_saga(self, place: int, sets: Sequence[Collection[str]], *, is_over: bool) -> JudgedSaga:
        """Judge one saga by its part of the sets. At place -1, judge the spans outside of all sagas."""
        index, failures, branches, states = self._index, self._failures, self._branches, self._steps.states
        saga = self._sagas.all[place] if place >= 0 else {}
        live, stopped, begun, undone, unsettled, steps = sets
        statuses = {self.spans[one].status for one in saga.values() if one not in failures.never_ran}
        succeeded = "success" in statuses and statuses.isdisjoint(("queued", "running"))
        halted = bool(stopped or (index.halted and index.halted.intersection(saga, saga.values())))
        failed = bool(live) or halted or (bool(undone) and not succeeded)
        ended = self.ended or ((succeeded or failed) and is_over)
        retried = None
        if failed or not succeeded:
            possible = _STANDING[: 4 if failed else 3] if self.ended else _STANDING[:2] if failed else ()
            standing = [one for one in steps if states[one] in possible]
        else:
            standing = branches.left_standing(self._steps, steps)
            left = [*standing, *unsettled]
            recalled = branches.failures_of(left, undone)
            retried = branches.retried_with(left)
            if recalled:
                failures.count_also(recalled)
                live = recalled.union(live)
        cause = failures.cause_among(live) or (failures.halted_at() if halted else None) or retried
        return JudgedSaga(ended, failed, succeeded, bool(begun), bool(undone), bool(unsettled), standing, cause)

    def silence(self, now: int) -> int:
        """Return the microseconds since the last event, as of `now`."""
        return silence(self._fold.events, now)

    def is_idle(self, now: int) -> bool:
        """Return whether it counts as ended as of `now`, because events stopped."""
        return bool(self.spans) and is_idle(self._fold.events, self._index, self._sagas, now)

    def runs_of(self, span_id: str) -> Sequence[str]:
        """Return the span ids of all runs of a job, in order. A span that ran once has only its own id."""
        return self._fold.runs.get(self.spans[span_id].events[0].span_id, (span_id,))

    def undo_around(self, span_id: str) -> str | None:
        """Return the nearest compensation at or above a span that names a step; None outside of the undoing."""
        around = self._index.undos_around(span_id)
        return next((one for one in around if self.spans[one].original_span_id is not None), None)

    @cached_property
    def started_at(self) -> int | None:
        """The time of its first event."""
        return self._fold.events[0].micros if self._fold.events else None

    @cached_property
    def last_at(self) -> int | None:
        """The time of its latest event."""
        return self._fold.events[-1].micros if self._fold.events else None

    @property
    def duration(self) -> int | None:
        """Microseconds from its first event to its latest."""
        return None if self.started_at is None or self.last_at is None else self.last_at - self.started_at

    def elapsed(self, now: int) -> int | None:
        """Return its duration in microseconds. For a running trace it is the duration until `now`."""
        return elapsed(self.started_at, self.duration, now, is_running=self.status == "running")

    @property
    def ended_at(self) -> int | None:
        """The time it ended; None while it runs and where its end is unknown."""
        return self.last_at if self.ended and self.verdict != "unknown" else None

    @cached_property
    def root(self) -> Span | None:
        """The earliest span at the top that is not a point. If all are points, the first point."""
        tops = [self.spans[one] for one in self.roots]
        return next((one for one in tops if one.state.kind != "point"), tops[0] if tops else None)

    @property
    def undone(self) -> tuple[int, int]:
        """The number of steps that were undone, and the number to undo."""
        return self._steps.undone

    @cached_property
    def name(self) -> str:
        """The name of the saga: `data.workflow_id`, else its span's name (a job's function without its package)."""
        if self.root is None:
            return ""
        saga = self.spans[self._sagas.saga_span_of(self.root.span_id) or self.root.span_id]
        return text_of(saga.data.get("workflow_id")) or saga.short_name

    @property
    def unreadable(self) -> int:
        """The number of its documents and events that cannot be read."""
        return sum(one.kind == "malformed" for one in self._found) + len(self._fold.faults)

    @cached_property
    def failure_path(self) -> tuple[str, ...]:
        """Span ids from the root to the cause; empty when nothing failed."""
        cause = self.cause
        return () if cause is None else (cause.span_id, *self._tree.ancestors_of(cause.span_id))[::-1]

    @cached_property
    def failure(self) -> str:
        """The place and the error of the failure, as the sentence gives them; empty when nothing failed."""
        return cause_text(self._tree, self.failure_path, self.runs_of) if self.cause is not None else ""

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """The role of each failed span, and `recovered` for spans that succeeded after a failed attempt."""
        return self._failures.roles(None if self.cause is None else self.cause.span_id)

    @cached_property
    def failures(self) -> tuple[str, ...]:
        """The spans that have a role, in the order they ended."""
        return tuple(in_order_of_end(self.spans, self.roles))

    @cached_property
    def innermost(self) -> tuple[str, ...]:
        """The open spans with no open span below: compensations first, then running ones, the quietest first."""
        going_on = self._failures.going_on
        around = {above for one in going_on for above in self._tree.ancestors_of(one)}

        def importance(span_id: str) -> tuple[bool, bool, int, str]:
            span = self.spans[span_id]
            return span_id not in self._index.owner, span.status != "running", span.last_at, span_id

        return tuple(sorted(going_on - around, key=importance))

    @cached_property
    def never_ran(self) -> tuple[NeverRan, ...]:
        """Spans that will never start, because the span they wait for failed."""
        spans, found = self.spans, self._failures.never_ran.items()
        return tuple(
            NeverRan(one, spans[one].name, dependency, spans[dependency].name, fate_of(spans[dependency]))
            for one, dependency in found
        )

    @cached_property
    def still_standing(self) -> tuple[Standing, ...]:
        """The steps that should have been undone but were not, in the order they ended, each with one reason."""
        return tuple(StepLists(self._index, self._steps).standing(self._standing_ids))

    @property
    def passed_by(self) -> list[Standing]:
        """The steps that stand, and that no undo is about to undo: it failed, or the rollback has passed them."""
        return [one for one in self.still_standing if not one.undo_goes_on]

    @cached_property
    def compensations(self) -> tuple[Compensation, ...]:
        """The tries to undo a step in the order they began, then the standing steps without a try."""
        return tuple(StepLists(self._index, self._steps).compensations(self.still_standing))

    @cached_property
    def summary(self) -> str:
        """The verdict in one sentence."""
        if not self.spans:
            return "unknown: no usable events"
        running = self.innermost if self.verdict == "running" else sorted(self._failures.going_on)
        recovered = list(self.roles.values()).count("recovered") if self.verdict == "succeeded" else 0
        facts = self.verdict, self.status, self.failure, self._steps, self._standing_ids, self._unsettled
        queued = {one for one in running if self.spans[one].status == "queued"}
        passed = len(self.passed_by) if self.verdict == "compensating" else 0
        return Sentence(*facts, passed, recovered, running, queued, self._is_sampled).text()

    @cached_property
    def anomalies(self) -> tuple[Anomaly, ...]:
        """The anomalies: those found while reading, then those of events and spans, then those of the rollback."""
        found = [*self._found, *event_anomalies(self._fold), *tree_anomalies(self._tree)]
        found += span_anomalies(self._fold, self._index, self.now)
        if self.ended:
            found += never_ended(self._failures.going_on, self.spans)
        undoing = RollbackChecks(self._index, self._steps).anomalies()
        # A step that is not recorded is not an anomaly of its compensation.
        found += [one for one in undoing if not (self._is_sampled and one.kind == "empty_undo")]
        if self.status in ("success", "unknown") and (undos := tuple(self._branches.in_order(self._branches.outside))):
            found.append(Anomaly("green_but_compensated", undos, "the saga reported success, yet compensation began"))
        return tuple(found)
