"""A trace: its spans as a tree, and the answers. `build_trace` is a pure function of events and a moment.

The rules, in the order they are asked: `fold` makes spans of events, `tree` and `index` place and sort them, `sagas`
finds what decides, `failures` why it failed, `compensation` how each step stands, `branches` what was dealt with, and
`verdict` says it in one word. The lists are worked out when first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from sagatrace.events import TraceEvent
from sagatrace_tui.model import silence as silences
from sagatrace_tui.model.anomaly_checks import event_anomalies, never_ended, span_anomalies
from sagatrace_tui.model.answers import Anomaly, Compensation, NeverRan, Role, Standing, TraceStatus, Verdict
from sagatrace_tui.model.branches import Branches
from sagatrace_tui.model.collector import collector_paused
from sagatrace_tui.model.compensation import Steps, StepState, first_to_end, in_order_of_end
from sagatrace_tui.model.failures import Failures
from sagatrace_tui.model.fold import fold_events
from sagatrace_tui.model.index import SpanIndex
from sagatrace_tui.model.rollback_checks import RollbackChecks
from sagatrace_tui.model.sagas import Saga, Sagas
from sagatrace_tui.model.sentence import SummaryFacts, summary_of
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.standing import StepLists, fate_of
from sagatrace_tui.model.text import SHOWN
from sagatrace_tui.model.tree import SpanTree
from sagatrace_tui.model.verdict import JudgedSaga, SagaFacts, verdict_of, with_standing, worst

__all__ = ["Trace", "build_trace"]

_STANDING: Final[tuple[StepState, ...]] = ("standing", "unsure", "pending")


def build_trace(trace_id: str, events: Iterable[TraceEvent], now: int, anomalies: Iterable[Anomaly] = ()) -> Trace:
    """Build a trace of its events, in any order and however often repeated.

    Args:
        trace_id: The id of the trace.
        events: Its events.
        now: The moment as of which it is judged, in microseconds since 1970.
        anomalies: What was found while reading, such as malformed documents.

    Returns:
        A value that never changes: more events make a new one.
    """
    with collector_paused():
        return Trace(trace_id, events, now, tuple(anomalies))


class Trace:
    """One trace as of `now`. Times are microseconds since 1970.

    `children` holds, per span id, the ids of its children in start order; under a missing parent, its orphans. `roots`
    are the spans at the top: true roots, and those cut out of a cycle.
    """

    def __init__(self, trace_id: str, events: Iterable[TraceEvent], now: int, found: tuple[Anomaly, ...]) -> None:
        self.trace_id, self.now, self._found = trace_id, now, found
        self._fold = fold_events(events)
        self.spans: Mapping[str, Span] = self._fold.spans
        self._tree = SpanTree(self._fold.spans, self._fold.unplaced)
        self._index = SpanIndex(self.spans, self._fold.notable, self._tree.children)
        self._sagas = Sagas(self._tree, self._index)
        self._failures = Failures(self._tree, self._index, self._sagas)
        self._never_ran = self._failures.never_ran()
        self._steps = Steps(self._tree, self._index, self._never_ran)
        self._branches = Branches(self._tree, self._index, self._failures)
        self.ended = self._has_ended()
        self._judge()

    def __eq__(self, other: object) -> bool:
        """Return whether two traces are of the same events and have the same verdict."""
        return isinstance(other, Trace) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self.trace_id)

    def _identity(self) -> tuple[object, ...]:
        return self.trace_id, self.verdict, self._found, self._fold.events

    def __repr__(self) -> str:
        return f"Trace({self.trace_id!r}, {self.verdict!r}, {len(self.spans)} spans, {self.event_count} events)"

    def _has_ended(self) -> bool:
        waiting = self._index.open - self._never_ran.keys()
        return not self.spans or (bool(self._sagas.all) and not waiting) or self.is_idle(self.now)

    def _judge(self) -> None:
        """Find the verdict, the cause and the steps that stand: of each saga, and so of the trace."""
        outside = self._branches.outside()
        self._unsettled = self._branches.unsettled(self._steps)
        places = range(len(self._sagas.all)) if len(self._sagas.all) == 1 else range(-1, len(self._sagas.all))
        judged = [one for one in (self._judge_saga(place, outside) for place in places) if one is not None]
        worst_verdict = worst(one.verdict for one in judged)
        decisive = [one for one in judged if one.verdict == worst_verdict or not self.ended]
        # No all-clear while steps of a saga beside it may stand.
        self.verdict: Verdict = with_standing(worst_verdict, any(one.standing for one in judged))
        self._failed = any(one.failed for one in decisive)
        self._failures.count_also({failure for one in judged for failure in one.recalled})
        self._standing_ids = [step for one in judged for step in one.standing]
        causes = [cause for one in decisive if (cause := self._cause_of(one)) is not None]
        self._cause = min(causes, key=lambda one: self.spans[one].ending, default=None)

    def _judge_saga(self, place: int, outside: Sequence[str]) -> JudgedSaga | None:
        """Judge one saga; at place -1 what belongs to none, if it matters."""
        index, saga = self._index, self._sagas.all[place] if place >= 0 else Saga((), ())
        live = [one for one in self._failures.live if self._sagas.place_of(one) == place]
        began = {one for one in (*index.begun, *index.unwound) if self._sagas.place_of_undo(one) == place}
        undone = [one for one in outside if one in began]
        steps = [one for one in self._steps.states if self._sagas.place_of_step(one) == place]
        unsettled = [one for one in self._unsettled if self._sagas.place_of_undo(one) == place]
        deciding = [self.spans[one] for one in saga.deciding if one not in self._never_ran]
        succeeded = silences.are_closed(deciding) and any(span.status == "success" for span in deciding)
        halted = any(self.spans[one].status in ("stopped", "canceled") for one in (*saga.roots, *saga.deciding))
        failed = bool(live) or halted or (bool(undone) and not succeeded)
        if place < 0 and self._sagas.all and not failed:
            return None
        recalled, retried = set[str](), None
        if failed or not succeeded:
            possible = _STANDING if self.ended else _STANDING[:2]
            standing = [one for one in steps if self._steps.states[one] in possible] if failed or self.ended else []
        else:
            standing = self._branches.left_standing(self._steps, steps)
            if began:
                left = [*standing, *unsettled]
                recalled = self._branches.failures_of(left, undone[0] if undone else None)
                retried = self._branches.retried_with(left)
            elif standing:
                recalled = self._branches.failures_of(standing, None)
        facts = SagaFacts(
            ended=self.ended or ((succeeded or failed) and not self._is_open(place)),
            failed=failed,
            succeeded=succeeded,
            undoing_began=bool(began),
            undone=bool(undone),
            standing=bool(standing),
            unsettled=bool(unsettled),
        )
        return JudgedSaga(verdict_of(facts), failed, halted, standing, live, recalled, retried)

    def _is_open(self, place: int) -> bool:
        open_spans = self._index.open - self._never_ran.keys()
        return len(self._sagas.all) < 2 or any(self._sagas.place_of(one) in (place, -1) for one in open_spans)

    def _cause_of(self, judged: JudgedSaga) -> str | None:
        cause = self._failures.cause_among([*judged.live, *judged.recalled])
        if cause is None and judged.halted:
            halted = [one for one in self._index.halted if one not in self._index.owner]
            around = {above for one in halted for above in self._tree.ancestors_of(one)}
            cause = in_order_of_end(self.spans, [one for one in halted if one not in around])[0]
        return cause or judged.retried

    @property
    def children(self) -> Mapping[str, Sequence[str]]:
        """Each span's children, in start order."""
        return self._tree.children

    @property
    def roots(self) -> Sequence[str]:
        """The spans at the top, in start order."""
        return self._tree.roots

    @property
    def missing_parents(self) -> Sequence[str]:
        """The parents that spans name and that the trace does not contain."""
        return self._tree.missing_parents

    @property
    def root(self) -> Span | None:
        """The span that stands for the trace: the earliest root that is not a point, if there is one."""
        top = next((one for one in self.roots if self.spans[one].state.kind != "point"), None)
        top = top or next(iter(self.roots), None)
        return None if top is None else self.spans[top]

    @property
    def name(self) -> str:
        """The root's name; empty if there is none."""
        return self.root.name if self.root else ""

    @property
    def started_at(self) -> int | None:
        """The time of its first event."""
        return self._fold.events[0].micros if self._fold.events else None

    @property
    def last_at(self) -> int | None:
        """The time of its latest event."""
        return self._fold.events[-1].micros if self._fold.events else None

    @property
    def ended_at(self) -> int | None:
        """The time it ended; None while it runs, and where its end is unknown."""
        return self.last_at if self.ended and self.verdict != "unknown" else None

    @property
    def duration(self) -> int | None:
        """Microseconds from the first event to the latest."""
        return None if self.started_at is None or self.last_at is None else self.last_at - self.started_at

    @property
    def event_count(self) -> int:
        """How many events it holds, each counted once."""
        return len(self._fold.events)

    @property
    def error_count(self) -> int:
        """How many spans failed."""
        return len(self._index.failed)

    @property
    def status(self) -> TraceStatus:
        """How it ended, in the words of a span."""
        if not self.ended:
            return "running"
        if self._failed:
            status = self.cause.status if self.cause is not None else "failed"
            return status if status in ("stopped", "canceled") else "failed"
        return "unknown" if self.verdict == "unknown" else "success"

    def silence(self, now: int) -> int:
        """Return the microseconds without an event as of `now`."""
        return silences.silence(self._fold.events, now)

    def is_idle(self, now: int) -> bool:
        """Return whether, as of `now`, it counts as ended for lack of events."""
        roots = [self.spans[one] for saga in self._sagas.all for one in saga.roots]
        return bool(self.spans) and silences.is_idle(self._fold.events, self._index, roots, now)

    def runs_of(self, span_id: str) -> Sequence[str]:
        """Return the span ids of all runs of a job, in order; of a span that ran once, only its own."""
        return self._fold.runs.get(self.spans[span_id].events[0].span_id, (span_id,))

    def undo_around(self, span_id: str) -> str | None:
        """Return the nearest compensation at or above a span that names a step; None outside of the undoing."""
        around = self._index.undos_around(span_id)
        return next((one for one in around if self.spans[one].original_span_id is not None), None)

    def walk(self) -> Iterator[tuple[int, str]]:
        """Yield every span once, as (depth, span id), in tree order; the id of a missing parent has depth 0."""
        return self._tree.walk()

    @property
    def cause(self) -> Span | None:
        """The span it failed at; where nothing failed, the one it was stopped or canceled at."""
        return None if self._cause is None else self.spans[self._cause]

    @property
    def undone(self) -> tuple[int, int]:
        """How many steps were undone, and of how many that were to be."""
        done, left = len(self._steps.in_state("undone", "covered")), len(self._steps.in_state(*_STANDING))
        return done, done + left

    @cached_property
    def failure_path(self) -> tuple[str, ...]:
        """Span ids from the root to the cause; empty when nothing failed."""
        return () if self._cause is None else (self._cause, *self._tree.ancestors_of(self._cause))[::-1]

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """The one role of each failed span; and `recovered` for spans that succeeded after a failed attempt."""
        return self._failures.roles(self._cause)

    @cached_property
    def failures(self) -> tuple[str, ...]:
        """The spans that have a role, in the order they ended."""
        return tuple(in_order_of_end(self.spans, self.roles))

    @cached_property
    def innermost(self) -> tuple[str, ...]:
        """The open spans that wait for no other below them: undoing first, then running ones, the quietest first."""
        going_on = self._index.open - self._never_ran.keys()
        around = {above for one in going_on for above in self._tree.ancestors_of(one)}

        def importance(span_id: str) -> tuple[bool, bool, int, str]:
            span = self.spans[span_id]
            return span_id not in self._index.owner, span.status != "running", span.last_at, span_id

        return tuple(sorted(going_on - around, key=importance))

    @cached_property
    def never_ran(self) -> tuple[NeverRan, ...]:
        """Spans that will never start, because the span they wait for failed."""
        spans, found = self.spans, self._never_ran.items()
        return tuple(
            NeverRan(one, spans[one].name, dependency, spans[dependency].name, fate_of(spans[dependency]))
            for one, dependency in found
        )

    @cached_property
    def still_standing(self) -> tuple[Standing, ...]:
        """The steps that should have been undone and were not, each with one reason, in the order they ended."""
        return tuple(self._lists.standing(self._standing_ids, ended=self.ended))

    @cached_property
    def compensations(self) -> tuple[Compensation, ...]:
        """Every try to undo a step, in the order they began; then the standing steps without one."""
        return tuple(self._lists.compensations(self.still_standing, ended=self.ended))

    @cached_property
    def _lists(self) -> StepLists:
        return StepLists(self._tree, self._index, self._steps)

    @cached_property
    def summary(self) -> str:
        """How it stands, in one sentence."""
        if not self.spans:
            return "unknown: no usable events"
        (done, steps), standing = self.undone, self._standing_ids
        unsettled = [(self.spans[one].name, words) for one, words in self._unsettled.items()]
        return summary_of(
            SummaryFacts(
                verdict=self.verdict,
                cause=self.cause,
                reported_success=not self._failed and self.verdict not in ("running", "compensating", "unknown"),
                recovered=list(self.roles.values()).count("recovered") if self.verdict == "succeeded" else 0,
                running=[self.spans[one].name for one in self.innermost] if self.verdict == "running" else (),
                blocked=len(self._never_ran),
                never_ended=[self.spans[one].name for one in sorted(self._index.open - self._never_ran.keys())],
                undone=done,
                steps=steps if self._failed or not self.ended else done + len(standing),
                undone_names=[] if self._failed else self._names(self._steps.in_state("undone")),
                standing=len(standing),
                standing_names=self._names(standing),
                unsettled=unsettled,
            )
        )

    def _names(self, steps: Sequence[str]) -> list[str]:
        return [self._steps.name_of(one) for one in first_to_end(self._tree, steps, SHOWN)]

    @cached_property
    def anomalies(self) -> tuple[Anomaly, ...]:
        """What is wrong with it: what was found while reading, then events and spans, then the undoing."""
        found = [*self._found, *event_anomalies(self._fold), *self._tree.anomalies()]
        found += span_anomalies(self._fold, self._index, self.now)
        if self.ended:
            found += never_ended(self._index, self._never_ran)
        found += RollbackChecks(self._tree, self._index, self._steps).anomalies(ended=self.ended)
        if not self._failed and self.ended and (undos := tuple(self._branches.outside())):
            found.append(Anomaly("green_but_compensated", undos, "the saga reported success, yet compensation began"))
        return tuple(found)
