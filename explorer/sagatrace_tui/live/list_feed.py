"""The newest traces, or the traces that match a query, kept up to date with the store.

This module is longer than most: the steps of one reading share the state of the feed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec.structs import replace

from sagatrace.errors import StoreNotFoundError
from sagatrace.event import TraceEvent
from sagatrace.mirror import Mirror
from sagatrace.stores import Changes, EventStore, FindsWhole, KnowsBeginnings, TellsChanges, TraceHit
from sagatrace_tui.incident.query import Query
from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.live.listed_traces import PAGE, ListedTraces
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.live.query_search import accepts, as_search, with_word_resolved
from sagatrace_tui.live.refresh import AFRESH, LOOK, Clock, Meter, Refresh, error_line, wall_clock
from sagatrace_tui.model import Trace
from sagatrace_tui.scope import WINDOW

__all__ = ["ENOUGH", "OLDER", "WHOLE", "ListFeed"]

OLDER: Final = "older"
"""Ask for one more page of older traces."""
WHOLE: Final = "whole"
"""Ask to read all traces of the window, now and in later readings."""
ENOUGH: Final = "enough"
"""Ask to stop reading the window."""
MOST_OF_WINDOW: Final = 10_000
"""The most traces read from a window."""
_MOST: Final = 1_000
"""Rows kept, unless the reader has scrolled further down."""
_BULK: Final = 1_000
"""The most traces found by one search of a whole window."""
_BULK_READ: Final = 200
"""The same for a search that also reads the traces. Between two searches rows appear, and the reader can stop."""
_BETWEEN: Final = 0.1
"""Seconds between two listings during one reading."""
_BETWEEN_LONG: Final = 0.3
"""The same for a list longer than two pages, so that drawing it leaves time for keys."""
_PART: Final = 2_000
"""Events in one part when reading new events."""
_ADVICE: Final = "reads the events of all time: add since:1d"
_AFTER_ALL: Final = "\U0010ffff"  # sorts after the id of any trace
_PARTS: Final = 5
"""The most parts in one reading. With more new events, the feed searches the store instead."""


class ListFeed:
    """The newest traces of a store, or the traces that match a query.

    The first reading searches the store and reads each trace. Later readings read only new events. A running trace with
    new events is built again once in each reading.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock = wall_clock,
        *,
        query: Query | None = None,
        page: int = PAGE,
        window: int = WINDOW,
        keys: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._query = query or Query()
        self._clock = clock
        self._page = page
        self._window = window
        self._whole = self._stopped = False  # whether the whole window is wanted, and whether that was cancelled
        self._listed = ListedTraces(store, clock, self._accepts, keys)
        self._refresh = Refresh()
        self._most = _MOST
        self._wanted = page // 2  # rows to show, if the query must read each trace
        self._older: TraceHit | None = None
        self._complete_to: int | None = None  # during a search for the newest traces
        self._exhausted = False
        self._cursor: str | None = None
        self._stamp: str | None = None
        self._fault: str | None = None  # until the store is read again
        self._missing = False
        self._cost = Meter(clock)

    def listen(self, mirror: Mirror, wake: Callable[[], object]) -> None:
        """Receive published events. `wake` is called in another thread when events arrive."""
        self._refresh.listen(mirror, None, wake)

    def deafen(self) -> None:
        """Stop receiving published events."""
        self._refresh.deafen()

    def read(self, wishes: frozenset[str] = frozenset()) -> Iterator[Listing]:
        """Read once and yield the list as it fills. The last listing is complete, or has the error."""
        meter = Meter(self._clock)
        afresh = AFRESH in wishes
        listed, refresh = self._listed, self._refresh
        if afresh:
            listed.mark_stale()
        try:
            if WHOLE in wishes or ENOUGH in wishes:
                self._whole = ENOUGH not in wishes
                self._stopped, self._most = not self._whole, max(self._most, MOST_OF_WINDOW)
            if self._query.word:
                self._query = meter.of(lambda: with_word_resolved(self._query, self._store))
            self._update(meter, look=afresh or LOOK in wishes)
            self._forget_oldest()
            if OLDER in wishes:
                self._wanted = len(self._rows()) + self._page // 2
            if OLDER in wishes or (self._falls_short() and refresh.may_ask):
                self._search_older(meter)
                self._most = max(self._most, len(listed.rows))
            may_ask = refresh.may_ask
            due = [row.trace_id for row in listed.ordered() if may_ask and row.trace_id in listed.stale]
            listed_at = 0.0
            for count, _ in enumerate(chain([""], listed.fetch(due, meter, whole=afresh))):
                # The first page appears row by row, since a trace can be slow to read. Later rows appear in batches.
                is_long = len(listed.rows) > 2 * self._page
                between = _BETWEEN_LONG if is_long else _BETWEEN
                is_early = not is_long and count < min(self._page, len(due))
                if due and (is_early or time.monotonic() - listed_at >= between):
                    yield self._listing(meter, reading=True)
                    listed_at = time.monotonic()
            self._fault = None if meter.queries else self._fault
        except Exception as error:  # noqa: BLE001 - shown on the screen; the next reading tries again
            self._fault = error_line(error, was_read=bool(listed.rows))
            self._missing = isinstance(error, StoreNotFoundError)
            refresh.put_off()
        yield self._listing(meter)

    def _update(self, meter: Meter, *, look: bool) -> None:
        """Take the published events. If a reading is due, also read new events from the store."""
        self._listed.add_events(self._refresh.take(), self._is_listed(), stored=False)
        self._refresh.is_behind |= self._listed.must_confirm
        if look:
            self._refresh.note_news()
        try:
            if look or self._refresh.is_due():
                self._read_store(meter)
        finally:  # show published events even if the store fails
            self._listed.build_outdated()

    def _accepts(self, trace: Trace, events: Collection[TraceEvent]) -> bool:
        return accepts(self._query, trace, events, self._clock())

    def _rows(self) -> list[TraceRow]:
        """Return the rows to show. A query about whole traces hides a trace until it is read."""
        asks = self._query.reads_traces
        return [row for row in self._listed.ordered() if row.matches and not (asks and row.verdict is None)]

    def _window_start(self, now: int) -> int:
        since = self._query.since
        return now - self._window if since is None else since.at(now)

    def _has_window(self) -> bool:
        """Return whether all traces of the window are listed, or as many as the list keeps."""
        if self._exhausted or len(self._listed.rows) >= MOST_OF_WINDOW:
            return True
        return self._older is not None and self._older.latest < self._window_start(self._clock())

    def _falls_short(self) -> bool:
        """Return whether all listed traces are read and older traces are needed to fill the list."""
        if self._exhausted or self._older is None or self._listed.stale:
            return False
        if self._whole and not self._has_window():
            return True
        return self._query.reads_traces and len(self._rows()) < self._wanted

    def _forget_oldest(self) -> None:
        """Bound the list of a screen left open for days. Scrolling down finds the dropped traces again."""
        last = self._listed.keep(self._most)
        if last is not None:
            self._older, self._exhausted = last, False

    def _read_store(self, meter: Meter) -> None:
        began = time.monotonic()
        with self._refresh.reading():
            if self._take_changes(meter):
                self._listed.drop_unconfirmed(began)
            else:
                place, self._cursor, self._stamp = (self._cursor, self._stamp), None, None
                self._search_newest(meter)
                for _ in self._listed.fetch(self._listed.oldest_readings(), meter, whole=False):
                    pass
                self._cursor, self._stamp = place  # only now: a failed search must run again
            self._refresh.is_free = self._stamp is not None
        self._fault = None

    def _take_changes(self, meter: Meter) -> bool:
        """Read new events. Return False if the store must be searched: at first, and after a flood of events.

        After a flood, late events of an ended trace are found only by a refresh.
        """
        store = self._store
        if not isinstance(store, TellsChanges):
            return False
        stamp = store.stamp()
        if stamp is not None and stamp == self._stamp:
            return True
        more, is_whole = self._cursor is None, True
        for _ in range(_PARTS if self._cursor is not None else 0):
            cursor = self._cursor
            changes = meter.of(lambda at=cursor: store.fetch_all_since(at, _PART))  # type: ignore[misc]
            self._add(changes)
            is_whole = is_whole and not changes.malformed
            self._cursor, more = changes.cursor, changes.more
            self._refresh.note_news(changes.events)
            if not more:
                break
        self._settle(meter, whole=is_whole and not more)
        if more:  # take the cursor before the search, so that no event is lost between them
            self._cursor = meter.of(lambda: store.fetch_all_since(None, _PART)).cursor
        self._stamp = stamp
        return not more

    def _add(self, changes: Changes) -> None:
        if isinstance(self._store, KnowsBeginnings):
            self._listed.hold(changes.events, self._is_listed())
        else:
            self._listed.add_events(changes.events, self._is_listed(), stored=True)

    def _settle(self, meter: Meter, *, whole: bool) -> None:
        """List new traces. A trace needs no reading if the store confirms that all its events have arrived."""
        store, cursor = self._store, self._cursor
        if isinstance(store, KnowsBeginnings) and cursor is not None:
            ask = (lambda ids: meter.of(lambda: store.begun_before(ids, cursor))) if whole else None
            self._listed.settle(ask, self._is_listed())

    def _is_listed(self) -> Callable[[TraceEvent], bool]:
        """Return a test for events that add their trace to the list: they match, and are not older than the list."""
        search = as_search(self._query, self._clock(), self._page)
        oldest = None if self._exhausted or self._older is None else self._older.latest

        def matches(event: TraceEvent) -> bool:
            at = event.micros
            recent = oldest is None or at >= oldest
            return recent and search.in_window(event.trace_id, at) and search.matches(event)

        return matches

    def _search_newest(self, meter: Meter) -> None:
        if self._complete_to is None:  # otherwise a search failed midway, and newer traces may be missing
            self._complete_to = max((row.latest for row in self._listed.rows.values()), default=None)
        before: TraceHit | None = None
        while True:
            hits = self._search(before, meter)
            if self._older is None:
                self._older = hits[-1] if hits else None
                self._exhausted = len(hits) < self._page
            # More traces are new than one page holds: continue until a known one.
            known = self._complete_to
            if known is None or len(hits) < self._page or hits[-1].latest <= known:
                self._complete_to = None
                return
            before = hits[-1]

    def _search_older(self, meter: Meter) -> None:
        """Find at least half a page of further traces. Older events of listed traces also fill pages.

        For a window, find its remaining traces, and none older than the window.
        """
        is_window, listed = self._whole and not self._has_window(), self._listed.rows
        bulk = _BULK_READ if isinstance(self._store, FindsWhole) else _BULK
        limit, since = (bulk, self._window_start(self._clock())) if is_window else (self._page, None)
        wanted = len(listed) + limit // 2
        while not self._exhausted and len(listed) < wanted:
            hits = self._search(self._older, meter, limit, since, known=listed)
            is_all = len(hits) < limit
            if hits:
                self._older = hits[-1]
            if is_all and since is not None and self._query.since is None:
                self._older = TraceHit(_AFTER_ALL, since - 1)  # a later search continues from here
                return
            self._exhausted = is_all

    def _search(
        self,
        before: TraceHit | None,
        meter: Meter,
        limit: int = 0,
        since: int | None = None,
        *,
        known: Container[str] = (),
    ) -> list[TraceHit]:
        """List the traces that a search finds. If the store can, also read them, except `known` ones."""
        search = as_search(self._query, self._clock(), limit or self._page)
        if search.since is None and since is not None:
            search = replace(search, since=since)
        wanted = search if before is None else search.after(before)
        if isinstance(self._store, FindsWhole) and not search.reads_documents:
            return list(self._listed.add_found(self._store.search_whole(wanted, known), meter))
        hits = meter.of(lambda: self._store.search(wanted))
        for hit in hits:
            self._listed.add_hit(hit)
        return hits

    def _listing(self, meter: Meter, *, reading: bool = False) -> Listing:
        self._cost = meter if meter.queries else self._cost
        now = self._clock()
        return Listing(
            rows=tuple(self._rows()),
            now=now,
            queries=self._cost.queries,
            micros=self._cost.micros,
            request_units=self._cost.request_units,
            began=self._window_start(now),
            whole=self._whole and not reading and not self._listed.stale and self._has_window(),
            stopped=self._stopped,
            full=len(self._listed.rows) >= MOST_OF_WINDOW,
            reading=reading,
            exhausted=self._exhausted,
            fault=self._fault,
            status=self._refresh.status(self._listed.unconfirmed),
            missing=self._fault is not None and self._missing and not self._listed.rows,
            looked_at=len(self._listed.rows),
            unfinished=self._fault is None and self._falls_short(),
            advice="" if self._refresh.is_free or not self._query.reads_all else _ADVICE,
        )
