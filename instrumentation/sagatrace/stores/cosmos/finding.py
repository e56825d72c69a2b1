"""Searches: read the newest matching events, page by page, until there are enough traces."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Final

from sagatrace.errors import EventError
from sagatrace.event import parse_timestamp
from sagatrace.stores import ReadCost, Search, TraceHit, TraceHits
from sagatrace.stores.cosmos.errors import EventRefusedError
from sagatrace.stores.cosmos.paging import Caller, Row, read_ordered, total
from sagatrace.stores.cosmos.queries import Query, search_query, ties_query

__all__ = ["Finder"]

_LEAST, _MOST = 100, 1000  # events per page
_CROWDED: Final = 20  # a trace that fills more than 1/20 of a page is left out of the next pages
_MOST_LEFT_OUT: Final = 100  # traces that a query may name: the service limits its length


class Finder:
    """Find traces in one store, and remember whether its service can ignore case."""

    def __init__(self, store: Caller) -> None:
        self._store = store
        self._folds_case = True

    def find(self, search: Search) -> TraceHits:
        """Return the traces with the latest matching events, newest first. Raises StoreError."""
        try:
            return self._find(search)
        except EventRefusedError as error:
            # An emulator may accept CONTAINS only with two arguments; that query uses no index.
            if not (self._folds_case and search.error and "CONTAINS" in error.reason):
                raise
            self._folds_case = False
            return self._find(search)

    def _find(self, search: Search) -> TraceHits:
        ask = partial(self._ask, deadline=time.monotonic() + self._store.max_wait)
        top = min(max(4 * search.limit, _LEAST), _MOST)
        hits: dict[str, int] = {}
        costs: list[ReadCost] = []
        crowding: Counter[str] = Counter()
        edge: str | None = None
        while len(hits) < search.limit:
            left_out = [trace_id for trace_id, _ in crowding.most_common(_MOST_LEFT_OUT)]
            query = search_query(search, top=top, edge=edge, left_out=left_out, folds_case=self._folds_case)
            rows = ask(query, hits, costs)
            if len(rows) < top:
                break
            edge = str(rows[-1]["timestamp"])
            crowding.update(_crowds(rows))
            # The next page asks only for older events, so read all events with the time of the page's last one.
            ask(ties_query(search, at=edge, left_out=left_out, folds_case=self._folds_case), hits, costs)
        found = (TraceHit(*hit) for hit in hits.items())
        ordered = sorted(found, key=lambda hit: (hit.latest, hit.trace_id), reverse=True)
        return TraceHits(ordered[: search.limit], total(costs))

    def _ask(self, query: Query, hits: dict[str, int], costs: list[ReadCost], *, deadline: float) -> list[Row]:
        """Add the traces of one page to the hits. The newest event of a trace comes first."""
        rows, cost = read_ordered(self._store, query, deadline=deadline)
        costs.append(cost)
        for row in rows:
            at = _micros(row)
            if at is not None and row["trace_id"]:
                hits.setdefault(row["trace_id"], at)
        return rows


def _crowds(rows: list[Row]) -> dict[str, int]:
    """Return the traces that fill much of a page, with their row counts."""
    counts = Counter(row["trace_id"] for row in rows)
    return {trace_id: count for trace_id, count in counts.items() if count * _CROWDED > len(rows)}


def _micros(row: Row) -> int | None:
    """Return the event's time; None for a foreign document whose timestamp is not a time."""
    try:
        return parse_timestamp(str(row["timestamp"]))
    except (KeyError, EventError):
        return None
