"""The newest traces, or those that a query finds, kept true to the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from sagatrace.errors import StoreNotFoundError
from sagatrace.events import TraceEvent
from sagatrace.mirror import Heard, Mirror, Subscriber
from sagatrace.stores import EventStore, Search, TellsChanges, TraceHit, data_condition
from sagatrace_tui.live.following import following, seconds_between_looks
from sagatrace_tui.live.reading import AFRESH, INTERVAL, LOOK, OLDER, PAGE, Clock, Listing, Meter, in_words, wall_clock
from sagatrace_tui.live.shelf import Shelf
from sagatrace_tui.views.query import Query
from sagatrace_tui.views.trace_row import TraceRow

__all__ = ["ListFeed", "as_search"]

_MOST: Final = 1_000
"""Rows kept, unless the reader has gone further down."""
_PART: Final = 2_000
"""Events asked for at once, when asking for what is new."""
_PARTS: Final = 5
"""So often in one reading; with more, the store is searched instead."""


class ListFeed:
    """The newest traces of a store, or those that a query finds.

    At first it is searched and each trace fetched; later only what is new is asked for, and traces that run are kept.
    """

    def __init__(
        self, store: EventStore, clock: Clock = wall_clock, *, query: Query | None = None, page: int = PAGE
    ) -> None:
        self._store = store
        self._query = query or Query()
        self._clock = clock
        self._page = page
        self._shelf = Shelf(store, clock)
        self._most = _MOST
        self._wanted = page // 2  # rows to show, where a query finds them by reading trace after trace
        self._older: TraceHit | None = None
        self._exhausted = False
        self._cursor: str | None = None
        self._stamp: str | None = None
        self._subscriber: Subscriber | None = None
        self._heard: Heard | None = None
        self._behind = True
        self._look_at = self._retry_at = 0.0  # a look that failed is not tried again for every event that is heard
        self._every = INTERVAL
        self._fault: str | None = None  # until the store has been read again
        self._missing = False
        self._cost = Meter(clock)  # of the last reading that asked the store

    def listen(self, mirror: Mirror, wake: Callable[[], object]) -> None:
        """Hear what is published from now on; `wake` is called, in another thread, when there is news."""
        self.deafen()
        self._subscriber = Subscriber(mirror, None, wake)
        self._subscriber.start()

    def deafen(self) -> None:
        """Hear nothing more."""
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            subscriber.stop()

    def read(self, wishes: frozenset[str] = frozenset()) -> Iterator[Listing]:
        """Read once, yielding the list as it fills; the last one is complete or says what failed."""
        meter = Meter(self._clock)
        afresh = AFRESH in wishes
        if afresh:
            self._shelf.forget_all()
        try:
            self._hear()
            at = time.monotonic()
            if afresh or LOOK in wishes or at >= self._look_at or (self._behind and at >= self._retry_at):
                self._look(meter)
            self._forget_oldest()
            if OLDER in wishes:
                self._wanted = len(self._rows()) + self._page // 2
            if OLDER in wishes or (self._falls_short() and time.monotonic() >= self._retry_at):
                self._search_older(meter)
                self._most = max(self._most, len(self._shelf.rows))
            may_ask = time.monotonic() >= self._retry_at
            due = [row.trace_id for row in self._shelf.ordered() if may_ask and row.trace_id in self._shelf.stale]
            for count, trace_id in enumerate(due):
                if count < self._page or count % self._page == 0:
                    yield self._listing(meter, reading=True)
                self._shelf.fetch(trace_id, meter, whole=afresh)
            self._fault = None if meter.queries else self._fault
        except Exception as error:  # noqa: BLE001 - shown where it happened, and the next reading tries again
            self._fault, self._missing = in_words(error), isinstance(error, StoreNotFoundError)
            self._retry_at = max(self._retry_at, time.monotonic() + INTERVAL)
        yield self._listing(meter)

    def _rows(self) -> list[TraceRow]:
        """The rows to show: how a whole trace stands is known only once it was read."""
        wanted = self._query.verdict
        return [row for row in self._shelf.ordered() if wanted is None or row.verdict == wanted]

    def _falls_short(self) -> bool:
        """Whether all that is listed was read, and older traces must be to have the rows that are wanted."""
        if self._query.verdict is None or self._exhausted or self._older is None or self._shelf.stale:
            return False
        return len(self._rows()) < self._wanted

    def _forget_oldest(self) -> None:
        """A list left open for days does not grow without end: what is forgotten is found again by going down to it."""
        last = self._shelf.keep(self._most)
        if last is not None:
            self._older, self._exhausted = last, False

    def _hear(self) -> None:
        subscriber = self._subscriber
        self._heard = subscriber.take() if subscriber is not None else None
        if self._heard is not None:
            self._behind |= self._heard.missed
            self._shelf.take_in(self._heard.events, self._is_listed(), stored=False)
        self._shelf.judge_silent()

    def _look(self, meter: Meter) -> None:
        """See what is new in the store."""
        began = time.monotonic()
        try:
            if not self._take_changes(meter):
                place, self._cursor, self._stamp = (self._cursor, self._stamp), None, None
                self._search_newest(meter)
                for trace_id in self._shelf.running():
                    self._shelf.fetch(trace_id, meter, whole=False)
                self._cursor, self._stamp = place  # only now: a search that failed is due again
        finally:
            took = time.monotonic() - began
            free = self._stamp is not None
            self._every = seconds_between_looks(self._heard, free=free, over=False, least=max(INTERVAL, 10 * took))
            self._look_at = self._retry_at = began + took + self._every
        self._behind, self._retry_at, self._fault = False, 0.0, None

    def _take_changes(self, meter: Meter) -> bool:
        """Ask for what is new and take it up; False where the store must be searched, first of all and after a flood.

        In a flood, what only adds to the past of a trace that has ended is not found before the list is read afresh.
        """
        store = self._store
        if not isinstance(store, TellsChanges):
            return False
        stamp = store.stamp()
        if stamp is not None and stamp == self._stamp:
            return True
        more = self._cursor is None
        for _ in range(_PARTS if self._cursor is not None else 0):
            cursor = self._cursor
            changes = meter.of(lambda at=cursor: store.fetch_all_since(at, _PART))  # type: ignore[misc]
            self._shelf.take_in(changes.events, self._is_listed(), stored=True)
            self._cursor, more = changes.cursor, changes.more
            if not more:
                break
        if more:  # the cursor of now comes before the search, so that nothing falls between the two
            self._cursor = meter.of(lambda: store.fetch_all_since(None, _PART)).cursor
        self._stamp = stamp
        return not more

    def _is_listed(self) -> Callable[[TraceEvent], bool]:
        """Whether an event brings its trace into the list: it matches, and is no older than what is listed."""
        search = as_search(self._query, self._clock(), self._page)
        oldest = None if self._exhausted or self._older is None else self._older.latest

        def matches(event: TraceEvent) -> bool:
            at = event.micros
            recent = oldest is None or at >= oldest
            return recent and search.in_window(event.trace_id, at) and search.matches(event)

        return matches

    def _search_newest(self, meter: Meter) -> None:
        known = max((row.latest for row in self._shelf.rows.values()), default=None)
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

    def _search_older(self, meter: Meter) -> None:
        """Half a page of new ones at least: older events of traces already listed fill pages too."""
        wanted = len(self._shelf.rows) + self._page // 2
        while not self._exhausted and len(self._shelf.rows) < wanted:
            hits = self._search(self._older, meter)
            self._exhausted = len(hits) < self._page
            if hits:
                self._older = hits[-1]

    def _search(self, before: TraceHit | None, meter: Meter) -> list[TraceHit]:
        search = as_search(self._query, self._clock(), self._page)
        wanted = search if before is None else search.after(before)
        hits = meter.of(lambda: self._store.search(wanted))
        for hit in hits:
            self._shelf.found(hit)
        return hits

    def _listing(self, meter: Meter, *, reading: bool = False) -> Listing:
        self._cost = meter if meter.queries else self._cost
        return Listing(
            rows=tuple(self._rows()),
            now=self._clock(),
            queries=self._cost.queries,
            micros=self._cost.micros,
            reading=reading,
            exhausted=self._exhausted,
            fault=self._fault,
            following=following(self._heard, behind=self._behind, every=self._every),
            missing=self._fault is not None and self._missing and not self._shelf.rows,
            looked_at=len(self._shelf.rows),
            unfinished=self._fault is None and self._falls_short(),
        )


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
