"""A span: everything its events say of one unit of work, folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import filterfalse
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.events import TraceEvent, parse_timestamp, split_event_type
from sagatrace_tui.model.attempts import Reading, Try, read_attempts
from sagatrace_tui.model.event_data import Facts, facts_of, named, text_of
from sagatrace_tui.model.span_state import NEW, SpanKind, SpanStatus, State, mark_of, state_after

__all__ = ["TOLD_LATE", "Attempt", "Place", "Span", "SpanKind", "SpanStatus", "fold_span"]

TOLD_LATE: Final = 100_000
"""Microseconds by which a job's end may be told after those who waited for the job went on: many times what a worker
takes from RQ's commit to its event."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a span; times in microseconds since 1970, None where no event tells."""

    number: int
    started_at: int | None
    ended_at: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span ran last, as far as its events tell."""

    worker: str | None
    queue: str | None
    host: str | None
    attempt: int | None
    attempts_allowed: int | None


@dataclass(frozen=True, slots=True)
class _View:
    """What is worked out only of spans that are looked at."""

    reading: Reading
    facts: tuple[Facts, ...]
    attempts: tuple[Attempt, ...]


class Span(msgspec.Struct, eq=False, gc=False):
    """One unit of work. Times are microseconds since 1970; `events` are in order of (time, id), not to be changed.

    Only what every verdict needs is kept ready; all else is read from the events when asked for.
    """

    span_id: str
    events: list[TraceEvent]
    state: State
    parent_id: str | None = None
    original_span_id: str | None = None
    compensation: str | None = None
    _name: str | None = None
    _view: _View | None = None
    _over_at: int | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Span):
            return NotImplemented
        return self is other or (self.span_id == other.span_id and self.events == other.events)

    def __hash__(self) -> int:
        return hash(self.span_id)

    def __repr__(self) -> str:
        return f"Span({self.span_id!r}, {self.name!r}, {self.status!r}, {len(self.events)} events)"

    @property
    def kind(self) -> SpanKind:
        """What it is a unit of; a span that names what it undoes is a compensation."""
        return "compensation" if self.original_span_id is not None else self.state.kind

    @property
    def status(self) -> SpanStatus:
        """How it stands."""
        return self._seen().reading.status if self.state.odd else self.state.status

    @property
    def name(self) -> str:
        """The job's name, else the event type less its phase."""
        if self._name is None:
            self._name = self._told_name() or self._typed_name()
        return self._name

    def _told_name(self) -> str | None:
        for event in reversed(self.events):
            if name := text_of(facts_of(event).job_name):
                return name
        return None

    def _typed_name(self) -> str:
        for event in self.events:
            name, phase = split_event_type(event.event_type)
            if phase is not None:
                return name
        return split_event_type(self.events[0].event_type)[0]

    @property
    def first_at(self) -> int:
        """When its first event happened."""
        return self.events[0].micros

    @property
    def last_at(self) -> int:
        """When its latest event happened."""
        return self.events[-1].micros

    @property
    def enqueued_at(self) -> int | None:
        """When it was first enqueued."""
        waits = self._seen().reading.waits
        return waits[0].micros if waits else None

    @property
    def due_at(self) -> int | None:
        """When what is queued is to begin, or to be tried again, as far as its latest such event tells."""
        if self.status != "queued":
            return None
        for event in reversed(self.events):
            kind, phase = mark_of(event.event_type, event.status).kind, split_event_type(event.event_type)[1]
            if kind == "retry":
                return _moment(facts_of(event).next_at)
            if kind == "wait":
                return _moment(facts_of(event).scheduled_for) if phase == "scheduled" else None
        return None

    @property
    def started_at(self) -> int | None:
        """When it was first started."""
        return min((attempt.started_at for attempt in self.attempts if attempt.started_at is not None), default=None)

    @property
    def ended_at(self) -> int | None:
        """When it ended for good; None while it is open."""
        return None if self.is_open or self.state.kind == "point" else self.over_at

    @property
    def over_at(self) -> int:
        """When it ended; for a point, and where nothing tells, when it was last heard of."""
        if self._over_at is None:
            self._over_at = self.closing_event.micros
        return self._over_at

    def was_over_by(self, moment: int) -> bool:
        """Whether it had ended by then, as far as those who waited for it could know.

        A worker tells an outcome only after RQ has committed it, so who waits for a job may speak before it. Hence
        an end told a little later passes, unless most of the span lies after the moment: that was not waited for.
        """
        late = self.over_at - moment
        return late <= 0 or (late <= TOLD_LATE and late < moment - self._begun_at)

    @property
    def _begun_at(self) -> int:
        started = self.started_at
        return self.first_at if started is None else started

    @property
    def closing_event(self) -> TraceEvent:
        """The event that ended it; while there is none, its latest."""
        if self.state.odd or self.state.unwinding:
            return self._seen().reading.closing or self.events[-1]
        for event in reversed(self.events):
            if mark_of(event.event_type, event.status).kind == "end":
                return event
        return self.events[-1]

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Each try, in order."""
        return self._seen().attempts

    @property
    def error(self) -> str | None:
        """What it failed with; None where it ended well."""
        return self._last_text("error") if self._is_unwell else None

    @property
    def error_type(self) -> str | None:
        """The type of what it failed with; None where it ended well."""
        return self._last_text("error_type") if self._is_unwell else None

    @property
    def reason(self) -> str | None:
        """Why it was done, or stopped, in its own words."""
        return self._last_text("reason")

    @property
    def attempt_error(self) -> str | None:
        """What its last failed attempt failed with, however it ended."""
        return next((attempt.error for attempt in reversed(self.attempts) if attempt.error), None)

    @property
    def has_failed_attempt(self) -> bool:
        """Whether any of its attempts failed, however it ended."""
        return any(one.end is not None and _is_failure(one.end) for one in self._seen().reading.tries)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of all its events, each once."""
        return tuple(dict.fromkeys(tag for event in self.events for tag in event.tags or ()))

    @property
    def is_open(self) -> bool:
        """Whether its end is still to come."""
        return self.status in ("queued", "running")

    @property
    def has_begun(self) -> bool:
        """Whether anything but waiting is known of it."""
        return self.status != "queued" or self.state.between or bool(self.attempts)

    @property
    def is_presumed(self) -> bool:
        """Whether nobody saw its end: a worker was lost, and the end inferred."""
        closing = self.closing_event
        return facts_of(closing).presumed is True or closing.event_type.rpartition(":")[2] == "abandoned"

    @property
    def wait(self) -> int | None:
        """Microseconds between being enqueued and first started."""
        enqueued, started = self.enqueued_at, self.started_at
        return None if enqueued is None or started is None else max(0, started - enqueued)

    @property
    def fault(self) -> str | None:
        """`conflicting_outcomes` or `duplicate` where one attempt has two ends."""
        return self._seen().reading.fault if self.state.odd else None

    @property
    def unwound(self) -> tuple[TraceEvent | None, TraceEvent | None]:
        """The events that say that it began, and ended, to undo itself; for a compensation, none."""
        return self._seen().reading.unwound if self.state.unwinding else (None, None)

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The spans it waits for, by what its events name; none where it runs even if they fail, or need not wait."""
        told = [facts_of(event) for event in self.events]
        phases = [split_event_type(event.event_type)[1] for event in self.events]
        if "deferred" in phases and "enqueued" in phases[phases.index("deferred") :]:
            return ()  # somebody put it into its queue by hand
        if any(facts.allow_failure is True for facts in told):
            return ()
        return named(*(value for facts in told for value in (facts.depends_on, facts.dependency)))

    @property
    def place(self) -> Place:
        """Where it ran last."""
        attempt, allowed = self._last("attempt"), self._last("attempts_allowed")
        return Place(
            self._last_text("worker"),
            self._last_text("queue"),
            self._last_text("host"),
            attempt if isinstance(attempt, int) else None,
            allowed if isinstance(allowed, int) else None,
        )

    @property
    def data(self) -> dict[str, Any]:
        """The `data` of all its events merged, later ones over earlier ones."""
        merged: dict[str, Any] = {}
        for event in self.events:
            try:
                merged.update(event.data)
            except EventError as error:
                merged["data_unreadable"] = str(error)
        return merged

    @property
    def _is_unwell(self) -> bool:
        return self.status not in ("success", "point")

    def _seen(self) -> _View:
        if self._view is None:
            reading = read_attempts(self.events)
            facts = tuple(map(facts_of, filterfalse(self._ends_own_undoing, self.events)))
            self._view = _View(reading, facts, _attempts(reading.tries))
        return self._view

    def _last(self, fact: str) -> object:
        for facts in reversed(self._seen().facts):
            if (value := getattr(facts, fact)) is not None:
                return value
        return None

    def _last_text(self, fact: str) -> str | None:
        return text_of(self._last(fact))

    def _ends_own_undoing(self, event: TraceEvent) -> bool:
        """Whether the event says how undoing itself went: with what that failed is not what the span failed with."""
        mark = mark_of(event.event_type, event.status)
        return bool(self.state.unwinding) and mark.undo and mark.kind == "end"

    def append(self, event: TraceEvent, state: State) -> None:
        """Take one event that is later than all others; `state` is the state after it."""
        self.events.append(event)
        self._over_at = None
        facts = facts_of(event)
        if self._view is not None and self._is_aside(event):
            self._view = replace(self._view, facts=(*self._view.facts, facts))
        else:
            self._view = None
        if facts.job_name is not None or not self._is_aside(event):
            self._name = None
        self.state = state
        if self.parent_id is None:
            self.parent_id = event.parent_span_id or None
        self.link(facts.original_span_id, facts.compensation)

    def link(self, original: object, compensation: object) -> None:
        """Take what an event says it undoes, and what would undo it. What names itself undoes no other span."""
        undoes = text_of(original)
        if undoes and undoes != self.span_id:
            self.original_span_id = undoes
        self.compensation = text_of(compensation) or self.compensation

    def _is_aside(self, event: TraceEvent) -> bool:
        """Whether a later event changes nothing about how the span stands: progress, which may be told thousandfold."""
        return self.state.kind != "point" and mark_of(event.event_type, event.status).kind == "other"


_NOTHING: Final = NEW


def fold_span(events: Iterable[TraceEvent]) -> Span:
    """Fold the events of one span, given in order of (time, id) and each once. There must be at least one."""
    ordered: Sequence[TraceEvent] = list(events)
    span = Span(ordered[0].span_id, [], _NOTHING)
    for event in ordered:
        span.append(event, state_after(span.state, event.event_type, event.status))
    return span


def _moment(told: object) -> int | None:
    """A time as an event's data tells it; a job may have written anything there."""
    try:
        return parse_timestamp(told) if isinstance(told, str) else None
    except EventError:
        return None


def _attempts(tries: Sequence[Try]) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(
            number,
            one.start.micros if one.start else None,
            one.end.micros if one.end else None,
            _error_of(one.end) if one.end and _is_failure(one.end) else None,
        )
        for number, one in enumerate(tries, start=1)
    )


def _is_failure(end: TraceEvent) -> bool:
    return mark_of(end.event_type, end.status).outcome != "success"


def _error_of(end: TraceEvent) -> str | None:
    """What an attempt failed with; of one whose worker was lost only the reason is told."""
    facts = facts_of(end)
    return text_of(facts.error) or text_of(facts.reason)
