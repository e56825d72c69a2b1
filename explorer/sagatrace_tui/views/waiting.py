"""Describe the innermost open spans of a running trace: their states and durations so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from sagatrace.phases import split_event_type
from sagatrace_tui.model import Span, Trace
from sagatrace_tui.model.event_data import data_of, ids_in
from sagatrace_tui.model.span_state import mark_of
from sagatrace_tui.model.text import length, listed

__all__ = ["MOST", "Wait", "Waiting", "waiting_on"]

MOST: Final = 20
"""The most spans that are described. Further spans are only counted."""
# After this many microseconds without an event, the line reports silence, because a process may have died.
_QUIET: Final = 60_000_000


class Wait(msgspec.Struct, frozen=True):
    """One innermost open span, as of a moment.

    `words` is its state, such as `running for 12 s, attempt 2 of 3` or `retry 1 of 2 in 5 s`. `undoing` is the name of
    the step that it, or a compensation above it, undoes. Names are unescaped, as jobs wrote them.
    """

    span_id: str
    name: str
    words: str
    undoing: str | None


class Waiting(msgspec.Struct, frozen=True):
    """The first of `count` innermost open spans: compensations first, then running spans.

    `line` is a summary in one line. It is empty if there is no such span.
    """

    waits: tuple[Wait, ...]
    count: int
    line: str


def waiting_on(trace: Trace, now: int) -> Waiting | None:
    """Return the spans that a trace waits on at `now` (microseconds since 1970); None if the trace has ended."""
    if trace.status != "running" or trace.last_at is None:
        return None
    waits = tuple(_wait(trace, trace.spans[one], now) for one in trace.innermost[:MOST])
    return Waiting(waits, len(trace.innermost), " · ".join(_parts(trace, waits, now)))


def _parts(trace: Trace, waits: tuple[Wait, ...], now: int) -> Iterator[str]:
    if trace.verdict == "compensating":
        done, steps = trace.undone
        step = f" {waits[0].undoing}" if waits and waits[0].undoing else ""
        if step or done + len(trace.passed_by) < steps:
            yield f"undoing{step}: {done} of {steps} undone"
    if waits:
        more = len(trace.innermost) - 1
        yield f"{waits[0].name}: {waits[0].words}{f' +{more} more' if more else ''}"
    if trace.silence(now) >= _QUIET:
        yield f"no event for {_whole(trace.silence(now))}"


def _wait(trace: Trace, span: Span, now: int) -> Wait:
    undo = trace.undo_around(span.span_id)
    step = None if undo is None else trace.spans[undo].original_span_id
    return Wait(span.span_id, span.name, _words(trace, span, now), None if step is None else _name(trace, step))


def _words(trace: Trace, span: Span, now: int) -> str:
    marks = [(mark_of(event.event_type, event.status).kind, event) for event in reversed(span.events)]
    wanted = ("start",) if span.status == "running" else ("wait", "retry")
    kind, event = next((mark for mark in marks if mark[0] in wanted), marks[-1])
    phase, lasting, due = split_event_type(event.event_type)[1], f"for {_whole(now - event.micros)}", span.due_at
    when = lasting if due is None else f"in {_whole(due - now)}" if due > now else f"overdue by {_whole(now - due)}"
    attempt, allowed = span.place.attempt or len(span.attempts) or 1, span.place.attempts_allowed or 0
    if span.status == "running":
        return f"running {lasting}, attempt {_of(attempt, allowed)}" if attempt > 1 else f"running {lasting}"
    if kind == "retry":
        return f"retry {_of(attempt, allowed - 1)} {'queued ' if due is None else ''}{when}"
    if phase == "scheduled":
        return f"scheduled {when}"
    return _deferred(trace, span, event.micros, now) if phase == "deferred" else f"queued {lasting}"


def _deferred(trace: Trace, span: Span, since: int, now: int) -> str:
    recorded = [data_of(one) for one in span.events]
    job_ids = ids_in(*(value for data in recorded for value in (data.depends_on, data.dependency)))
    dependencies = [trace.runs_of(one)[-1] if one in trace.spans else one for one in job_ids]
    if waits_for := [one for one in dependencies if one not in trace.spans or trace.spans[one].is_open]:
        return f"waiting for {listed([_name(trace, one) for one in waits_for])}"
    # RQ gives no signal when it enqueues a job after its last dependency.
    since = max((since, *(trace.spans[one].over_at for one in dependencies)))
    return f"{'queued' if dependencies else 'deferred'} for {_whole(now - since)}"


def _name(trace: Trace, span_id: str) -> str:
    return trace.spans[span_id].name if span_id in trace.spans else span_id


def _of(number: int, most: int) -> str:
    return f"{number} of {most}" if most >= number else str(number)


def _whole(micros: int) -> str:
    """Return the text of a duration, in whole seconds because it grows on the screen."""
    return length(micros // 1_000_000 * 1_000_000) if micros >= 1_000_000 else "under 1 s"
