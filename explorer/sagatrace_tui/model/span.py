"""A span: one unit of work, or one run of a job, as its events describe it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent
from sagatrace.phases import CLOSING_PHASES, split_event_type
from sagatrace_tui.model.answers import Place
from sagatrace_tui.model.attempts import Attempt, Reading, read_attempts
from sagatrace_tui.model.event_data import data_of, ids_in, moment_of, text_of
from sagatrace_tui.model.span_state import SpanKind, SpanStatus, State

__all__ = ["Attempt", "Span", "SpanKind", "SpanStatus", "When"]

# Microseconds by which a job's end event may be later than the job's end: many times as long as a worker needs.
_REPORTED_LATE: Final = 100_000


When = tuple[int, int, str]
"""A sort key of spans: microseconds, then `seq` for equal times, then the span's id."""


class Span(msgspec.Struct, eq=False, gc=False):
    """One unit of work. Times are microseconds since 1970; `events` are in order of (time, id).

    Do not change a span, because its trace is a value. If a job id ran more than once, `run` is the number of the run,
    from 1. For any other span it is 0. From the second run on, the span id is `JOB_ID#n`. If a span was still open when
    the RQ execution that opened it ended, `interruption` is the event that ended the execution.
    """

    span_id: str
    events: list[TraceEvent]
    state: State
    parent_id: str | None = None
    original_span_id: str | None = None
    compensation: str | None = None
    run: int = 0
    interruption: TraceEvent | None = None
    _name: str | None = None
    _reading: Reading | None = None
    _over_at: int | None = None

    def __repr__(self) -> str:
        return f"Span({self.span_id!r}, {self.name!r}, {self.status!r}, {len(self.events)} events)"

    @property
    def kind(self) -> SpanKind:
        """The kind of work. A span that names the step it undoes is a compensation."""
        return "compensation" if self.original_span_id is not None else self.state.kind

    @property
    def is_tied(self) -> bool:
        """Whether it declares a compensation, or names the step that it undoes."""
        return self.compensation is not None or self.original_span_id is not None

    @property
    def status(self) -> SpanStatus:
        """The status by its events. It is `interrupted` if the span was open when its RQ execution ended."""
        if self.interruption is not None:
            return "interrupted"
        return self.reading.status if self.state.irregular else self.state.status

    @property
    def name(self) -> str:
        """The job's name, else the event type without its phase."""
        if self._name is None:
            jobs = (text_of(data_of(event).job_name) for event in reversed(self.events))
            types = (split_event_type(event.event_type) for event in self.events)
            names = (name for name, phase in types if phase is not None)
            self._name = next(filter(None, jobs), None) or next(names, self.events[0].event_type)
        return self._name

    @property
    def short_name(self) -> str:
        """The name. For a job, it is the function without its package."""
        return self.name.rpartition(".")[2] or self.name if self.state.kind == "job" else self.name

    @property
    def first_at(self) -> int:
        """The time of its first event."""
        return self.events[0].micros

    @property
    def last_at(self) -> int:
        """The time of its latest event."""
        return self.events[-1].micros

    @property
    def enqueued_at(self) -> int | None:
        """The time it was first enqueued."""
        waits = self.reading.waits
        return waits[0].event.micros if waits else None

    @property
    def due_at(self) -> int | None:
        """The time at which a queued span must start or be retried, if an event holds it."""
        for event in reversed(self.events) if self.status == "queued" else ():
            phase = split_event_type(event.event_type)[1]
            if phase == "retrying":
                return moment_of(data_of(event).next_at)
            if phase in ("enqueued", "scheduled", "deferred"):
                return moment_of(data_of(event).scheduled_for) if phase == "scheduled" else None
        return None

    @property
    def started_at(self) -> int | None:
        """The time it first started."""
        return min((attempt.started_at for attempt in self.attempts if attempt.started_at is not None), default=None)

    @property
    def began_at(self) -> int:
        """The time it first started, or of its first event if no start is known."""
        started = self.started_at
        return self.first_at if started is None else started

    @property
    def ended_at(self) -> int | None:
        """The time of its final end. It is None for an open span and for a point."""
        return None if self.is_open or self.state.kind == "point" else self.over_at

    @property
    def over_at(self) -> int:
        """The time it ended. For a point, or without a known end, it is the time of the latest event."""
        if self.interruption is not None:
            return max(self.interruption.micros, self.last_at)
        if self._over_at is None:
            self._over_at = self.closing_event.micros
        return self._over_at

    def was_over_by(self, moment: int) -> bool:
        """Return whether it had ended at that moment. Allow for the delay of end events.

        A worker records an outcome only after RQ has committed it. So a span that waits for a job may end before the
        job's end event. A slightly later end counts as in time, unless most of the span is after the moment.
        """
        late = self.over_at - moment
        return late <= 0 or (late <= _REPORTED_LATE and late < moment - self.began_at)

    @property
    def closing_event(self) -> TraceEvent:
        """The event that ended it, or its latest event if it is open."""
        if self.state.irregular:
            return self.reading.closing or self.events[-1]
        for event in reversed(self.events):
            if split_event_type(event.event_type)[1] in CLOSING_PHASES:
                return event
        return self.events[-1]

    @property
    def ending(self) -> When:
        """The end, as a sort key."""
        return self._when(self.over_at, self.closing_event)

    @property
    def beginning(self) -> When:
        """The beginning, as a sort key."""
        return self._when(self.first_at, self.events[0])

    @property
    def undo_beginning(self) -> When:
        """The beginning of the undo, as a sort key. It is later in a span that reports its own compensation."""
        own = next(filter(None, self.unwound), None) if self.original_span_id is None else None
        return self.beginning if own is None else (own.micros, 0, self.span_id)

    def _when(self, moment: int, event: TraceEvent) -> When:
        seq = data_of(event).seq
        return moment, seq if isinstance(seq, int) else 0, self.span_id

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts, in order."""
        return self.reading.attempts

    @property
    def error(self) -> str | None:
        """The error of its failure, or for an interrupted span the execution's reason. It is None after success."""
        if self.interruption is None:
            return self._last_text("error") if self.status not in ("success", "point") else None
        data, phase = data_of(self.interruption), split_event_type(self.interruption.event_type)[1]
        return text_of(data.error) or text_of(data.reason) or f"its RQ execution ended: {phase}"

    @property
    def error_type(self) -> str | None:
        """The type of that error; None after success."""
        if self.interruption is None:
            return self._last_text("error_type") if self.status not in ("success", "point") else None
        return text_of(data_of(self.interruption).error_type)

    @property
    def reason(self) -> str | None:
        """The recorded reason for its work or its end."""
        return self._last_text("reason")

    @property
    def attempt_error(self) -> str | None:
        """The error of its last failed attempt, even if the span succeeded later. It may have only a type."""
        return self._failed_attempt.error or None if self._failed_attempt is not None else None

    @property
    def attempt_error_type(self) -> str | None:
        """The type of the error of its last failed attempt."""
        return self._failed_attempt.error_type if self._failed_attempt is not None else None

    @property
    def _failed_attempt(self) -> Attempt | None:
        return next((attempt for attempt in reversed(self.attempts) if attempt.error or attempt.error_type), None)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of all its events, each once."""
        return tuple(dict.fromkeys(tag for event in self.events for tag in event.tags or ()))

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("queued", "running")

    @property
    def has_failed(self) -> bool:
        """Whether it failed or was interrupted."""
        return self.status in ("failed", "interrupted")

    @property
    def has_begun(self) -> bool:
        """Whether any of its events shows that it began, rather than waited."""
        return self.status != "queued" or bool(self.attempts)

    @property
    def was_retried(self) -> bool:
        """Whether it has more than one attempt."""
        return (self.state.retried or self.state.irregular) and len(self.attempts) > 1

    def attempt_at(self, moment: int) -> tuple[int | None, int | None]:
        """Return the start of the attempt at that moment, and the start of the next attempt.

        The first value is None for the first attempt, which includes all earlier moments. The second value is None for
        the last attempt.
        """
        starts = [attempt.since for attempt in self.attempts if attempt.since is not None]
        before, after = [start for start in starts if start <= moment], [start for start in starts if start > moment]
        return max(before) if len(before) > 1 else None, min(after, default=None)

    @property
    def is_presumed(self) -> bool:
        """Whether its end was inferred, like the end of a lost worker's job."""
        closing = self.closing_event
        return data_of(closing).presumed is True or closing.event_type.rpartition(":")[2] == "abandoned"

    @property
    def wait(self) -> int | None:
        """Microseconds between being enqueued and first started."""
        enqueued, started = self.enqueued_at, self.started_at
        return None if enqueued is None or started is None else max(0, started - enqueued)

    @property
    def unwound(self) -> tuple[TraceEvent | None, TraceEvent | None]:
        """The start and the end of the compensation that it reports under its own id."""
        return self.reading.unwound if self.state.unwinding else (None, None)

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The span ids it waits for. Empty if it runs even after they fail, or if it was enqueued by hand."""
        data = [data_of(event) for event in self.events]
        phases = [split_event_type(event.event_type)[1] for event in self.events]
        by_hand = "deferred" in phases and "enqueued" in phases[phases.index("deferred") :]
        if by_hand or any(one.allow_failure is True for one in data):
            return ()
        return ids_in(*(value for one in data for value in (one.depends_on, one.dependency)))

    @property
    def place(self) -> Place:
        """The place where it ran last."""
        text, number = self._last_text, self._last_number
        return Place(text("worker"), text("queue"), text("host"), number("attempt"), number("attempts_allowed"))

    @property
    def data(self) -> dict[str, Any]:
        """The merged `data` of all its events. Later values replace earlier ones."""
        merged: dict[str, Any] = {}
        for event in self.events:
            try:
                merged.update(event.data)
            except EventError as error:
                merged["data_unreadable"] = str(error)
        return merged

    @property
    def reading(self) -> Reading:
        """The result of reading all its events."""
        if self._reading is None:
            self._reading = read_attempts(self.events)
        return self._reading

    def _last(self, key: str) -> object:
        values = (getattr(data, key) for data in reversed(self.reading.data))
        return next((value for value in values if value is not None), None)

    def _last_text(self, key: str) -> str | None:
        return text_of(self._last(key))

    def _last_number(self, key: str) -> int | None:
        value = self._last(key)
        return value if isinstance(value, int) else None

    def link(self, original: object, compensation: object) -> None:
        """Take the step that it undoes, and the name of its compensation, from an event. A span cannot undo itself."""
        if original is not None and (undoes := text_of(original)) and undoes != self.events[0].span_id:
            self.original_span_id = undoes
        if compensation is not None:
            self.compensation = text_of(compensation) or self.compensation
