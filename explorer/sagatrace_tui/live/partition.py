"""The known events of one trace, from the store and the mirror. Each event once; the store's content wins."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent
from sagatrace.stores import Changes, EventStore, Malformed, TellsChanges
from sagatrace_tui.live.refresh import Meter
from sagatrace_tui.model import Trace, build_trace, reading_anomalies

__all__ = ["CONFIRM_WITHIN", "GivenUpError", "News", "Partition", "ended_by_silence"]


CONFIRM_WITHIN: Final = 5.0
"""Seconds that a published event may be missing in the store. A later reading without the event drops it."""


class GivenUpError(Exception):
    """The screen that asked for this reading has closed."""


class News(msgspec.Struct):
    """`added` events are new. `replaced` events were known with other content.

    `rewritten`: known content changed or was removed. `doubtful`: a published event differs from the known event with
    its id, so the store must be read.
    """

    added: list[TraceEvent] = msgspec.field(default_factory=list)
    replaced: list[TraceEvent] = msgspec.field(default_factory=list)
    rewritten: bool = False
    doubtful: bool = False

    @property
    def is_change(self) -> bool:
        """Whether an earlier trace is out of date."""
        return bool(self.added) or self.rewritten


class Partition:
    """The events of one trace by id, and its malformed documents. One thread at a time may use it.

    A published event is unconfirmed until the store has it, since any client of Redis can publish. It never changes a
    verdict, and never replaces a known event.
    """

    def __init__(self, store: EventStore, trace_id: str) -> None:
        self._store = store
        self._cursor: str | None = None
        self._stamp: str | None = None
        self.trace_id = trace_id
        self._whole: tuple[TraceEvent, ...] = ()  # what was read whole, until it is needed by id
        self._by_id: dict[str, TraceEvent] | None = None
        # When the last trace of all events was built, and that trace. None once it lacks a confirmed event, or holds a
        # dropped one.
        self._built: tuple[float, Trace] | None = None
        self._sure: Trace | None = None  # the trace of the confirmed events, if it was built already
        self.malformed: dict[str, Malformed] = {}
        self.unconfirmed: dict[str, float] = {}
        """The arrival of each unconfirmed event by its id, in seconds of the monotonic clock."""
        self.is_withheld = False
        """Whether the last trace omits the unconfirmed events, because they would change its verdict."""
        self.arrived = 0
        """Documents received so far by the current or last reading."""
        self.given_up = False
        """Any thread may set it. A reading then ends after the current part."""

    @property
    def events(self) -> Collection[TraceEvent]:
        """The known events."""
        return self._whole if self._by_id is None else self._by_id.values()

    @property
    def _known(self) -> dict[str, TraceEvent]:
        """The known events by id. A large trace that has ended is never asked for it."""
        if self._by_id is None:
            self._by_id, self._whole = {event.id: event for event in self._whole}, ()
        return self._by_id

    @property
    def is_read(self) -> bool:
        """Whether the store was read at least once."""
        return self._cursor is not None

    @property
    def tells_for_free(self) -> bool:
        """Whether the store reports at no cost that nothing is new."""
        return self._stamp is not None

    def look(self, meter: Meter, *, whole: bool = False) -> News:
        """Read new events from the store, or all events if `whole`. Count the cost in `meter`.

        Raises:
            StoreError: the store cannot be read.
            GivenUpError: `given_up` was set.
        """
        began, news = time.monotonic(), self._look(meter, whole=whole)
        news.rewritten |= self.drop_unconfirmed(began)
        return news

    @property
    def must_confirm(self) -> bool:
        """Whether the store must be read now to confirm published events."""
        due = time.monotonic() - CONFIRM_WITHIN
        return self.is_withheld or any(at <= due for at in self.unconfirmed.values())

    def drop_unconfirmed(self, began: float) -> bool:
        """Drop published events that a reading which began at `began` (monotonic seconds) should have found.

        Return whether any was dropped.
        """
        late = [event_id for event_id, at in self.unconfirmed.items() if at <= began - CONFIRM_WITHIN]
        for event_id in late:
            del self.unconfirmed[event_id], self._known[event_id]
            self._built = None
        return bool(late)

    def _look(self, meter: Meter, *, whole: bool) -> News:
        store, stamp = self._store, None
        if isinstance(store, TellsChanges):
            stamp = store.stamp()  # before the reading, so that no event written meanwhile is missed
            if not whole and stamp is not None and stamp == self._stamp:
                return News()
        changes = meter.of(lambda: self._fetch(None if whole else self._cursor))
        self._cursor, self._stamp = changes.cursor, stamp
        return self._replace(changes) if changes.whole else self.learn(changes.events, changes.malformed)

    def hear(self, events: Iterable[TraceEvent]) -> News:
        """Add published events."""
        news = News()
        for event in events:
            known = self._known.get(event.id)
            if known is None:
                self._known[event.id] = event
                self.unconfirmed[event.id] = time.monotonic()
                news.added.append(event)
            elif not _is_same(known, event):
                news.doubtful = True
        return news

    def learn(self, events: Iterable[TraceEvent], malformed: Iterable[Malformed] = ()) -> News:
        """Add events and malformed documents from the store. They replace known content."""
        news = News()
        for event in events:
            known = self._known.get(event.id)
            is_confirmed = self._confirm(event.id)
            if known is None:
                news.added.append(event)
            elif _is_same(known, event):
                news.rewritten |= is_confirmed and self.is_withheld
                continue
            else:
                news.replaced.append(event)
                news.rewritten = True
            self._known[event.id] = event
            self._built = self._sure = None
            news.rewritten |= self.malformed.pop(event.id, None) is not None
        for one in malformed:
            self._built = self._sure = None
            news.rewritten |= self.malformed.get(one.document_id) != one
            self.malformed[one.document_id] = one
            self._known.pop(one.document_id, None)
            self.unconfirmed.pop(one.document_id, None)
        return news

    def _confirm(self, event_id: str) -> bool:
        """Note that the store has an event; return whether it was unconfirmed until now."""
        published_at = self.unconfirmed.pop(event_id, None)
        if published_at is None:
            return False
        self._sure = None
        if self._built is not None and published_at >= self._built[0]:
            self._built = None
        return True

    def build_trace(self, now: int) -> Trace:
        """Build the trace at `now`. Omit unconfirmed events if they would change the verdict."""
        found = reading_anomalies((one.document_id, one.fault) for one in self.malformed.values())
        if self._sure is None and self._built is not None:
            built_at, before = self._built
            self._sure = before if all(at >= built_at for at in self.unconfirmed.values()) else None
        trace, self.is_withheld = build_trace(self.trace_id, self.events, now, found), False
        if trace.event_count < len(self._whole):  # perhaps the store repeated an id: keep the event that the trace kept
            kept = (event for span in trace.spans.values() for event in span.events)
            self._by_id = {**self._known, **{event.id: event for event in kept}}
        self._built = time.monotonic(), trace
        if not self.unconfirmed:
            return trace
        if self._sure is None or ended_by_silence(self._sure, now):
            confirmed = [event for event in self.events if event.id not in self.unconfirmed]
            self._sure = build_trace(self.trace_id, confirmed, now, found)
        self.is_withheld = self._sure.verdict != trace.verdict
        return self._sure if self.is_withheld else trace

    def _fetch(self, cursor: str | None) -> Changes:
        self.arrived = 0
        if isinstance(self._store, TellsChanges):
            return self._store.fetch_since(self.trace_id, cursor, self._count)
        found = self._store.fetch_trace(self.trace_id, self._count)
        return Changes(found.events, found.malformed, "", found.cost, whole=True)

    def _count(self, arrived: int) -> None:
        self.arrived = arrived
        if self.given_up:
            raise GivenUpError

    def _replace(self, changes: Changes) -> News:
        before, malformed, was_withheld = self._known, self.malformed, self.is_withheld
        self.unconfirmed, self._built, self._sure = {}, None, None
        self.malformed = {one.document_id: one for one in changes.malformed}
        found = changes.events
        if before:  # an equal event stays the one that a trace built before holds, or memory would hold it twice
            found = tuple(before[one.id] if before.get(one.id) == one else one for one in found)
        self._whole, self._by_id = found, None
        if not before:
            return News(list(self.events), rewritten=was_withheld or self.malformed != malformed)
        added = [event for event in self.events if event.id not in before]
        known = [event for event in self.events if event.id in before]
        replaced = [event for event in known if not _is_same(before[event.id], event)]
        rewritten = was_withheld or bool(replaced) or len(known) < len(before) or self.malformed != malformed
        return News(added, replaced, rewritten)


def ended_by_silence(trace: Trace, now: int) -> bool:
    """Return whether a running trace counts as ended at `now`, because it has been silent for too long."""
    return trace.status == "running" and trace.is_idle(now)


def _is_same(one: TraceEvent, other: TraceEvent) -> bool:
    """Return whether two events have the same content. A store may change the notation of times and numbers."""
    if one == other:
        return True
    try:
        mine, theirs = (
            (event.span_id, event.parent_span_id, event.event_type, event.status, event.tags, event.micros, event.data)
            for event in (one, other)
        )
    except EventError:
        return False
    return mine == theirs
