"""Make spans of events. The events may come in any order, and more than once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

import msgspec
from msgspec import UNSET

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent, encode_event
from sagatrace_tui.model.event_data import UNTIED, data_of, decode_links, execution_of
from sagatrace_tui.model.runs import split_runs
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.span_state import NEW, mark_of, state_of
from sagatrace_tui.model.text import iso

__all__ = ["Fold", "fold_events", "fold_span"]

_FIXED: Final = b"0000-00-00T00:00:00.000000Z\n"
_PART: Final = 10_000  # times compared in one call, which blocks other threads
_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)


class Fold(msgspec.Struct):
    """The spans of one trace by id, in the order of their first events. All timestamps sort as text.

    Attributes:
        notable: The spans that did more than succeed in the normal course, each once, in no fixed order. Other spans
            need no further checks.
        runs: The span ids of the runs, per job id that ran more than once.
        unplaced: The spans that came before their parent.
        faults: (event id, fault) pairs of events that could not be used, or only in part.
        clashes: Ids that different documents share.
        sampled_from: The time of the first event of a trace that was recorded only from its first failure, else None.
    """

    events: list[TraceEvent] = []
    spans: dict[str, Span] = {}
    notable: list[Span] = []
    runs: dict[str, list[str]] = {}
    unplaced: list[str] = []
    faults: set[tuple[str, str]] = set()
    clashes: set[str] = set()
    sampled_from: int | None = None

    def run_at(self, span_id: str, moment: int) -> str:
        """Return the run of a job id at that moment, or the last run before it."""
        runs = self.runs[span_id]  # in the order of their first events
        return runs[max(0, bisect_right(runs, moment, key=lambda run: self.spans[run].first_at) - 1)]


def fold_events(events: Iterable[TraceEvent]) -> Fold:
    """Fold the events of one trace into spans."""
    fold = Fold()
    ordered = list(events)
    if not _sort(ordered):  # write every time in the fixed format
        ordered = [fixed for event in ordered if (fixed := _with_fixed_time(event, fold)) is not None]
        _sort(ordered)
    if len({event.id for event in ordered}) < len(ordered):
        ordered = sorted(_merged(ordered, fold), key=_sort_key)
    fold.events = ordered
    _make_spans(ordered, fold)
    if irregular := [span for span in fold.notable if span.state.irregular]:
        _separate_runs(irregular, fold)
    return fold


def fold_span(events: Iterable[TraceEvent], span_id: str | None = None) -> Span:
    """Return the span of these events. There must be at least one. Each must be there once, in order of (time, id)."""
    fold = Fold()
    _make_spans(list(events), fold)
    (span,) = fold.spans.values()
    span.span_id = span_id or span.span_id
    return span


def _sort(events: list[TraceEvent]) -> bool:
    """Sort by (time, id).

    Return False if not all times are in fixed-width UTC, as this package writes them. Then the order is undefined.
    """
    stamps = [event.timestamp for event in events]
    parts = (stamps[start : start + _PART] for start in range(0, len(stamps), _PART))
    if not all(map(_are_fixed, parts)):
        return False
    if not _are_in_order(events, stamps):
        events.sort(key=_sort_key)
        stamps = [event.timestamp for event in events]
    return _are_times(stamps)


def _are_fixed(stamps: Sequence[str]) -> bool:
    """Return whether each of these texts has the format of a time. One call for many texts is fastest."""
    lines = "\n".join((*stamps, ""))
    return lines.encode("ascii", "replace").translate(_DIGITS) == _FIXED * len(stamps)


def _sort_key(event: TraceEvent) -> str:
    """Return the sort key (time, id) as one text, because all times have one width. Other threads run meanwhile."""
    return event.timestamp + event.id


def _are_in_order(events: Sequence[TraceEvent], stamps: Sequence[str]) -> bool:
    """Return whether the events are sorted, as most stores return them. This check is faster than a sort."""
    # Places whose time is not before the next one. There the ids decide.
    doubtful = [place for place, (one, other) in enumerate(pairwise(stamps)) if one >= other]
    return all(_sort_key(events[place]) <= _sort_key(events[place + 1]) for place in doubtful)


def _are_times(stamps: Sequence[str]) -> bool:
    """Return whether these texts are times. They must be sorted and have the fixed format.

    A valid date, hour and minute make every second from 00 to 59 valid, so one text of each minute is parsed.
    """
    place = 0
    try:
        while place < len(stamps):
            end = f"{stamps[place][:17]}59.999999Z"
            datetime.fromisoformat(end)
            if stamps[place] > end:
                return False
            place = bisect_right(stamps, end, place)
    except ValueError:
        return False
    return True


def _with_fixed_time(event: TraceEvent, fold: Fold) -> TraceEvent | None:
    """Return the event with its time in that format. Add a fault and return None if it has no time."""
    try:
        if (timestamp := iso(event.micros)) is not None:
            return msgspec.structs.replace(event, timestamp=timestamp)
        fault = f"timestamp {event.timestamp[:64]!r} is not within the years 1 to 9999"
    except EventError as error:
        fault = str(error)
    fold.faults.add((event.id, fault))
    return None


def _merged(ordered: list[TraceEvent], fold: Fold) -> Iterable[TraceEvent]:
    """Return each id once. An observed document replaces a presumed one, whatever their order."""
    merged: dict[str, TraceEvent] = {}
    for event in ordered:
        known = merged.setdefault(event.id, event)
        if known == event:
            continue
        if not (_presumed(known) or _presumed(event)):
            fold.clashes.add(event.id)
        merged[event.id] = min(known, event, key=_doubts)
    return merged.values()


def _doubts(event: TraceEvent) -> tuple[bool, bool, bytes]:
    """Sort documents of one id, the one to keep first: observed before presumed, a bad outcome before a good one."""
    return _presumed(event), mark_of(event.event_type, event.status).outcome == "success", encode_event(event)


def _presumed(event: TraceEvent) -> bool:
    return data_of(event).presumed is True


def _make_spans(ordered: Sequence[TraceEvent], fold: Fold) -> None:
    spans = fold.spans
    for event in ordered:
        span_id, parent = event.span_id, event.parent_span_id or None
        span = spans.get(span_id)
        if span is None:
            if parent is not None and parent not in spans:
                fold.unplaced.append(span_id)
            span = spans[span_id] = Span(span_id, [], NEW, parent)
        elif span.parent_id is None and parent is not None:
            span.parent_id = parent
            # The parent came later, or is the span itself.
            if parent not in spans or _sort_key(spans[parent].events[0]) >= _sort_key(span.events[0]):
                fold.unplaced.append(span_id)
        span.events.append(event)
    for span in spans.values():
        state = span.state = state_of(span.events)
        if not state.plain:
            fold.notable.append(span)
    _link_spans(ordered, fold)  # in its own pass, which is faster for a large trace


def _link_spans(ordered: Sequence[TraceEvent], fold: Fold) -> None:
    """Relate the steps and their compensations, as the data of the events names them."""
    for event in ordered:
        raw = event.raw_data
        try:
            links = UNTIED if raw is UNSET else decode_links(raw)
        except UNREADABLE:
            fold.faults.add((event.id, "its data is not a JSON object"))
            continue
        if links is not None and links != UNTIED:
            span = fold.spans[event.span_id]
            was_notable = not span.state.plain or span.is_tied
            span.link(links.original_span_id, links.compensation)
            if span.is_tied and not was_notable:
                fold.notable.append(span)
            if fold.sampled_from is None and links.sagatrace_sample is not None:
                fold.sampled_from = event.micros


def _separate_runs(irregular: list[Span], fold: Fold) -> None:
    """Make a span of each run of a job id that ran more than once. Move each child below the run it began in."""
    run_in: dict[tuple[str, str], str] = {}  # by job id and RQ execution
    for span in irregular:
        runs = split_runs(span.events)
        if len(runs) > 1:
            _replace_by_runs(span, runs, fold)
            for run in fold.runs[span.span_id]:
                executions = map(execution_of, fold.spans[run].events)
                run_in.update(((span.span_id, execution), run) for execution in executions if execution)
    if not fold.runs:
        return
    for span in fold.spans.values():
        if span.parent_id in fold.runs:
            known = run_in.get((span.parent_id, str(data_of(span.events[0]).execution)))
            span.parent_id = known or fold.run_at(span.parent_id, span.first_at)
        if span.original_span_id in fold.runs:
            if fold.spans[span.original_span_id].compensation is None:  # the first run: then no run declares one
                for step in map(fold.spans.__getitem__, fold.runs[span.original_span_id]):
                    step.compensation = span.name  # each run can be undone
            span.original_span_id = fold.run_at(span.original_span_id, span.first_at)
    fold.notable = sorted(fold.spans.values(), key=lambda span: _sort_key(span.events[0]))
    fold.spans = {span.span_id: span for span in fold.notable}


def _replace_by_runs(span: Span, runs: list[list[TraceEvent]], fold: Fold) -> None:
    fold.runs[span.span_id] = []
    for number, events in enumerate(runs, start=1):
        run_id = f"{span.span_id}#{number}" if number > 1 else span.span_id
        while number > 1 and run_id in fold.spans:
            run_id += "#"
        run = fold.spans[run_id] = fold_span(events, run_id)
        run.run = number
        # Only the first run's events may hold the place of the job and its compensation.
        run.parent_id = run.parent_id or span.parent_id
        run.compensation = run.compensation or span.compensation
        run.original_span_id = run.original_span_id or span.original_span_id
        fold.runs[span.span_id].append(run_id)
        fold.unplaced.append(run_id)
