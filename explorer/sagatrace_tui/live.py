"""What is on screen kept true to the store: feeds that read and fold, and the thread that makes them.

A feed knows a store and no screen; what it yields is immutable, so that a screen may show it in its own time.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sagatrace.errors import SagatraceError
from sagatrace.events import TraceEvent
from sagatrace.stores import EventStore, FetchedTrace, Search, TraceHit, data_condition
from sagatrace_tui.model import Trace, build_trace, reading_anomalies
from sagatrace_tui.model.outline import Outline
from sagatrace_tui.model.query import Query
from sagatrace_tui.model.summary import TraceSummary, summarize
from sagatrace_tui.model.trace import IDLE

__all__ = [
    "AFRESH",
    "INTERVAL",
    "OLDER",
    "ListFeed",
    "Listing",
    "OpenTrace",
    "Poller",
    "TraceFeed",
    "as_search",
    "wall_clock",
]

log: Final = logging.getLogger("sagatrace")

INTERVAL: Final = 1.0
"""Seconds between two readings of the store."""
PAGE: Final = 50
MANY: Final = 20_000
"""Events of a trace from which on the cyclic collector is told to look at them no more."""
AFRESH: Final = "afresh"
"""The wish to read everything again, changed or not."""
OLDER: Final = "older"
"""The wish for one more page of older traces."""

_T = TypeVar("_T")
Clock = Callable[[], int]


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Listing:
    """The newest traces as of `now`, newest activity first; `micros` and `queries` are what reading them took."""

    rows: tuple[TraceSummary, ...]
    now: int
    queries: int
    micros: int
    reading: bool
    exhausted: bool
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class OpenTrace:
    """One trace as of `now`; None before the first reading, and without events when the store has none."""

    trace: Trace | None
    outline: Outline | None
    now: int
    queries: int
    micros: int
    fault: str | None = None


class _Meter:
    """Counts what one reading costs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queries = 0
        self.micros = 0

    def of(self, read: Callable[[], _T]) -> _T:
        """Do one round trip."""
        began = self._clock()
        try:
            return read()
        finally:
            self.queries += 1
            self.micros += max(0, self._clock() - began)


def _in_words(error: Exception) -> str:
    """An error as one line for the screen; one we did not raise on purpose is logged with its traceback too."""
    if isinstance(error, SagatraceError):
        return str(error)
    log.error("reading the store failed", exc_info=error)
    return f"unexpected {type(error).__name__}: {error}"


def _folded(found: FetchedTrace, now: int) -> Trace:
    anomalies = reading_anomalies((malformed.document_id, malformed.fault) for malformed in found.malformed)
    return build_trace(found.trace_id, found.events, now=now, anomalies=anomalies)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the cyclic collector out: its passes over what is being made stop every thread for a fifth of a second."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _prepared(trace: Trace) -> Outline:
    """Work out here, in the feed's thread, what a screen would otherwise wait for."""
    _ = trace.summary, trace.failures, trace.failure_path, trace.ledger, trace.never_ran
    return Outline(trace)


