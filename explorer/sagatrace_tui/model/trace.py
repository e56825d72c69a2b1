"""A trace: its spans as a forest, and the answers to what a person asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from sagatrace.events import TraceEvent
from sagatrace_tui.model.anomaly import Anomaly, listed, reading_anomalies
from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.clock import length
from sagatrace_tui.model.compensation import Compensations, Standing
from sagatrace_tui.model.failures import Failures, Role, in_order
from sagatrace_tui.model.fold import Change, Fold, RewrittenError
from sagatrace_tui.model.ledger import Ledger, LedgerRow, fate_of
from sagatrace_tui.model.rollback_checks import Undoing
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import Forest
from sagatrace_tui.model.undisturbed import undisturbed
from sagatrace_tui.model.verdict import IDLE, Judge, Judgement, Verdict

__all__ = ["IDLE", "Anomaly", "NeverRan", "Trace", "TraceStatus", "build_trace", "reading_anomalies"]

_T = TypeVar("_T")
TraceStatus = Literal["running", "success", "failed", "stopped", "canceled", "unknown"]


@dataclass(frozen=True, slots=True)
class NeverRan:
    """A span that will never start, and what it waits for in vain; `fate` is what became of that."""

    span_id: str
    name: str
    dependency_id: str
    dependency_name: str
    fate: str


class Trace:
    """One trace as of `now`. Times are microseconds since 1970.

    `children` holds, for each span id, its children's ids in start order; under a parent that was never seen, the
    orphans that name it. `roots` are the spans shown at the top: true roots, and those cut out of a cycle.

    `add` takes further events; one thread at a time may use a trace. The verdict is ready once it is built; lists
    (ledger, roles, anomalies) are worked out when first asked for, and kept until something changes.
    """

    def __init__(self, trace_id: str, events: Iterable[TraceEvent], *, now: int, anomalies: Iterable[Anomaly]) -> None:
        self.trace_id = trace_id
        self.now = now
        self._found = tuple(anomalies)
        self._fold = Fold()
        self._behind: Literal["", "answers", "events"] = ""  # what an event made that must be worked out anew
        self._kept: dict[str, object] = {}
        with undisturbed():
            self._load(events)
            self._settle()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return self is other or (
            (self.trace_id, self.spans, self.roots, self.children)
            == (other.trace_id, other.spans, other.roots, other.children)
            and (self.judgement, self.anomalies) == (other.judgement, other.anomalies)
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Trace({self.trace_id!r}, {self.verdict!r}, {len(self.spans)} spans, {self.event_count} events)"

    def add(self, events: Iterable[TraceEvent], *, now: int | None = None) -> set[str]:
        """Take further events, in any order, known ones too; returns the ids of the spans that changed.

        An event costs what it changes, not what the trace holds, in all but these cases. The first one finds out which
        ids are known. Answers are worked out anew, over all failures and steps, when a span goes under another parent,
        turns out to be an undo, or is the late parent of spans within an undo. All is folded anew when a span closes a
        cycle or changes its place near one, and when another document comes under a known id. Each happens once for
        all events of a call. An event that comes out of turn costs a look at all events of its span; the undo of a
        stage, a look at the steps below it; and a good end above failures, or one that contradicts another, a look at
        the failures.
        """
        changed: set[str] = set()
        given = list(events)
        if len(given) > 100 and len(given) > len(self._fold) // 10:
            before = self._fold
            self._load([*before.events.values(), *given])
            changed = {one for one, span in self.spans.items() if before.spans.get(one) != span}
        else:
            for event in given:
                changed |= self._add(event)
        if self._behind == "events":
            self._load(self._fold.events.values())
        elif self._behind == "answers":
            self._answer_anew()
        self.now = self.now if now is None else now
        self._kept.clear()
        self._settle()
        return changed

    def _add(self, event: TraceEvent) -> set[str]:
        try:
            change = self._fold.add(event)
        except RewrittenError as rewritten:  # what was folded of the other document cannot be taken out again
            self._behind = "events"
            return {event.span_id, str(rewritten)}
        if change is None:
            return set()
        if self._behind != "events" and not self._forest.update(change):
            self._behind = "events"
        if self._behind != "events":
            self._census.update(change)
        if not self._behind:
            self._follow(change)
        return {change.span.span_id}

    def _follow(self, change: Change) -> None:
        """Let the answers follow a change of one span."""
        span_id = change.span.span_id
        if change.was is None:
            self._areas.add(span_id)
        adopts = change.was is None and span_id in self._forest.children
        if change.moved or change.relinked or (adopts and span_id in self._areas.owner):
            # What belongs to the undoing must be found out anew.
            self._behind = "answers"
            return
        if adopts:
            self._failures.adopt(span_id)
            self._compensations.adopt(span_id)
        self._failures.update(change)
        self._compensations.update(change)

    def _load(self, events: Iterable[TraceEvent]) -> None:
        with undisturbed():
            fold = Fold()
            fold.load(events)
            fold.inherit(self._fold)
            self._fold = fold
            self._stand()

    def _stand(self) -> None:
        self._forest = Forest(self._fold)
        self._census = Census(self._fold)
        self._answer_anew()

    def _answer_anew(self) -> None:
        self._behind = ""
        fold, forest, census = self._fold, self._forest, self._census
        self._areas = Areas(census, forest)
        self._failures = Failures(fold, forest, census, self._areas)
        self._compensations = Compensations(fold, forest, census, self._areas, self._failures)
        self._undoing = Undoing(fold, forest, census, self._areas, self._failures, self._compensations)
        self._judge = Judge(fold, forest, census, self._areas, self._failures, self._compensations, self._undoing)

    def _settle(self) -> None:
        self._failures.settle()
        self._compensations.settle()
        self.judgement: Judgement = self._judge.judge(now=self.now)

    def _keep(self, name: str, make: Callable[[], _T]) -> _T:
        """An answer, worked out once and kept until something changes."""
        if name not in self._kept:
            self._kept[name] = make()
        return cast("_T", self._kept[name])

    @property
    def spans(self) -> dict[str, Span]:
        """Every span by its id; not to be changed."""
        return self._fold.spans

    @property
    def children(self) -> Mapping[str, Sequence[str]]:
        """Each span's children, in start order."""
        return self._forest.children

    @property
    def roots(self) -> tuple[str, ...]:
        """The spans at the top, in start order."""
        return self._keep("roots", lambda: tuple(self._forest.roots))

    @property
    def missing_parents(self) -> tuple[str, ...]:
        """The parents that spans name and nobody has seen."""
        return self._keep("missing", lambda: tuple(self._forest.missing_in_order()))

    @property
    def root(self) -> Span | None:
        """The span that stands for the trace: the earliest root that is no mere instant, if any is."""
        top = self._forest.heads() or self._forest.roots
        return self.spans[top[0]] if top else None

    @property
    def name(self) -> str:
        """The root's name; empty when there is none."""
        return self.root.name if self.root else ""

    @property
    def started_at(self) -> int | None:
        """When its first event happened."""
        return self._fold.first_at

    @property
    def last_at(self) -> int | None:
        """When its latest event happened."""
        return self._fold.last_at

    def silence(self, now: int) -> int:
        """Microseconds without an event as of `now`, by those events whose date can be true."""
        return self._judge.silence(now)

    def is_idle(self, now: int) -> bool:
        """Whether nothing was told for so long, as of `now`, that it counts as ended."""
        return self._judge.is_idle(now)

    @property
    def ended_at(self) -> int | None:
        """When it ended; None while it runs, and where nothing tells how it ended."""
        return self.last_at if self.judgement.ended and self.verdict != "unknown" else None

    @property
    def duration(self) -> int | None:
        """Microseconds from the first event to the latest."""
        return None if self.started_at is None or self.last_at is None else self.last_at - self.started_at

    @property
    def event_count(self) -> int:
        """How many events it holds, each counted once."""
        return len(self._fold)

    @property
    def error_count(self) -> int:
        """How many spans failed."""
        return len(self._census.failed)

    @property
    def verdict(self) -> Verdict:
        """How it stands, in one word."""
        return self.judgement.verdict

    @property
    def summary(self) -> str:
        """How it stands, in one sentence."""
        return self._keep("summary", lambda: self._judge.sentence(self.judgement))

    @property
    def status(self) -> TraceStatus:
        """How it ended, if it has, in the terms of a span."""
        if not self.judgement.ended:
            return "running"
        if self.judgement.cause is not None:
            status = self.spans[self.judgement.cause].status
            return status if status in ("stopped", "canceled") else "failed"
        if self.judgement.aborted:
            return "failed"
        return "unknown" if self.verdict == "unknown" else "success"

    @property
    def innermost(self) -> tuple[str, ...]:
        """The open spans with none below them that still goes on, the most important first."""
        return self._keep("innermost", lambda: tuple(self._judge.innermost()))

    @property
    def undone(self) -> tuple[int, int]:
        """How many steps were undone, and of how many that were to be."""
        return self._judge.undone()

    def undo_around(self, span_id: str) -> str | None:
        """The nearest undo at or above a span that names a step; None outside of the undoing."""
        around = self._areas.outer(span_id)
        return next((one for one in around if self.spans[one].original_span_id is not None), None)

    @property
    def cause(self) -> Span | None:
        """The span it failed at; where nothing failed, the one it was stopped or canceled at."""
        return None if self.judgement.cause is None else self.spans[self.judgement.cause]

    @property
    def failure_path(self) -> tuple[str, ...]:
        """Span ids from the root to the cause; empty when nothing failed."""
        cause = self.judgement.cause
        return () if cause is None else (cause, *self._forest.ancestors_of(cause))[::-1]

    @property
    def roles(self) -> Mapping[str, Role]:
        """The one role of each failed span; and `recovered` for those that ended well after an attempt that failed."""
        return self._keep("roles", self._failures.roles)

    @property
    def failures(self) -> tuple[str, ...]:
        """The spans that have a role, in the order they ended."""
        return self._keep("failures", lambda: tuple(in_order(self._fold, self.roles)))

    @property
    def never_ran(self) -> tuple[NeverRan, ...]:
        """Spans that will never start, because what they wait for failed."""
        return self._keep("never_ran", self._never_ran)

    @property
    def ledger(self) -> tuple[LedgerRow, ...]:
        """Every try to undo a step, in the order they began; then, if it failed, the steps nobody tried to undo."""
        return self._keep("ledger", self._ledger)

    @property
    def still_standing(self) -> tuple[Standing, ...]:
        """The steps that should have been undone and were not, each with one reason."""
        return self._keep("standing", self._standing)

    @property
    def anomalies(self) -> tuple[Anomaly, ...]:
        """What is odd about it: first what was found while reading, then the tree, then the undoing."""
        return self._keep("anomalies", lambda: tuple(self._anomalies()))

    def walk(self) -> Iterator[tuple[int, str]]:
        """Every span once, as (depth, span id), in the order of a tree; a missing parent's id comes at depth 0."""
        stack = [(0, span_id) for span_id in reversed((*self.roots, *self.missing_parents))]
        while stack:
            depth, span_id = stack.pop()
            yield depth, span_id
            stack.extend((depth + 1, child) for child in reversed(self.children.get(span_id, ())))

    def _ledger(self) -> tuple[LedgerRow, ...]:
        ledger = Ledger(self._fold, self._forest, self._census, self._compensations)
        return tuple(ledger.rows(ended=self.judgement.ended, steps=self.still_standing))

    def _standing(self) -> tuple[Standing, ...]:
        standing = self._compensations.standing(ended=self.judgement.ended)
        if self.judgement.aborted or self.verdict == "unknown":
            return tuple(standing)
        left = set(self._undoing.left_in_branches()) if self.verdict == "rollback_incomplete" else set[str]()
        return tuple(one for one in standing if one.span_id in left)

    def _never_ran(self) -> tuple[NeverRan, ...]:
        spans, found = self.spans, self._failures.never_ran().items()
        return tuple(
            NeverRan(one, spans[one].name, dependency, spans[dependency].name, fate_of(spans[dependency]))
            for one, dependency in found
        )

    def _anomalies(self) -> Iterator[Anomaly]:
        yield from self._found
        for event_id, fault in sorted(self._fold.faults):
            event = self._fold.events.get(event_id)
            yield Anomaly("malformed", (event.span_id,) if event else (), f"event {event_id}: {fault}")
        for event_id in sorted(self._fold.clashes):
            span_id = self._fold.events[event_id].span_id
            yield Anomaly("duplicate", (span_id,), f"two different events have the id {event_id}; one of them is kept")
        yield from self._forest.anomalies()
        for span in sorted(
            (self.spans[one] for one in self._census.odd), key=lambda span: (span.first_at, span.span_id)
        ):
            if span.fault is not None:
                told = "two ends that disagree" if span.fault == "conflicting_outcomes" else "the same end told twice"
                yield Anomaly(span.fault, (span.span_id,), f"{span.name} has {told}; {span.status} is taken")
        yield from self._dated_ahead()
        if self.judgement.ended:
            yield from self._never_ended()
        yield from self._undoing.anomalies(ended=self.judgement.ended)
        if self.verdict == "succeeded_but_compensated":
            undos = tuple(self._undoing.outside_branches())
            yield Anomaly("green_but_compensated", undos, "the root succeeded, yet undoing began")

    def _dated_ahead(self) -> Iterator[Anomaly]:
        spans = self._judge.ahead(self.now)
        if spans:
            have = "1 span has" if len(spans) == 1 else f"{len(spans)} spans have"
            by = length(spans[0].last_at - self.now)
            names = listed([span.name for span in spans])
            detail = f"{have} events dated up to {by} after they were read: {names}; a host's clock is wrong"
            yield Anomaly("clock_skew", tuple(span.span_id for span in spans), detail)

    def _never_ended(self) -> Iterator[Anomaly]:
        lost = {one.span_id for one in self.never_ran}
        spans = [self.spans[one] for one in self._census.open if one not in lost]
        if spans:
            spans.sort(key=lambda span: (span.first_at, span.span_id))
            count = "1 span" if len(spans) == 1 else f"{len(spans)} spans"
            names = listed([f"{span.name} ({span.status})" for span in spans])
            yield Anomaly("never_ended", tuple(span.span_id for span in spans), f"{count} never ended: {names}")


def build_trace(trace_id: str, events: Iterable[TraceEvent], *, now: int, anomalies: Iterable[Anomaly] = ()) -> Trace:
    """Fold a trace's events, in any order and however often repeated, as of `now` (microseconds since 1970).

    `anomalies` are those found while reading, such as malformed documents.
    """
    return Trace(trace_id, events, now=now, anomalies=anomalies)
