"""Searches: read the newest matching events, page by page, until there are enough traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from functools import partial
from typing import Final

from sagatrace.errors import EventError, StoreUnavailableError
from sagatrace.stores import FetchedTrace, ReadCost, Search, TraceHit, TraceHits
from sagatrace.stores.cosmos.errors import EventRefusedError
from sagatrace.stores.cosmos.paging import Caller, Row, by_trace, fetched, read_ordered, read_pages, total
from sagatrace.stores.cosmos.queries import IN_ONE_QUERY, Edge, page_query, rest_query
from sagatrace.timestamps import parse_timestamp

__all__ = ["Finder"]

_LEAST, _MOST = 100, 1000  # events per page
_CROWDED: Final = 20  # a trace that fills more than 1/20 of a page is left out of the next pages
_EVENTS: Final = 20  # events of a typical trace


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
        hits: dict[str, int] = {}
        costs: list[ReadCost] = []
        crowding: Counter[str] = Counter()
        for rows, _ in self._pages(search, "c.trace_id, c.timestamp", 4, crowding, costs):
            for trace_id, at in _latest(rows).items():
                hits.setdefault(trace_id, at)  # an earlier page had its newest event
            if len(hits) >= search.limit:
                break
        return TraceHits(_ordered(hits)[: search.limit], total(costs))

    def find_whole(self, search: Search, known: Container[str]) -> Iterator[tuple[TraceHit, FetchedTrace]]:
        """Yield the traces with the latest events and all their documents, newest first. Raises StoreError.

        After each page, one query reads the other documents of its traces. So almost all are read once.
        """
        found: set[str] = set()
        costs: list[ReadCost] = []
        crowding: Counter[str] = Counter()
        for rows, edge in self._pages(search, "*", _EVENTS, crowding, costs):
            hits = [hit for hit in _ordered(_latest(rows)) if hit.trace_id not in found and hit.trace_id not in known]
            found.update(hit.trace_id for hit in hits)
            documents: dict[str, dict[str, Row]] = {hit.trace_id: {} for hit in hits}
            for row in [*rows, *self._rest(search, [*documents], edge, crowding, costs)]:
                if row.get("trace_id") in documents:
                    documents[row["trace_id"]][str(row.get("id", ""))] = row
            for hit in hits:
                yield hit, fetched(hit.trace_id, documents.pop(hit.trace_id).values(), total(costs))
                costs.clear()
            if len(found) >= search.limit:
                return

    def _pages(
        self, search: Search, columns: str, events: int, crowding: Counter[str], costs: list[ReadCost]
    ) -> Iterator[tuple[list[Row], Edge | None]]:
        """Yield the matching events, newest first, and the time at which the next page begins, or None.

        No event of that time is in the page, unless all of them are. Traces in `crowding` are left out.
        """
        top = min(max(events * search.limit, _LEAST), _MOST)
        edge: Edge | None = None
        while True:
            left_out = [trace_id for trace_id, count in crowding.most_common(IN_ONE_QUERY) if count]
            build = partial(page_query, search, columns, left_out=left_out, folds_case=self._folds_case)
            rows, cost = read_ordered(self._store, build(top=top, edge=edge), top)
            costs.append(cost)
            if len(rows) < top:
                yield rows, None
                return
            last = str(rows[-1].get("timestamp"))
            page = [row for row in rows if row.get("timestamp") != last]
            if edge is not None and last == edge.at and (page or edge.sign == "<"):
                raise StoreUnavailableError(f"{self._store.label} sends the same page again and again: try again")
            edge = Edge("<=" if page else "<", last)
            if not page:  # one moment fills more than a page
                page, _, cost = read_pages(self._store, build(top=None, edge=Edge("=", last)), None)
                costs.append(cost)
            crowding.update(_crowds(page))
            yield page, edge

    def _rest(
        self, search: Search, trace_ids: list[str], edge: Edge | None, crowding: Counter[str], costs: list[ReadCost]
    ) -> Iterator[Row]:
        """Yield the documents of the traces that no page up to the edge has. Their other pages are left out."""
        for start in range(0, len(trace_ids), IN_ONE_QUERY):
            asked = trace_ids[start : start + IN_ONE_QUERY]
            rows, _, cost = read_pages(self._store, rest_query(search, asked, edge), None)
            costs.append(cost)
            for trace_id, own in by_trace(self._store, rows, asked).items():
                crowding[trace_id] += len(own)
                yield from own


def _latest(rows: list[Row]) -> dict[str, int]:
    """Return the time of each trace's newest event. Foreign documents have no trace, or a time that is not one."""
    latest: dict[str, int] = {}
    for row in rows:
        at = _micros(row)
        trace_id = row.get("trace_id")
        if at is not None and trace_id:
            latest[trace_id] = max(at, latest.get(trace_id, at))
    return latest


def _ordered(latest: dict[str, int]) -> list[TraceHit]:
    return sorted((TraceHit(*one) for one in latest.items()), key=lambda hit: (hit.latest, hit.trace_id), reverse=True)


def _crowds(rows: list[Row]) -> dict[str, int]:
    """Return the traces that fill much of a page, with their row counts."""
    counts = Counter(row.get("trace_id", "") for row in rows)
    return {trace_id: count for trace_id, count in counts.items() if count * _CROWDED > len(rows)}


def _micros(row: Row) -> int | None:
    """Return the event's time; None for a foreign document whose timestamp is not a time."""
    try:
        return parse_timestamp(str(row.get("timestamp")))
    except EventError:
        return None
