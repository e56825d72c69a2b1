"""The events of one run of a span as attempts, each with a start and an end. Exact for any sequence.

Clocks of different hosts disagree and events get lost. So the attempt numbers decide where workers record them, else
the count of starts and ends, and the order only where neither helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sagatrace.event import TraceEvent
from sagatrace_tui.model.event_data import EventData, data_of, text_of
from sagatrace_tui.model.span_state import UNDO_GROUPS, SpanStatus, mark_of

__all__ = ["Attempt", "Reading", "Try", "is_failure", "numbered_attempts", "read_attempts"]

Fault = Literal["conflicting_outcomes", "duplicate"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a span; times in microseconds since 1970, None where no event gives one."""

    number: int
    started_at: int | None
    ended_at: int | None
    error: str | None


@dataclass(slots=True)
class Try:
    """One attempt: the event that started it and the one that ended it; None where there is none."""

    start: TraceEvent | None
    end: TraceEvent | None


@dataclass(slots=True)
class Reading:
    """What all events of a span say together; `closing` is the event that decides its status."""

    status: SpanStatus
    tries: list[Try]
    closing: TraceEvent | None
    waits: list[TraceEvent]
    fault: Fault | None = None
    unwound: tuple[TraceEvent | None, TraceEvent | None] = (None, None)  # the start and end of its own compensation


@dataclass(slots=True)
class _Sorted:
    """The events of a span by kind; each with its position."""

    starts: list[tuple[int, TraceEvent]] = field(default_factory=list)
    ends: list[tuple[int, TraceEvent]] = field(default_factory=list)
    waits: list[tuple[int, TraceEvent]] = field(default_factory=list)
    unwound: list[TraceEvent] = field(default_factory=list)  # a span that is not a compensation reports its own one
    explicit: SpanStatus = "point"


_BEFORE_ALL: Final = -1


def read_attempts(events: Sequence[TraceEvent]) -> Reading:
    """Read the events of one run of a span, given in order of (time, id)."""
    found = _sorted(events)
    unwound = _unwinding(found)
    if not (found.starts or found.ends or found.waits):
        return Reading(found.explicit, [], None, [])
    data = {id(event): data_of(event) for _, event in found.starts + found.ends}
    found.ends = _without_overruled(found.ends, data)
    numbered = _numbered(found, data)
    tries = list(numbered.values()) if numbered is not None else _counted(found)
    closing, status = _last_word(found, numbered)
    waits = [event for _, event in found.waits]
    fault = _fault(found, numbered, data)
    if unwound[1] is not None and closing is None:
        closing, status = unwound[1], "failed"
    return Reading(status, tries, closing, waits, fault, unwound)


def _sorted(events: Sequence[TraceEvent]) -> _Sorted:
    found = _Sorted()
    marks = [mark_of(event.event_type, event.status) for event in events]
    first = next((mark for mark in marks if mark.kind != "other"), None)
    is_undo = first is not None and (first.undo or first.name.rpartition(":")[2] in UNDO_GROUPS)
    for place, (event, mark) in enumerate(zip(events, marks, strict=True)):
        if mark.undo and not is_undo:
            found.unwound.append(event)
            continue
        match mark.kind:
            case "start":
                found.starts.append((place, event))
            case "end" | "retry":
                found.ends.append((place, event))
            case "wait":
                found.waits.append((place, event))
            case _ if mark.outcome:
                found.explicit = mark.outcome
    return found


def _unwinding(found: _Sorted) -> tuple[TraceEvent | None, TraceEvent | None]:
    """Return the event with which the span began to undo itself, and the one with which that ended."""
    begun = [event for event in found.unwound if not _is_closing(event)]
    ended = [event for event in found.unwound if _is_closing(event)]
    return (begun[0] if begun else None), (ended[-1] if ended else None)


def _number(event: TraceEvent, data: dict[int, EventData]) -> int | None:
    number = data[id(event)].attempt
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _without_overruled(ends: list[tuple[int, TraceEvent]], data: dict[int, EventData]) -> list[tuple[int, TraceEvent]]:
    """Return the ends without the presumed ones (of a lost worker) of attempts whose end was seen."""
    seen = {
        _number(event, data)
        for _, event in ends
        if data[id(event)].presumed is not True and (_is_closing(event) or _number(event, data) is not None)
    }
    return [
        (place, event)
        for place, event in ends
        if data[id(event)].presumed is not True or _number(event, data) not in seen
    ]


