"""Events into spans, all at once or one at a time, in any order and however often repeated."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import compress
from operator import attrgetter, eq
from typing import Final

from sagatrace.errors import EventError
from sagatrace.events import TraceEvent, encode_event, parse_timestamp
from sagatrace_tui.model.event_data import facts_of, is_readable, links_of_all
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.span_state import NEW, SpanStatus, State, state_after

__all__ = ["Change", "Fold", "RewrittenError", "order_of"]

_UNREADABLE: Final = "its data is not a JSON object"
_ID_OF: Final = attrgetter("id")
_TIMESTAMP_OF: Final = attrgetter("timestamp")
_FIXED: Final = b"0000-00-00T00:00:00.000000Z"
_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)


@dataclass(frozen=True, slots=True)
class Change:
    """What one event did to its span; `was` is its status before, None if it is new."""

    span: Span
    was: SpanStatus | None
    moved: bool = False  # its parent is another
    parent_was: str | None = None
    declared: bool = False  # it now says what would undo it
    undoes: bool = False  # an undo now says what it undoes
    relinked: bool = False  # it has become an undo, or another step's
    earlier: bool = False  # it now begins before what was its first event


class RewrittenError(Exception):
    """Another document came under the id of an event that is folded already; carries that event's span id."""


class Fold:
    """The spans of one trace, by id, in the order of their first events as far as they came in order.

    `clashes` holds the ids under which different documents came; `faults` the ids of events that could not be folded
    or read in full, each with what is wrong. `when` gives the time of one of these events as text that sorts.
    """

    def __init__(self) -> None:
        self._loaded: list[TraceEvent] = []
        self._events: dict[str, TraceEvent] | None = None
        self.spans: dict[str, Span] = {}
        self.clashes: set[str] = set()
        self.faults: set[tuple[str, str]] = set()
        self.first_at: int | None = None
        self.last_at: int | None = None
        self.when: Callable[[TraceEvent], str] = _TIMESTAMP_OF
        self.unplaced: list[str] = []  # spans whose parent had not been seen when they were first folded
        self._moments: list[int] | None = None  # of all events, in order, once somebody asked

    @property
    def events(self) -> dict[str, TraceEvent]:
        """What was folded, by id; put together when first asked for: a trace that nothing is added to needs it not."""
        if self._events is None:
            self._events = dict(zip(map(_ID_OF, self._loaded), self._loaded, strict=True))
            self._loaded = []
        return self._events

    def __len__(self) -> int:
        return len(self._loaded if self._events is None else self._events)

    def load(self, events: Iterable[TraceEvent]) -> None:
        """Fold these events from nothing."""
        ordered, stamps = self._sound(list(events))
        self._put_in_order(ordered, stamps)
        if not _are_distinct(ordered):
            merged: dict[str, TraceEvent] = {}
            for event in ordered:
                self._merge(event, merged)
            ordered = list(merged.values())
            self._put_in_order(ordered, [event.timestamp for event in ordered])
        self._loaded = ordered
        if ordered:
            self.first_at, self.last_at = ordered[0].micros, ordered[-1].micros
        self._fold(ordered)
        self._link(ordered)

    def inherit(self, before: Fold) -> None:
        """Take over what an earlier fold of these events found wrong and this one was not given."""
        self.clashes |= before.clashes
        self.faults.update(one for one in before.faults if one[1] != _UNREADABLE)

    def add(self, event: TraceEvent) -> Change | None:
        """Fold one more event. None when nothing changed; raises RewrittenError when all must be folded anew."""
        known = self.events.get(event.id)
        if known == event or not self._is_sound(event):
            return None
        if known is not None:
            self._merge(event, self.events)
            raise RewrittenError(known.span_id)
        self.events[event.id] = event
        if not is_readable(event):
            self.faults.add((event.id, _UNREADABLE))
        self._note_times([event.timestamp])
        at = event.micros
        self.first_at = at if self.first_at is None else min(at, self.first_at)
        self.last_at = at if self.last_at is None else max(at, self.last_at)
        if self._moments is not None:
            insort(self._moments, at)
        span = self.spans.get(event.span_id)
        if span is None:
            span = self.spans[event.span_id] = Span(event.span_id, [], NEW)
            span.append(event, state_after(NEW, event.event_type, event.status))
            return Change(span, None)
        was, parent_was = span.status, span.parent_id
        compensation, undid, was_undo = span.compensation, span.original_span_id, span.state.is_compensation
        earlier = order_of(event) < order_of(span.events[0])
        if order_of(event) > order_of(span.events[-1]):
            span.append(event, state_after(span.state, event.event_type, event.status))
        else:
            self._refold(span, event)
        told_late = undid is None and was_undo and span.state.is_compensation
        relinked = span.original_span_id != undid or span.state.is_compensation != was_undo
        return Change(
            span,
            was,
            moved=span.parent_id != parent_was,
            parent_was=parent_was,
            declared=compensation is None and span.compensation is not None,
            undoes=relinked and told_late,
            relinked=relinked and not told_late,
            earlier=earlier,
        )

    def last_by(self, moment: int) -> int | None:
        """When the latest event that is not dated after the moment happened; None where all are."""
        if self.last_at is None or self.last_at <= moment:
            return self.last_at
        if self._moments is None:  # hosts whose clocks are that wrong are few
            self._moments = sorted(event.micros for span in self.spans.values() for event in span.events)
        place = bisect_right(self._moments, moment)
        return self._moments[place - 1] if place else None

    def in_turn(self, ids: set[str]) -> Iterable[str]:
        """The ids, those of spans in the order these began if that is most of them: near in time is near in memory."""
        if len(ids) < len(self.spans) // 4:
            return ids
        return [*filter(ids.__contains__, self.spans), *(ids - self.spans.keys())]

    def _merge(self, event: TraceEvent, events: dict[str, TraceEvent]) -> None:
        """Keep one of the documents under an id: what was seen over what was presumed, whichever came first."""
        known = events.setdefault(event.id, event)
        if known == event:
            return
        if not (_presumed(known) or _presumed(event)):
            self.clashes.add(event.id)
        if (_presumed(event), encode_event(event)) < (_presumed(known), encode_event(known)):
            events[event.id] = event

    @property
    def _is_fixed(self) -> bool:
        return self.when is _TIMESTAMP_OF

    def _note_times(self, stamps: list[str]) -> None:
        if self._is_fixed and not _are_fixed(stamps):
            self.when = _when

    def _sound(self, events: list[TraceEvent]) -> tuple[list[TraceEvent], list[str]]:
        """The events that carry a time, with their times; finds out whether all times are fixed-width."""
        stamps = [event.timestamp for event in events]
        try:
            deque(map(datetime.fromisoformat, stamps), maxlen=0)
        except ValueError:
            events = [event for event in events if self._is_sound(event)]
            stamps = [event.timestamp for event in events]
        self._note_times(stamps)
        return events, stamps

    def _put_in_order(self, events: list[TraceEvent], stamps: list[str]) -> None:
        """Sort by (time, id)."""
        if not self._is_fixed:
            events.sort(key=order_of)
        elif not _rise(stamps):  # most come in order, and cost one comparison each
            _sort_by_text(events)

    def _is_sound(self, event: TraceEvent) -> bool:
        try:
            parse_timestamp(event.timestamp)
        except EventError as error:
            self.faults.add((event.id, str(error)))
            return False
        return True

    def _fold(self, ordered: Sequence[TraceEvent]) -> None:
        spans, unplaced = self.spans, self.unplaced
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

    def _link(self, ordered: Sequence[TraceEvent]) -> None:
        linked, unreadable = links_of_all(ordered)
        self.faults.update((event_id, _UNREADABLE) for event_id in unreadable)
        for event, links in linked:
            self.spans[event.span_id].link(links.original_span_id, links.compensation)

    def _refold(self, span: Span, event: TraceEvent) -> None:
        ordered = span.events
        insort(ordered, event, key=order_of)
        span.events, span.state = [], NEW
        span.parent_id = span.original_span_id = span.compensation = None
        for one in ordered:
            span.append(one, state_after(span.state, one.event_type, one.status))


