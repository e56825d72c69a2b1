"""Follow the events of one trace until it ends, or of all traces without end, for commands that print lines."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterable
from typing import Final

import msgspec

from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent
from sagatrace.mirror import Mirror
from sagatrace.stores import EventStore, TellsChanges
from sagatrace_tui.live.partition import News, Partition, ended_by_silence
from sagatrace_tui.live.poller import REST
from sagatrace_tui.live.refresh import Clock, Meter, Refresh, wall_clock
from sagatrace_tui.live.status import LiveStatus
from sagatrace_tui.model import Trace

__all__ = ["Step", "follow_store", "follow_trace"]

GRACE: Final = 1.0
"""Seconds to wait for further events of a trace that seems to have ended."""
_BETWEEN: Final = 0.5  # the fewest seconds between two readings
_PART: Final = 1_000  # events read in one part
_KEPT: Final = 100_000  # events remembered, so that each is yielded once


class Step(msgspec.Struct, frozen=True):
    """New events in order of time, the followed trace (if one), the status, and the error of the reading."""

    events: tuple[TraceEvent, ...]
    trace: Trace | None
    status: LiveStatus
    fault: str | None = None


class _Source:
    """Waits for published events, or for the next reading of the store."""

    def __init__(self) -> None:
        self._news = threading.Event()
        self._rests_until = 0.0
        self.refresh = Refresh()

    def start(self, mirror: Mirror | None, trace_id: str | None) -> None:
        if mirror is not None:
            self.refresh.listen(mirror, trace_id, self._news.set)

    def take(self) -> None:
        """Make a reading due if events were published. Only events from the store are yielded."""
        self._news.clear()
        if self.refresh.take():
            self.refresh.is_behind = True
            self._rests_until = time.monotonic() + _BETWEEN

    def rest_after(self, worked: float) -> None:
        """Make the next wait at least `REST` times as long as the work took, in seconds."""
        self._rests_until = max(self._rests_until, time.monotonic() + REST * worked)

    def wait(self) -> None:
        """Wait until an event is published, a reading is due or a second has passed."""
        self._news.wait(self.refresh.seconds_left)
        time.sleep(max(0.0, self._rests_until - time.monotonic()))


class _Followed:
    """One trace of a store: its known events, and the trace built from them."""

    def __init__(self, store: EventStore, trace_id: str, clock: Clock) -> None:
        self._clock = clock
        self._meter = Meter(clock)
        self.known = Partition(store, trace_id)
        self.known.look(self._meter)
        self.trace = self.known.build_trace(clock())

    def look(self, *, whole: bool) -> News:
        return self.known.look(self._meter, whole=whole)

    def build(self, *, changed: bool) -> float:
        """Build the trace again if it changed or has ended by silence. Return the seconds needed."""
        began, now = time.monotonic(), self._clock()
        if not changed and not ended_by_silence(self.trace, now):
            return 0.0
        self.trace = self.known.build_trace(now)
        return time.monotonic() - began


def follow_trace(store: EventStore, trace_id: str, mirror: Mirror | None, clock: Clock = wall_clock) -> Generator[Step]:
    """Yield all events of a trace, then new events, until the trace has ended. The last step is confirmed by the store.

    Steps without events come every second, for a large trace less often.

    Raises:
        StoreError: the first reading failed. A later failure is the `fault` of a step.
    """
    followed, source = _Followed(store, trace_id, clock), _Source()
    refresh, known = source.refresh, followed.known
    yield Step(_in_order(known.events), followed.trace, refresh.status())
    source.start(mirror, trace_id)
    # If the last event is old enough, the trace has ended. Otherwise wait, also for a host whose clock is ahead.
    over, quiet_at = False, time.monotonic() + GRACE
    if clock() - (followed.trace.last_at or 0) > GRACE * 1e6:
        quiet_at = 0.0
    try:
        while not over:
            fault: str | None = None
            source.take()
            news = News()
            ends = followed.trace.status != "running" and time.monotonic() > quiet_at
            if refresh.is_due() or ends:
                try:
                    with refresh.reading():
                        news = followed.look(whole=ends)
                        refresh.note_news(news.is_change)
                        refresh.is_free = known.tells_for_free
                    over = ends and not news.is_change
                except StoreError as error:
                    fault = str(error)
            source.rest_after(followed.build(changed=news.is_change))
            events = [*news.added, *news.replaced]
            if events:
                quiet_at = time.monotonic() + GRACE
            yield Step(_in_order(events), followed.trace, refresh.status(), fault)
            if not over:
                source.wait()
    finally:
        refresh.deafen()


def follow_store(store: EventStore, mirror: Mirror | None, clock: Clock = wall_clock) -> Generator[Step]:
    """Yield new events of all traces, each once, without end.

    Steps without events come at least every second.

    Raises:
        StoreError: the store cannot list new events, or the first reading failed.
    """
    if not isinstance(store, TellsChanges):
        raise StoreError(f"{store.label} cannot list new events of all traces: give the id of one trace")
    source, once, meter = _Source(), _Once(), Meter(clock)
    refresh = source.refresh
    place = store.fetch_all_since(None, _PART).cursor
    stamp: str | None = None
    yield Step((), None, refresh.status())
    source.start(mirror, None)
    more = False
    try:
        while True:
            fault = None
            source.take()
            found: list[TraceEvent] = []
            if refresh.is_due():
                try:
                    with refresh.reading():
                        before, stamp = stamp, store.stamp()
                        refresh.is_free = stamp is not None
                        if more or stamp is None or stamp != before:
                            changes = meter.of(lambda at=place: store.fetch_all_since(at, _PART))  # type: ignore[misc]
                            place, more = changes.cursor, changes.more
                            found = once.of(changes.events)
                            refresh.note_news(changes.events)
                    refresh.is_behind |= more
                except StoreError as error:
                    fault, stamp, more = str(error), None, False
            yield Step(_in_order(found), None, refresh.status(), fault)
            if not more:  # in a flood, yield each part before reading the next
                source.wait()
    finally:
        refresh.deafen()


class _Once:
    """Lets each event through once, and again if its content changed. Remembers a bounded number of events."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], int] = OrderedDict()

    def of(self, events: Iterable[TraceEvent]) -> list[TraceEvent]:
        return [event for event in events if self._is_new(event)]

    def _is_new(self, event: TraceEvent) -> bool:
        key = (event.trace_id, event.id)
        content = hash((event.span_id, event.event_type, event.status, event.micros))
        if self._known.get(key) == content:
            return False
        self._known[key] = content
        self._known.move_to_end(key)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return True


def _in_order(events: Iterable[TraceEvent]) -> tuple[TraceEvent, ...]:
    return tuple(sorted(events, key=lambda event: (event.micros, event.id)))