class ListFeed:
    """The newest traces of a store, or those that a query finds.

    A reading searches once and fetches only traces that changed or still run.
    """

    def __init__(
        self, store: EventStore, clock: Clock = wall_clock, *, query: Query | None = None, page: int = PAGE
    ) -> None:
        self._store = store
        self._query = query or Query()
        self._clock = clock
        self._page = page
        self._rows: dict[str, TraceSummary] = {}
        self._stale: set[str] = set()
        self._read_at: dict[str, int] = {}
        self._older: TraceHit | None = None
        self._exhausted = False
        self._reading = 0

    def read(self, wishes: frozenset[str] = frozenset()) -> Iterator[Listing]:
        """Read once, yielding the list as it fills; the last one is complete or says what failed."""
        meter = _Meter(self._clock)
        self._reading += 1
        if AFRESH in wishes:
            self._stale.update(self._rows)
        try:
            self._search_newest(meter)
            if OLDER in wishes:
                self._search_older(meter)
            for count, trace_id in enumerate(self._due()):
                if count < self._page or count % self._page == 0:
                    yield self._listing(meter, reading=True)
                self._fetch(trace_id, meter)
        except Exception as error:  # noqa: BLE001 - shown where it happened, and the next reading tries again
            yield self._listing(meter, fault=_in_words(error))
            return
        yield self._listing(meter)

    def _search_newest(self, meter: _Meter) -> None:
        known = max((row.latest for row in self._rows.values()), default=None)
        before: TraceHit | None = None
        while True:
            hits = self._search(before, meter)
            if self._older is None:
                self._older = hits[-1] if hits else None
                self._exhausted = len(hits) < self._page
            # More came since the last reading than one page holds: go on until known ground.
            if known is None or len(hits) < self._page or hits[-1].latest <= known:
                return
            before = hits[-1]

    def _search_older(self, meter: _Meter) -> None:
        """Half a page of new ones at least: older events of traces already listed fill pages too."""
        wanted = len(self._rows) + self._page // 2
        while not self._exhausted and len(self._rows) < wanted:
            hits = self._search(self._older, meter)
            self._exhausted = len(hits) < self._page
            if hits:
                self._older = hits[-1]

    def _search(self, before: TraceHit | None, meter: _Meter) -> list[TraceHit]:
        search = as_search(self._query, self._clock(), self._page)
        wanted = search if before is None else search.after(before)
        hits = meter.of(lambda: self._store.search(wanted))
        for hit in hits:
            row = self._rows.get(hit.trace_id)
            if row is None or row.latest < hit.latest:
                self._rows[hit.trace_id] = _moved(row, hit)
                self._stale.add(hit.trace_id)
        return hits

    def _due(self) -> list[str]:
        changed = [row.trace_id for row in self._ordered() if row.trace_id in self._stale]
        quiet = [row for row in self._ordered() if row.is_running and row.trace_id not in self._stale]
        # Those waited for longest come first, so that a long list of running traces is gone through in turns.
        quiet.sort(key=lambda row: self._read_at.get(row.trace_id, 0))
        return changed + [row.trace_id for row in quiet[: self._page]]

    def _fetch(self, trace_id: str, meter: _Meter) -> None:
        found = meter.of(lambda: self._store.fetch_trace(trace_id))
        self._stale.discard(trace_id)
        self._read_at[trace_id] = self._reading
        if found.events or found.malformed:
            self._rows[trace_id] = summarize(_folded(found, self._clock()), self._rows[trace_id].latest)
        else:  # expired or deleted since it was found
            del self._rows[trace_id]

    def _ordered(self) -> list[TraceSummary]:
        return sorted(self._rows.values(), key=lambda row: (row.latest, row.trace_id), reverse=True)

    def _listing(self, meter: _Meter, *, reading: bool = False, fault: str | None = None) -> Listing:
        return Listing(
            rows=tuple(self._ordered()),
            now=self._clock(),
            queries=meter.queries,
            micros=meter.micros,
            reading=reading,
            exhausted=self._exhausted,
            fault=fault,
        )


def _moved(row: TraceSummary | None, hit: TraceHit) -> TraceSummary:
    if row is None:
        return TraceSummary(hit.trace_id, hit.latest)
    values = {name: getattr(row, name) for name in TraceSummary.__slots__}
    return TraceSummary(**{**values, "latest": hit.latest})


def as_search(query: Query, now: int, limit: int) -> Search:
    """What a store is asked for as of `now`, in microseconds since 1970. Raises SearchError for a bad data key."""
    return Search(
        limit=limit,
        since=None if query.since is None else query.since.at(now),
        until=None if query.until is None else query.until.at(now),
        trace_prefix=query.trace_prefix,
        status=query.status,
        event_type=query.event_type,
        tag=query.tag,
        error=query.error,
        data=tuple(data_condition(text) for text in query.data),
    )


