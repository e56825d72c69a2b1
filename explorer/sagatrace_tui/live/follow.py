"""What happens, step by step, for who reads line by line: of one trace until it has ended, or of all without end."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sagatrace.errors import StoreError
from sagatrace.events import TraceEvent
from sagatrace.mirror import Heard, Mirror, Subscriber
from sagatrace.stores import EventStore, TellsChanges
from sagatrace_tui.live.following import Following, following, seconds_between_looks
from sagatrace_tui.live.partition import Partition
from sagatrace_tui.live.reading import INTERVAL, Clock, Meter, wall_clock
from sagatrace_tui.model import Trace

__all__ = ["Step", "follow_store", "follow_trace"]

GRACE: Final = 1.0
"""Seconds that a trace which seems to have ended is given to go on after all."""
_PART: Final = 1_000  # events asked for at once
_KEPT: Final = 100_000  # events kept in mind, so that none is told twice


@dataclass(frozen=True, slots=True)
class Step:
    """New events, in order of time; the trace with them, where one is followed; how, and what failed, if it did."""

    events: tuple[TraceEvent, ...]
    trace: Trace | None
    following: Following
    fault: str | None = None


class _Ear:
    """A subscriber that may not be there, and when the store is to be looked at."""

    def __init__(self, mirror: Mirror | None, trace_id: str | None) -> None:
        self._news = threading.Event()
        self._subscriber = Subscriber(mirror, trace_id, self._news.set) if mirror is not None else None
        self._look_at = self._retry_at = 0.0
        self._every = INTERVAL
        self.heard: Heard | None = None
        self.behind = True
        self.is_free = False

    def start(self) -> None:
        if self._subscriber is not None:
            self._subscriber.start()

    def stop(self) -> None:
        if self._subscriber is not None:
            self._subscriber.stop()

    def take(self) -> tuple[TraceEvent, ...]:
        """What was heard; and see whether the store is to be looked at."""
        self._news.clear()
        if self._subscriber is None:
            return ()
        self.heard = self._subscriber.take()
        self.behind |= self.heard.missed
        return self.heard.events

    @property
    def is_due(self) -> bool:
        now = time.monotonic()
        return now >= self._look_at or (self.behind and now >= self._retry_at)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Around a look at the store: one that fails is tried again in a while."""
        began, failed = time.monotonic(), True
        try:
            yield
            self.behind, failed = False, False
        finally:
            took = time.monotonic() - began
            least = max(INTERVAL, 10 * took)
            self._every = seconds_between_looks(self.heard, free=self.is_free, over=False, least=least)
            self._look_at = began + took + self._every
            self._retry_at = self._look_at if failed else 0.0

    def state(self) -> Following:
        return following(self.heard, behind=self.behind, every=self._every)

    def wait(self) -> None:
        """Until something is heard, a look is due or a second has passed."""
        self._news.wait(min(INTERVAL, max(0.01, self._look_at - time.monotonic())))


def follow_trace(store: EventStore, trace_id: str, mirror: Mirror | None, clock: Clock = wall_clock) -> Generator[Step]:
    """Everything the trace has, then what comes, until it has ended; the last step is as the store has it.

    Steps without events come at least every second. Raises StoreError when the very first reading fails.
    """
    known, meter = Partition(store, trace_id), Meter(clock)
    ear = _Ear(mirror, trace_id)
    known.look(meter)
    trace = known.folded(clock())
    yield Step(_in_order(known.events.values()), trace, ear.state())
    ear.start()
    # By its last event, or where the clock that stamped that is ahead of this one, by when that was told.
    over, quiet_at = False, time.monotonic() + GRACE
    if clock() - (trace.last_at or 0) > GRACE * 1e6:
        quiet_at = 0.0
    try:
        while not over:
            fault: str | None = None
            news = known.hear(ear.take())
            ear.behind |= news.doubtful
            added, replaced, rewritten = news.added, news.replaced, False
            ends = trace.status != "running" and not added and time.monotonic() > quiet_at
            if ear.is_due or ends:
                try:
                    with ear.looking():
                        looked = known.look(meter, whole=ends)
                        ear.is_free = known.tells_for_free
                    added, replaced, rewritten = added + looked.added, looked.replaced, looked.rewritten
                    over = ends and not (added or replaced or rewritten)
                except StoreError as error:
                    fault = str(error)
            if rewritten:
                trace = known.folded(clock())
            else:
                trace.add(added, now=clock())
            if added or replaced:
                quiet_at = time.monotonic() + GRACE
            yield Step(_in_order([*added, *replaced]), trace, ear.state(), fault)
            if not over:
                ear.wait()
    finally:
        ear.stop()


def follow_store(store: EventStore, mirror: Mirror | None, clock: Clock = wall_clock) -> Generator[Step]:
    """What comes from now on, of all traces, each event once, without end.

    Steps without events come at least every second. Raises StoreError for a store that does not tell what is new.
    """
    if not isinstance(store, TellsChanges):
        raise StoreError(f"{store.label} does not tell what is new: follow one trace of it by its id")
    ear, once, meter = _Ear(mirror, None), _Once(), Meter(clock)
    place = store.fetch_all_since(None, _PART).cursor
    stamp: str | None = None
    yield Step((), None, ear.state())
    ear.start()
    more = False
    try:
        while True:
            fault = None
            found = once.of(ear.take())
            if ear.is_due:
                try:
                    with ear.looking():
                        before, stamp = stamp, store.stamp()
                        ear.is_free = stamp is not None
                        if more or stamp is None or stamp != before:
                            changes = meter.of(lambda at=place: store.fetch_all_since(at, _PART))  # type: ignore[misc]
                            place, more = changes.cursor, changes.more
                            found += once.of(changes.events)
                    ear.behind |= more
                except StoreError as error:
                    fault, stamp, more = str(error), None, False
            yield Step(_in_order(found), None, ear.state(), fault)
            if not more:  # of a flood each part is told before the next is read
                ear.wait()
    finally:
        ear.stop()


class _Once:
    """Lets each event through once, and again when it says something else; remembers so many."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], int] = OrderedDict()

    def of(self, events: Iterable[TraceEvent]) -> list[TraceEvent]:
        return [event for event in events if self._is_new(event)]

    def _is_new(self, event: TraceEvent) -> bool:
        key, told = (event.trace_id, event.id), hash((event.span_id, event.event_type, event.status, event.micros))
        if self._known.get(key) == told:
            return False
        self._known[key] = told
        self._known.move_to_end(key)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return True


def _in_order(events: Iterable[TraceEvent]) -> tuple[TraceEvent, ...]:
    return tuple(sorted(events, key=lambda event: (event.micros, event.id)))
