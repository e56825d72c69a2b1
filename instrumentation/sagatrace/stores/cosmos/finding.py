"""Searches: read the newest matching events, page by page, until there are enough traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from sagatrace.errors import EventError, StoreUnavailableError
from sagatrace.stores import FetchedTrace, ReadCost, Search, TraceHit, TraceHits
from sagatrace.stores.cosmos.call import EventRefusedError
from sagatrace.stores.cosmos.paging import Row, decoded, read_ordered, read_pages, read_traces, total
from sagatrace.stores.cosmos.queries import IN_ONE_QUERY, Edge, page_query, rest_query
from sagatrace.timestamps import parse_timestamp

if TYPE_CHECKING:
    from sagatrace.stores.cosmos.store import CosmosStore

__all__ = ["find", "find_whole"]

_LEAST, _MOST = 100, 1000  # events per page
_CROWDED: Final = 20  # a trace that fills more than 1/20 of a page is left out of the next pages
_EVENTS: Final = 20  # events of a typical trace


def find(store: CosmosStore, search: Search) -> TraceHits:
    """Return the traces with the latest matching events, newest first. Raises StoreError."""
    hits: dict[str, int] = {}
    pages = _Pages(store, search, "c.trace_id, c.timestamp", 4)
    try:
        for rows, _ in pages:
            for trace_id, at in _latest(rows).items():
                hits.setdefault(trace_id, at)  # an earlier page held a newer event of this trace
            if len(hits) >= search.limit:
                break
    except EventRefusedError as error:
        # An emulator may accept CONTAINS only with two arguments; that query uses no index.
        if not (store.folds_case and search.error and "CONTAINS" in error.reason):
            raise
        store.folds_case = False
        return find(store, search)
    return TraceHits(_ordered(hits)[: search.limit], total(pages.costs))


def find_whole(store: CosmosStore, search: Search, known: Container[str]) -> Iterator[tuple[TraceHit, FetchedTrace]]:
    """Yield the traces with the latest matching events, with all their documents, newest first. Raises StoreError.

    After each page, further queries read the other documents of the page's traces. So most documents are read once.
    """
    found: set[str] = set()
    pages = _Pages(store, search, "*", _EVENTS)
    for rows, edge in pages:
        hits = [hit for hit in _ordered(_latest(rows)) if hit.trace_id not in found and hit.trace_id not in known]
        found.update(hit.trace_id for hit in hits)
        documents: dict[str, dict[str, Row]] = {hit.trace_id: {} for hit in hits}
        for row in [*rows, *pages.rest([*documents], edge)]:
            if row.get("trace_id") in documents:
                documents[row["trace_id"]][str(row.get("id", ""))] = row
        for hit in hits:
            own = decoded(documents.pop(hit.trace_id).values())
            yield hit, FetchedTrace(hit.trace_id, *own, total(pages.costs))
            pages.costs.clear()
        if len(found) >= search.limit:
            return


class _Pages:
    """The matching events of a search, newest first, and their cost. Later pages leave out traces with many events."""

    def __init__(self, store: CosmosStore, search: Search, columns: str, events: int) -> None:
        self._store = store
        self._search = search
        self._columns = columns
        self._top = min(max(events * search.limit, _LEAST), _MOST)
        self._crowding: Counter[str] = Counter()
        self.costs: list[ReadCost] = []

    def __iter__(self) -> Iterator[tuple[list[Row], Edge | None]]:
        """Yield each page, and the time at which the next page begins; None for the last page.

        A page holds either all events of that time or none of them.
        """
        edge: Edge | None = None
        while True:
            left_out = [trace_id for trace_id, count in self._crowding.most_common(IN_ONE_QUERY) if count]
            build = partial(
                page_query, self._search, self._columns, left_out=left_out, folds_case=self._store.folds_case
            )
            rows, cost = read_ordered(self._store, build(top=self._top, edge=edge), self._top)
            self.costs.append(cost)
            if len(rows) < self._top:
                yield rows, None
                return
            last = str(rows[-1].get("timestamp"))
            page = [row for row in rows if row.get("timestamp") != last]
            if edge is not None and last == edge.at and (page or edge.sign == "<"):
                raise StoreUnavailableError(f"{self._store.label} sends the same page again and again: try again")
            edge = Edge("<=" if page else "<", last)
            if not page:  # the events of one moment fill a page
                page, _, cost = read_pages(self._store, build(top=None, edge=Edge("=", last)), None)
                self.costs.append(cost)
            counts = Counter(row.get("trace_id", "") for row in page)
            self._crowding.update({one: count for one, count in counts.items() if count * _CROWDED > len(page)})
            yield page, edge

    def rest(self, trace_ids: list[str], edge: Edge | None) -> Iterator[Row]:
        """Yield the documents of the traces that no page up to the edge holds. Later pages leave these traces out."""
        query = partial(rest_query, search=self._search, edge=edge)
        for found, cost in read_traces(self._store, query, trace_ids):
            self.costs.append(cost)
            for trace_id, own in found.items():
                self._crowding[trace_id] += len(own)
                yield from own


def _latest(rows: list[Row]) -> dict[str, int]:
    """Return the time of each trace's newest event. Skip foreign documents without a trace or a valid time."""
    latest: dict[str, int] = {}
    for row in rows:
        trace_id = row.get("trace_id")
        with suppress(EventError):
            at = parse_timestamp(str(row.get("timestamp")))
            if trace_id:
                latest[trace_id] = max(at, latest.get(trace_id, at))
    return latest


def _ordered(latest: dict[str, int]) -> list[TraceHit]:
    return sorted((TraceHit(*one) for one in latest.items()), key=lambda hit: (hit.latest, hit.trace_id), reverse=True)