class TraceFeed:
    """One trace of a store; the same `Trace` object again for as long as nothing changed."""

    def __init__(self, store: EventStore, trace_id: str, clock: Clock = wall_clock) -> None:
        self._store = store
        self._trace_id = trace_id
        self._clock = clock
        self._events: dict[str, TraceEvent] = {}
        self._malformed: tuple[object, ...] = ()
        self._trace: Trace | None = None
        self._outline: Outline | None = None

    def read(self, wishes: frozenset[str] = frozenset()) -> Iterator[OpenTrace]:
        """Fetch the trace once and fold it if it changed, or said what failed."""
        meter = _Meter(self._clock)
        fault = None
        try:
            with _undisturbed():
                found = meter.of(lambda: self._store.fetch_trace(self._trace_id))
                if AFRESH in wishes or self._changed(found):
                    self._trace = _folded(found, self._clock())
                    self._outline = _prepared(self._trace)
                if len(found.events) >= MANY:
                    gc.freeze()  # before the collector is back, or it would begin with these
        except Exception as error:  # noqa: BLE001 - shown where it happened, and the next reading tries again
            fault = _in_words(error)
        yield OpenTrace(self._trace, self._outline, self._clock(), meter.queries, meter.micros, fault)

    def _changed(self, found: FetchedTrace) -> bool:
        events, before = {event.id: event for event in found.events}, self._trace
        same = events == self._events and found.malformed == self._malformed
        self._events, self._malformed = events, found.malformed
        if before is None or not same:
            return True
        # A running trace ends by silence as well: folding it anew tells.
        silence = self._clock() - (before.last_at or 0)
        return before.status == "running" and silence > IDLE


class Poller(Generic[_T]):
    """Reads in a thread of its own, every `interval` seconds and at once when asked, and publishes what it read.

    A daemon, and never joined: a store that hangs must not keep the app from ending. Reads one at a time.
    """

    def __init__(
        self,
        read: Callable[[frozenset[str]], Iterator[_T]],
        publish: Callable[[_T], object],
        *,
        interval: float = INTERVAL,
        name: str = "sagatrace-poller",
    ) -> None:
        self._read = read
        self._publish = publish
        self._interval = self._rest = interval
        self._changed = threading.Condition()
        self._wishes: set[str] = set()
        self._asked = True
        self._paused = False
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Read for the first time now."""
        self.thread.start()

    def ask(self, *wishes: str) -> None:
        """Read as soon as the reading under way is done, with these wishes."""
        with self._changed:
            self._wishes.update(wishes)
            self._asked = True
            self._changed.notify()

    def pause(self, paused: bool = True) -> None:
        """Leave the store alone while nobody looks; going on reads at once."""
        with self._changed:
            self._asked = self._asked or (self._paused and not paused)
            self._paused = paused
            self._changed.notify()

    def stop(self) -> None:
        """Publish nothing more; the thread ends after the round trip it is in."""
        with self._changed:
            self._stopped.set()
            self._changed.notify()

    def _run(self) -> None:
        while not self._stopped.is_set():
            wishes = self._wait()
            began = time.monotonic()
            for reading in self._read(wishes):
                if self._stopped.is_set():
                    break
                self._publish(reading)
                if self._paused:  # what is left of this reading is due when it goes on
                    break
            # What takes long to read is read less often: a tenth of the time at most is spent on it.
            self._rest = max(self._interval, 10 * (time.monotonic() - began))

    def _wait(self) -> frozenset[str]:
        """Until something is asked for, the interval is over or all is; returns what is wished."""
        with self._changed:
            if not self._asked and not self._paused:
                self._changed.wait_for(lambda: self._stopped.is_set() or self._asked or self._paused, self._rest)
            self._changed.wait_for(lambda: self._stopped.is_set() or not self._paused)
            wishes = frozenset(self._wishes)
            self._wishes.clear()
            self._asked = False
            return wishes
