"""Read the events of one run of a span as attempts, each with a start and an end. Any sequence can be read.

Clocks of different hosts disagree, and events get lost. So attempt numbers decide if workers recorded them. Otherwise
the counts of starts and ends decide. The order of events decides only if neither helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

import msgspec

from sagatrace.event import TraceEvent
from sagatrace_tui.model.event_data import EventData, data_of, text_of
from sagatrace_tui.model.span_state import Mark, SpanStatus, mark_of

__all__ = ["Attempt", "Entry", "Reading", "entries_of", "read_attempts"]

Fault = Literal["conflicting_outcomes", "duplicate"]


class Attempt(msgspec.Struct, frozen=True):
    """One attempt of a span. Times are microseconds since 1970, or None if no event holds the time.

    `number` is the recorded number if there is one. `since` is its start, or else the end of the attempt before.
    """

    number: int
    since: int | None
    started_at: int | None
    ended_at: int | None
    error: str | None
    failed: bool
    error_type: str | None = None
    is_presumed: bool = False  # its end was inferred


class Entry(msgspec.Struct):
    """One event and its role in the span. `own_undo` is True if the event is of a compensation with the span's id."""

    place: int
    event: TraceEvent
    mark: Mark
    data: EventData
    own_undo: bool

    @property
    def is_closing(self) -> bool:
        """Whether the event ends the span, not only an attempt."""
        return self.mark.kind == "end"

    @property
    def number(self) -> int | None:
        """The attempt's number, or None if the worker recorded none."""
        number = self.data.attempt
        return number if isinstance(number, int) and not isinstance(number, bool) else None

    @property
    def is_presumed(self) -> bool:
        """Whether the event was inferred, like the end of a lost worker's attempt."""
        return self.data.presumed is True


class Reading(msgspec.Struct):
    """The result of reading all events of a span. The event `closing` decides the status."""

    status: SpanStatus
    attempts: tuple[Attempt, ...]
    closing: TraceEvent | None
    waits: list[Entry]
    fault: Fault | None
    unwound: tuple[TraceEvent | None, TraceEvent | None]  # the start and the end of its own compensation
    data: list[EventData]  # of each event except the end of its own compensation


# One attempt as (start, end); None for a missing one.
_Try = tuple[Entry | None, Entry | None]


def entries_of(events: Sequence[TraceEvent]) -> list[Entry]:
    """Return the entries of a span's events, which must be in order of (time, id)."""
    marks = [mark_of(event.event_type, event.status) for event in events]
    first = next((mark for mark in marks if mark.kind != "other"), None)
    is_undo = first is not None and (first.undo or first.group)
    return [
        Entry(place, event, mark, data_of(event), mark.undo and not is_undo)
        for place, (event, mark) in enumerate(zip(events, marks, strict=True))
    ]


def read_attempts(events: Sequence[TraceEvent]) -> Reading:
    """Read the events of one run of a span, which must be in order of (time, id)."""
    entries = entries_of(events)
    starts, waits = (_of_kind(entries, kind) for kind in ("start", "wait"))
    ends = _without_overruled(_of_kind(entries, "end", "retry"))
    numbered = _numbered(starts, ends)
    tries = dict(enumerate(_counted(starts, ends), start=1)) if numbered is None else numbered
    closing, status = _last_word(starts, ends, waits, tries[max(numbered)] if numbered else None)
    undo = [one for one in entries if one.own_undo]
    begun = next((one.event for one in undo if not one.is_closing), None)
    over = next((one.event for one in reversed(undo) if one.is_closing), None)
    if over is not None and closing is None:
        closing, status = over, "failed"
    if not (starts or ends or waits):
        outcomes: list[SpanStatus] = [one.mark.outcome for one in entries if one.mark.outcome is not None]
        status = outcomes[-1] if outcomes else "point"
    data = [one.data for one in entries if not (one.own_undo and one.is_closing)]
    fault = _fault(starts, [one for one in ends if one.is_closing], is_numbered=numbered is not None)
    before = [None, *(end for _, end in tries.values())]
    attempts = [_attempt(number, *one, last) for (number, one), last in zip(tries.items(), before, strict=False)]
    return Reading(status, tuple(attempts), closing, waits, fault, (begun, over), data)


