"""Events into spans, in any order and however often repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, encode_event, parse_timestamp
from sagatrace_tui.model.event_data import data_of, execution_of, links_of_all
from sagatrace_tui.model.interruption import interrupt_open_spans
from sagatrace_tui.model.runs import split_runs
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.span_state import NEW, State, state_after

__all__ = ["Fold", "fold_events", "fold_span"]

_UNREADABLE: Final = "its data is not a JSON object"
_TIMESTAMP_OF: Final = attrgetter("timestamp")
_FIXED: Final = b"0000-00-00T00:00:00.000000Z"
_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Fold:
    """The spans of one trace by id, in the order of their first events.

    `notable` are the spans that did more than succeed in the normal course: most need no closer look. `runs` holds, per
    job id that ran more than once, the span ids of its runs. `unplaced` are spans that came before their parent.
    `faults` are (event id, fault) pairs of events that could not be used, or not in full.
    `clashes` are ids that different documents share. `when` returns an event's time as text that sorts.
    """

    events: list[TraceEvent] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    notable: list[Span] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=dict)
    unplaced: list[str] = field(default_factory=list)
    faults: set[tuple[str, str]] = field(default_factory=set)
    clashes: set[str] = field(default_factory=set)
    when: Callable[[TraceEvent], str] = _TIMESTAMP_OF

    def run_at(self, span_id: str, moment: int) -> str:
        """Return the run of a job id that was under way at that moment, or the last one before it."""
        runs = self.runs.get(span_id)
        if runs is None:
            return span_id
        return next((run for run in reversed(runs) if self.spans[run].first_at <= moment), runs[0])


def fold_events(events: Iterable[TraceEvent]) -> Fold:
    """Fold the events of one trace into spans."""
    fold = Fold()
    ordered, stamps = _with_time(list(events), fold)
    _put_in_order(ordered, stamps, fold)
    if not _are_distinct(ordered):
        ordered = _merged(ordered, fold)
        _put_in_order(ordered, [event.timestamp for event in ordered], fold)
    fold.events = ordered
    _fold_states(ordered, fold)
    _link(ordered, fold)
    fold.notable = [span for span in fold.spans.values() if not span.state.plain or span.is_linked]
    if any(span.state.irregular for span in fold.notable):
        _separate_runs(fold)
    interrupt_open_spans(fold.notable, fold.spans, ordered)
    return fold


def fold_span(events: Iterable[TraceEvent], span_id: str | None = None) -> Span:
    """Return the span of these events, which must be at least one, each once, in order of (time, id)."""
    ordered: Sequence[TraceEvent] = list(events)
    span = Span(span_id or ordered[0].span_id, list(ordered), NEW)
    for event in ordered:
        span.state = state_after(span.state, event.event_type, event.status)
        span.parent_id = span.parent_id or event.parent_span_id or None
        data = data_of(event)
        if data.original_span_id is not None or data.compensation is not None:
            span.link(data.original_span_id, data.compensation)
    return span


def _with_time(events: list[TraceEvent], fold: Fold) -> tuple[list[TraceEvent], list[str]]:
    """Return the events that carry a time, and their times. Find out whether all times are fixed-width."""
    stamps = [event.timestamp for event in events]
    try:
        deque(map(datetime.fromisoformat, stamps), maxlen=0)
    except ValueError:
        events = [event for event in events if _has_time(event, fold)]
        stamps = [event.timestamp for event in events]
    if not _are_fixed(stamps):
        fold.when = _when
    return events, stamps


def _has_time(event: TraceEvent, fold: Fold) -> bool:
    try:
        parse_timestamp(event.timestamp)
    except EventError as error:
        fold.faults.add((event.id, str(error)))
        return False
    return True


def _put_in_order(events: list[TraceEvent], stamps: list[str], fold: Fold) -> None:
    """Sort by (time, id)."""
    if fold.when is not _TIMESTAMP_OF:
        events.sort(key=lambda event: (_when(event), event.id))
    elif not _rise(stamps):  # most traces come in order, and cost one comparison per event
        events.sort(key=attrgetter("timestamp", "id"))


def _merged(ordered: list[TraceEvent], fold: Fold) -> list[TraceEvent]:
    """Return each id once. A document that was observed wins over a presumed one, whichever came first."""
    merged: dict[str, TraceEvent] = {}
    for event in ordered:
        known = merged.setdefault(event.id, event)
        if known == event:
            continue
        if not (_presumed(known) or _presumed(event)):
            fold.clashes.add(event.id)
        if (_presumed(event), encode_event(event)) < (_presumed(known), encode_event(known)):
            merged[event.id] = event
    return list(merged.values())


def _fold_states(ordered: Sequence[TraceEvent], fold: Fold) -> None:
    spans, unplaced = fold.spans, fold.unplaced
    find = spans.get
    steps: dict[State, dict[str, dict[str | None, State]]] = {}
    first = steps[NEW] = {}
    for event in ordered:
        span = find(event.span_id)
        if span is None:
            try:
                state = first[event.event_type][event.status]
            except KeyError:
                state = _step_of(steps, NEW, event)
            parent = event.parent_span_id or None
            if parent is not None and parent not in spans:
                unplaced.append(event.span_id)
            spans[event.span_id] = Span(event.span_id, [event], state, parent)
            continue
        try:
            span.state = steps[span.state][event.event_type][event.status]
        except KeyError:
            span.state = _step_of(steps, span.state, event)
        span.events.append(event)
        if span.parent_id is None and event.parent_span_id:
            span.parent_id = event.parent_span_id
            unplaced.append(event.span_id)


def _step_of(steps: dict[State, dict[str, dict[str | None, State]]], state: State, event: TraceEvent) -> State:
    """Return the state after one more event, and enter it where the next such event finds it."""
    after = state_after(state, event.event_type, event.status)
    steps.setdefault(state, {}).setdefault(event.event_type, {})[event.status] = after
    return after


def _link(ordered: Sequence[TraceEvent], fold: Fold) -> None:
    linked, unreadable = links_of_all(ordered)
    fold.faults.update((event_id, _UNREADABLE) for event_id in unreadable)
    for event, links in linked:
        fold.spans[event.span_id].link(links.original_span_id, links.compensation)


def _separate_runs(fold: Fold) -> None:
    """Make a span of each run of a job id that ran more than once; what is below goes to the run it began in."""
    executions: dict[str, str] = {}
    for span in [span for span in fold.notable if span.state.irregular]:
        runs = split_runs(span.events)
        if len(runs) > 1:
            _replace_by_runs(span, runs, fold)
            ids = fold.runs[span.span_id]
            executions.update((one, run) for run in ids for one in map(execution_of, fold.spans[run].events) if one)
    if not fold.runs:
        return
    for span in fold.spans.values():
        if span.parent_id in fold.runs:
            known = executions.get(str(data_of(span.events[0]).execution))
            in_parent = known if known in fold.runs[span.parent_id] else None
            span.parent_id = in_parent or fold.run_at(span.parent_id, span.first_at)
        if span.original_span_id in fold.runs:
            span.original_span_id = fold.run_at(span.original_span_id, span.first_at)
    in_order = sorted(fold.spans.values(), key=lambda span: (fold.when(span.events[0]), span.events[0].id))
    fold.spans = {span.span_id: span for span in in_order}
    fold.notable = in_order


def _replace_by_runs(span: Span, runs: list[list[TraceEvent]], fold: Fold) -> None:
    ids = [span.span_id]
    for number, events in enumerate(runs, start=1):
        if number > 1:
            ids.append(_free_id(f"{span.span_id}#{number}", fold))
        run = fold.spans[ids[-1]] = fold_span(events, ids[-1])
        run.run = number
        # Only the first run's events may say where the job belongs and what would undo it.
        run.parent_id = run.parent_id or span.parent_id
        run.compensation = run.compensation or span.compensation
        run.original_span_id = run.original_span_id or span.original_span_id
        fold.unplaced.append(run.span_id)
    fold.runs[span.span_id] = ids


def _free_id(span_id: str, fold: Fold) -> str:
    while span_id in fold.spans:
        span_id += "#"
    return span_id


def _are_distinct(events: list[TraceEvent]) -> bool:
    """Return whether no two have the same id. In order of time, ids mostly are in order as well."""
    ids = [event.id for event in events]
    return _rise(ids) or len(set(ids)) == len(ids)


def _rise(texts: Iterable[str]) -> bool:
    """Return whether each text comes after the one before."""
    last = ""
    for text in texts:
        if text <= last:
            return False
        last = text
    return True


def _are_fixed(stamps: list[str]) -> bool:
    return "".join(stamps).encode("ascii", "replace").translate(_DIGITS) == _FIXED * len(stamps)


def _presumed(event: TraceEvent) -> bool:
    return data_of(event).presumed is True


def _when(event: TraceEvent) -> str:
    """Return an event's time as fixed-width text."""
    text = event.timestamp
    if _are_fixed([text]):
        return text
    micros = parse_timestamp(text)
    try:
        moment = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:  # a time zone's offset carried it out of the years 1 to 9999
        return "0000" if micros < 0 else "~"
    return moment.isoformat(timespec="microseconds")[:26] + "Z"
