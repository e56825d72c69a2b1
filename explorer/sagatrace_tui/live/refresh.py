"""The schedule of a feed's readings, their cost, and the events published in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from msgspec.structs import replace

from sagatrace.errors import SagatraceError, StoreNotFoundError
from sagatrace.event import TraceEvent
from sagatrace.mirror import Heard, Mirror, Subscriber
from sagatrace.shown import logger
from sagatrace.stores import FetchedTrace, ReadCost
from sagatrace_tui.live.status import LiveStatus, live_status, seconds_between_looks

__all__ = ["AFRESH", "INTERVAL", "LOOK", "Clock", "Meter", "Refresh", "error_line", "wall_clock"]

log: Final = logger("sagatrace")

INTERVAL: Final = 1.0
"""Seconds between two readings of the store."""
AFRESH: Final = "afresh"
"""Ask to read everything again, changed or not."""
LOOK: Final = "look"
"""Ask to read new events from the store now."""

_T = TypeVar("_T")
Clock = Callable[[], int]


def wall_clock() -> int:
    """Return the microseconds since 1970."""
    return time.time_ns() // 1000


class Meter:
    """Counts the queries of one reading, their duration in microseconds, and their request units.

    `request_units` is None if the store does not charge.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queries = 0
        self.micros = 0
        self.request_units: float | None = None

    def of(self, read: Callable[[], _T]) -> _T:
        """Run one query and return its result."""
        began = self._clock()
        try:
            result = read()
            self._charge(getattr(result, "cost", None))
            return result
        finally:
            self.queries += 1
            self.micros += max(0, self._clock() - began)

    def each(self, found: Iterable[FetchedTrace]) -> Iterator[FetchedTrace]:
        """Yield the traces as they are read."""
        for one in found:
            self.add(one.cost)
            yield one

    def add(self, cost: ReadCost) -> None:
        """Add the cost of queries that ran elsewhere."""
        self.queries += cost.queries
        self.micros += round(cost.milliseconds * 1000)
        self._charge(cost)

    def _charge(self, cost: object) -> None:
        units = cost.request_units if isinstance(cost, ReadCost) else None
        if units is not None:
            self.request_units = (self.request_units or 0.0) + units


class Refresh:
    """Decides when to read the store, and receives published events in between.

    The store is read every `every` seconds, and immediately when events may have been missed. A failed reading is not
    repeated before its time, even if many events are published.
    """

    def __init__(self) -> None:
        self.subscriber: Subscriber | None = None
        self.heard: Heard | None = None
        """The state of the subscription at the last `take`; None without a subscription."""
        self.is_behind = True
        """Whether the store may have unknown events."""
        self.is_free = False
        """Whether the store reports at no cost that nothing is new. The code that reads the store sets it."""
        self.every = INTERVAL
        self._look_at = self._retry_at = 0.0
        self._news_at = time.monotonic()

    def note_news(self, is_news: object = True) -> None:
        """Note new events, so that the next readings follow soon."""
        if is_news:
            self._news_at = time.monotonic()

    def listen(self, mirror: Mirror, trace_id: str | None, wake: Callable[[], object]) -> None:
        """Subscribe to one trace, or to all traces with None. `wake` is called in another thread when events wait."""
        self.deafen()
        self.subscriber = Subscriber(mirror, trace_id, wake)
        self.subscriber.start()

    def deafen(self) -> None:
        """End the subscription."""
        subscriber, self.subscriber = self.subscriber, None
        if subscriber is not None:
            subscriber.stop()

    def take(self) -> tuple[TraceEvent, ...]:
        """Return the events published since the last call."""
        subscriber = self.subscriber
        self.heard = subscriber.take() if subscriber is not None else None
        if self.heard is None:
            return ()
        self.is_behind |= self.heard.missed
        return self.heard.events

    @property
    def may_ask(self) -> bool:
        """Whether the store may be read. False for a while after a failed reading."""
        return time.monotonic() >= self._retry_at

    def is_due(self, *, early: bool = False) -> bool:
        """Return whether to read the store now. `early` allows a reading before its time."""
        return time.monotonic() >= self._look_at or ((early or self.is_behind) and self.may_ask)

    def ask(self) -> None:
        """Read the store at the next reading, even after a failure."""
        self.is_behind, self._retry_at = True, 0.0
        self.note_news()

    def put_off(self) -> None:
        """Stop reading the store for a while, because a query failed outside `reading`."""
        self._retry_at = max(self._retry_at, time.monotonic() + INTERVAL)

    @contextmanager
    def reading(self, *, is_over: bool = False) -> Iterator[None]:
        """Wrap one reading of the store, and set the time of the next. `is_over`: the trace has ended."""
        began, failed = time.monotonic(), True
        try:
            yield
            failed = self.is_behind = False
        finally:
            took = time.monotonic() - began
            least = max(INTERVAL, 10 * took)  # reading takes at most a tenth of the time
            ended = began + took
            quiet = ended - self._news_at
            self.every = seconds_between_looks(self.heard, free=self.is_free, over=is_over, least=least, quiet=quiet)
            self._look_at = ended + self.every
            self._retry_at = self._look_at if failed else 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until the next reading, at most 1."""
        return min(INTERVAL, max(0.01, self._look_at - time.monotonic()))

    def status(self, unconfirmed: int = 0) -> LiveStatus:
        """Return how up to date the feed is. `unconfirmed` is the number of events not yet found in the store."""
        return replace(live_status(self.heard, behind=self.is_behind, every=self.every), unconfirmed=unconfirmed)


def error_line(error: Exception, *, was_read: bool = False) -> str:
    """Return an error as one line for the screen. Also log an unexpected error with its traceback.

    `was_read` is whether the store was read before. A missing store is gone then, and not yet to be created.
    """
    if was_read and isinstance(error, StoreNotFoundError):
        return "the store is gone: it was removed or renamed after it was read"
    if isinstance(error, SagatraceError):
        return str(error)
    log.error("reading the store failed", exc_info=error)
    return f"unexpected {type(error).__name__}: {error}"