def _of_kind(entries: list[Entry], *kinds: str) -> list[Entry]:
    return [one for one in entries if one.mark.kind in kinds and not one.own_undo]


def _without_overruled(ends: list[Entry]) -> list[Entry]:
    """Return the ends. Leave out a presumed end if the real end of the attempt was recorded."""
    seen = {one.number for one in ends if not one.is_presumed and (one.is_closing or one.number is not None)}
    if any(one.is_closing and not one.is_presumed for one in ends):
        seen.add(None)
    return [one for one in ends if not one.is_presumed or one.number not in seen]


def _numbered(starts: list[Entry], ends: list[Entry]) -> dict[int, _Try] | None:
    """Return the attempts in order of the numbers in their events; None if a number is missing or repeated."""
    begun = {one.number: one for one in starts}
    over = {one.number: one for one in ends}
    numbers = {number for number in (*begun, *over) if number is not None}
    if not numbers or None in (*begun, *over) or len(begun) < len(starts):
        return None
    return {number: (begun.get(number), over.get(number)) for number in sorted(numbers)}


def _counted(starts: list[Entry], ends: list[Entry]) -> list[_Try]:
    """Pair the n-th start with the n-th end. If an earlier end is missing, pair from the last one back."""
    missing = len(starts) - len(ends)
    lost = unbegun = 0
    if missing > 0 and ends and ends[-1].place > starts[-1].place:
        lost = missing
    # There are more ends than starts, and these ends precede the first start. So their starts were lost.
    while unbegun < -missing and (not starts or ends[unbegun].place < starts[0].place):
        unbegun += 1
    return list(zip_longest([*[None] * unbegun, *starts], [*[None] * lost, *ends[: unbegun + len(starts)]]))


def _last_word(
    starts: list[Entry], ends: list[Entry], waits: list[Entry], last: _Try | None
) -> tuple[TraceEvent | None, SpanStatus]:
    """Return the deciding event and the status. `last` is the attempt with the highest number, if any has one."""
    is_last = all(one.place < waits[-1].place for one in starts[-1:] + ends[-1:]) if waits else False
    if is_last and len(waits) > max(len(starts), len(ends)):
        return None, "queued"
    if last is not None:
        start, over = last
        deciding, is_started = [over] if over is not None else [], start is not None
    else:
        deciding, is_started = [one for one in ends if not starts or one.place > starts[-1].place], bool(starts)
        if not deciding and len(ends) >= len(starts):
            # Every start has an end, so the clock that stamped the last end is behind the clock of its start.
            deciding = [one for one in ends if one.is_closing]
    for end in reversed(deciding):
        if end.is_closing:
            return end.event, end.mark.outcome or "success"
    return None, "running" if is_started and not deciding else "queued"


def _fault(starts: list[Entry], closings: list[Entry], *, is_numbered: bool) -> Fault | None:
    """Return the fault of an attempt with two ends: `duplicate` if they agree. Return None without one."""
    rivals = closings
    if is_numbered:
        by_number: dict[int | None, list[Entry]] = {}
        for one in closings:
            by_number.setdefault(one.number, []).append(one)
        rivals = next((ends for ends in by_number.values() if len(ends) > 1), [])
    elif starts:
        rivals = closings if len(closings) > len(starts) else []
    elif all(one.mark.outcome == "failed" for one in closings[:-1]):
        rivals = []  # without starts, each failed attempt may have been retried
    if len(rivals) < 2:
        return None
    return "duplicate" if len({one.mark.outcome for one in rivals}) == 1 else "conflicting_outcomes"


def _attempt(number: int, start: Entry | None, end: Entry | None, before: Entry | None) -> Attempt:
    """Return an attempt. Without a recorded error, as for a lost worker, its error is the recorded reason.

    `before` is the end of the attempt before.
    """
    started_at, ended_at, last = (None if entry is None else entry.event.micros for entry in (start, end, before))
    since = last if started_at is None else started_at
    if end is None or end.mark.outcome == "success":
        return Attempt(number, since, started_at, ended_at, None, failed=False)
    error = text_of(end.data.error) or text_of(end.data.reason)
    error_type, presumed = text_of(end.data.error_type), end.is_presumed
    return Attempt(number, since, started_at, ended_at, error, failed=True, error_type=error_type, is_presumed=presumed)