def _step_of(steps: dict[State, dict[str, dict[str | None, State]]], state: State, event: TraceEvent) -> State:
    """The state after one more event, entered where the next such event finds it."""
    after = state_after(state, event.event_type, event.status)
    steps.setdefault(state, {}).setdefault(event.event_type, {})[event.status] = after
    return after


def _are_distinct(events: list[TraceEvent]) -> bool:
    """Whether no two have the same id; by their times, ids mostly are in order as well: one comparison each."""
    ids = [event.id for event in events]
    return _rise(ids) or len(set(ids)) == len(ids)


def _rise(texts: Iterable[str]) -> bool:
    """Whether each comes after the one before."""
    last = ""
    for text in texts:
        if text <= last:
            return False
        last = text
    return True


def _are_fixed(stamps: list[str]) -> bool:
    return "".join(stamps).encode("ascii", "replace").translate(_DIGITS) == _FIXED * len(stamps)


def _sort_by_text(events: list[TraceEvent]) -> None:
    """Sort by (time, id), for events whose times sort as text."""
    events.sort(key=_TIMESTAMP_OF)
    stamps = list(map(_TIMESTAMP_OF, events))
    ties = list(compress(range(len(events)), map(eq, stamps, stamps[1:])))
    if len(ties) > len(events) // 8:
        events.sort(key=attrgetter("timestamp", "id"))
        return
    stop = 0
    for place in ties:
        if place >= stop:
            stop = place + 2
            while stop < len(events) and stamps[stop] == stamps[place]:
                stop += 1
            events[place:stop] = sorted(events[place:stop], key=_ID_OF)


def _presumed(event: TraceEvent) -> bool:
    return facts_of(event).presumed is True


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def order_of(event: TraceEvent) -> tuple[str, str]:
    """What events are sorted by: their time as fixed-width text, then their id."""
    return _when(event), event.id


def _when(event: TraceEvent) -> str:
    text = event.timestamp
    return text if _are_fixed([text]) else _canonical(parse_timestamp(text))


def _canonical(micros: int) -> str:
    try:
        moment = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:  # an offset carried it out of the years 1 to 9999
        return "0000" if micros < 0 else "~"
    return moment.isoformat(timespec="microseconds")[:26] + "Z"