def _numbered(found: _Sorted, data: dict[int, EventData]) -> dict[int, Try] | None:
    """Return the attempts by the numbers in their events; None where numbers are missing or repeated."""
    numbers = [_number(event, data) for _, event in found.starts]
    all_numbers = numbers + [_number(event, data) for _, event in found.ends]
    if not all_numbers or None in all_numbers or len(set(numbers)) < len(numbers):
        return None
    tries: dict[int, Try] = {}
    for number in sorted(number for number in all_numbers if number is not None):
        tries.setdefault(number, Try(None, None))
    for _, event in found.starts:
        tries[_number(event, data) or 0].start = event
    for _, event in found.ends:
        tries[_number(event, data) or 0].end = event
    return tries


def _counted(found: _Sorted) -> list[Try]:
    """Pair the n-th start with the n-th end; from the last one back if ends are missing but not the last."""
    starts, ends = found.starts, found.ends
    missing = len(starts) - len(ends)
    if missing > 0 and ends and ends[-1][0] > starts[-1][0]:
        lost = [Try(event, None) for _, event in starts[:missing]]
        return lost + [Try(begun, ended) for (_, begun), (_, ended) in zip(starts[missing:], ends, strict=True)]
    unbegun = 0  # more ends before the first start than starts can explain: their own starts were lost
    while starts and unbegun < -missing and ends[unbegun][0] < starts[0][0]:
        unbegun += 1
    tries = [Try(None, event) for _, event in (ends[:unbegun] if starts else ends)]
    for n, (_, begun) in enumerate(starts, start=unbegun):
        tries.append(Try(begun, ends[n][1] if n < len(ends) else None))
    return tries


def _last_word(found: _Sorted, numbered: dict[int, Try] | None) -> tuple[TraceEvent | None, SpanStatus]:
    """Return the event that decides the status, and the status."""
    starts, ends = found.starts, found.ends
    last_start = starts[-1][0] if starts else _BEFORE_ALL
    last_end = ends[-1][0] if ends else _BEFORE_ALL
    if len(found.waits) > max(len(starts), len(ends)) and found.waits[-1][0] > max(last_start, last_end):
        return None, "queued"
    if numbered:
        top = numbered[max(numbered)]
        return _outcome([(0, top.end)] if top.end else [], running=top.start is not None)
    after = [end for end in ends if end[0] > last_start]
    if not after and len(ends) >= len(starts):
        # Every start has an end: the clock that stamped the last end is behind the one that stamped its start.
        after = [end for end in ends if _is_closing(end[1])]
    return _outcome(after, running=bool(starts))


def _is_closing(event: TraceEvent) -> bool:
    return mark_of(event.event_type, event.status).kind == "end"


def _outcome(ends: list[tuple[int, TraceEvent]], *, running: bool) -> tuple[TraceEvent | None, SpanStatus]:
    for _, event in reversed(ends):
        if _is_closing(event):
            return event, mark_of(event.event_type, event.status).outcome or "success"
    if ends:
        return None, "queued"
    return None, "running" if running else "queued"


def _fault(found: _Sorted, numbered: dict[int, Try] | None, data: dict[int, EventData]) -> Fault | None:
    """Return whether one attempt has two ends, and whether they agree."""
    closings = [event for _, event in found.ends if _is_closing(event)]
    if len(closings) < 2:
        return None
    rivals: list[TraceEvent] = []
    if numbered is not None:
        by_number: dict[int | None, list[TraceEvent]] = {}
        for event in closings:
            by_number.setdefault(_number(event, data), []).append(event)
        rivals = next((events for events in by_number.values() if len(events) > 1), [])
    elif found.starts:
        rivals = closings if len(closings) > len(found.starts) else []
    else:  # only ends are known: a failed attempt may have been retried, a successful one was not
        outcomes = [mark_of(event.event_type, event.status).outcome for event in closings[:-1]]
        rivals = closings if any(outcome != "failed" for outcome in outcomes) else []
    if not rivals:
        return None
    same = len({mark_of(event.event_type, event.status).outcome for event in rivals}) == 1
    return "duplicate" if same else "conflicting_outcomes"


def numbered_attempts(tries: Sequence[Try]) -> tuple[Attempt, ...]:
    """Return the attempts, numbered from 1."""
    return tuple(
        Attempt(
            number,
            one.start.micros if one.start else None,
            one.end.micros if one.end else None,
            _error_of(one.end) if one.end and is_failure(one.end) else None,
        )
        for number, one in enumerate(tries, start=1)
    )


def is_failure(end: TraceEvent) -> bool:
    """Return whether an attempt ended without success."""
    return mark_of(end.event_type, end.status).outcome != "success"


def _error_of(end: TraceEvent) -> str | None:
    """Return an attempt's error; of a lost worker's attempt only the reason is recorded."""
    data = data_of(end)
    return text_of(data.error) or text_of(data.reason)
