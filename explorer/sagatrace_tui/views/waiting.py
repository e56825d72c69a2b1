"""What a running trace waits on as of now: its innermost open spans, each with its state and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sagatrace.event import TraceEvent, split_event_type
from sagatrace_tui.model import Span, Trace
from sagatrace_tui.model.event_data import data_of, ids_in
from sagatrace_tui.model.span_state import mark_of
from sagatrace_tui.model.text import length, listed

__all__ = ["MOST", "Doing", "Wait", "Waiting", "waiting_on"]

MOST: Final = 20
"""How many spans are looked at; the rest is counted."""
_QUIET: Final = 60_000_000
"""Microseconds without an event from which on the line says so: a span reported as running may be long gone."""

Doing = Literal["running", "retrying", "queued", "scheduled", "deferred"]


@dataclass(frozen=True, slots=True)
class Wait:
    """One innermost open span. Times are lengths in microseconds, as of when it was asked for.

    `lasting` is how long it has been so; `due_in` in what time it is to begin, negative when that is over, None
    where nothing tells; `attempt` is the one that runs or comes next; `waits_for` names dependencies not over yet;
    `undoing` names the step that it undoes, or helps to. Names are as jobs wrote them.
    """

    span_id: str
    name: str
    doing: Doing
    lasting: int
    due_in: int | None = None
    attempt: int | None = None
    attempts_allowed: int | None = None
    waits_for: tuple[str, ...] = ()
    undoing: str | None = None

    @property
    def words(self) -> str:
        """What it does, without its name: `running for 12 s, attempt 2 of 3`, `retry 1 of 2 in 5 s`."""
        match self.doing:
            case "running":
                words = f"running for {_whole(self.lasting)}"
                return f"{words}, attempt {self._counted(0)}" if (self.attempt or 1) > 1 else words
            case "retrying":
                return f"retry {self._counted(1)} {self._due('queued')}"
            case "deferred" if self.waits_for:
                return f"waiting for {listed(self.waits_for)}"
            case "scheduled":
                return f"scheduled {self._due('')}".replace("  ", " ")
        return f"{self.doing} for {_whole(self.lasting)}"

    def _counted(self, first: int) -> str:
        """The attempt's number, and of how many; `first` is what the retries are counted from."""
        number, allowed = self.attempt or 1, self.attempts_allowed or 0
        return f"{number - first} of {allowed - first}" if allowed >= number else f"{number - first}"

    def _due(self, otherwise: str) -> str:
        if self.due_in is None:
            return f"{otherwise} for {_whole(self.lasting)}"
        return f"in {_whole(self.due_in)}" if self.due_in > 0 else f"overdue by {_whole(-self.due_in)}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a trace waits on: the first of the spans, of `count`, those that undo and those that run before others.

    `silence` is how long there has been no event; `undone` is, for a trace that unwinds, how many steps of how many.
    """

    waits: tuple[Wait, ...]
    count: int
    silence: int
    undone: tuple[int, int] | None = None

    @property
    def line(self) -> str:
        """The most important of it in one line; empty for a trace that waits on nothing."""
        return " · ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        first = self.waits[0] if self.waits else None
        if self.undone is not None:
            done, steps = self.undone
            step = f"undoing {first.undoing}" if first is not None and first.undoing else "undoing"
            yield f"{step}: {done} of {steps} undone"
        if first is not None:
            more = f" +{self.count - 1} more" if self.count > 1 else ""
            yield f"{first.name}: {first.words}{more}"
        if self.silence >= _QUIET:
            yield f"no event for {_whole(self.silence)}"


def waiting_on(trace: Trace, now: int) -> Waiting | None:
    """What the trace waits on as of `now`, in microseconds since 1970; None for one that has ended."""
    if trace.status != "running" or trace.last_at is None:
        return None
    innermost = trace.innermost
    waits = tuple(_wait(trace, trace.spans[one], now) for one in innermost[:MOST])
    undone = trace.undone if trace.verdict == "compensating" else None
    return Waiting(waits, len(innermost), trace.silence(now), undone)


def _wait(trace: Trace, span: Span, now: int) -> Wait:
    doing, event = _doing(span)
    since, due, waits_for = event.micros, span.due_at, tuple[str, ...]()
    if doing == "deferred":
        recorded = [data_of(one) for one in span.events]
        dependencies = ids_in(*(value for data in recorded for value in (data.depends_on, data.dependency)))
        waits_for = tuple(_name(trace, one) for one in dependencies if not _is_over(trace, one))
        if dependencies and not waits_for:
            # RQ moves it to its queue without a word once all it waits for is over.
            doing, since = "queued", max(since, *(trace.spans[one].over_at for one in dependencies))
    place = span.place
    attempt = place.attempt if place.attempt is not None else len(span.attempts) or None
    return Wait(
        span.span_id,
        span.name,
        doing,
        lasting=max(0, now - since),
        due_in=None if due is None else due - now,
        attempt=(attempt or 0) + 1 if doing == "retrying" else attempt,
        attempts_allowed=place.attempts_allowed,
        waits_for=waits_for,
        undoing=_undoing(trace, span),
    )


def _doing(span: Span) -> tuple[Doing, TraceEvent]:
    """What an open span does, and the event that began it."""
    marks = [(mark_of(event.event_type, event.status).kind, event) for event in reversed(span.events)]
    if span.status == "running":
        return "running", next((event for kind, event in marks if kind == "start"), span.events[0])
    kind, event = next((mark for mark in marks if mark[0] in ("wait", "retry")), marks[-1])
    if kind == "retry":
        return "retrying", event
    phase = split_event_type(event.event_type)[1]
    return ("scheduled" if phase == "scheduled" else "deferred" if phase == "deferred" else "queued"), event


def _is_over(trace: Trace, span_id: str) -> bool:
    return span_id in trace.spans and not trace.spans[span_id].is_open


def _name(trace: Trace, span_id: str) -> str:
    return trace.spans[span_id].name if span_id in trace.spans else span_id


def _undoing(trace: Trace, span: Span) -> str | None:
    undo = trace.undo_around(span.span_id)
    step = None if undo is None else trace.spans[undo].original_span_id
    return None if step is None else _name(trace, step)


def _whole(micros: int) -> str:
    """A length that is shown while it goes on: in whole seconds."""
    return length(micros // 1_000_000 * 1_000_000) if micros >= 1_000_000 else "under 1 s"
