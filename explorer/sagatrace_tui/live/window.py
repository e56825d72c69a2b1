"""Read the traces that match a query once, for commands that print and exit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from sagatrace.stores import EventStore, FetchedTrace, FindsWhole, Search, TraceHit, fetch_many
from sagatrace.stores.search import MAX_LIMIT
from sagatrace_tui.incident.query import Moment, Query
from sagatrace_tui.incident.trace_row import TraceRow, trace_row
from sagatrace_tui.live.query_search import accepts, as_search, with_word_resolved
from sagatrace_tui.model import build_trace, reading_anomalies

__all__ = ["read_rows"]

_BULK: Final = 1_000  # the most traces that one search finds


def read_rows(
    store: EventStore, query: Query, now: int, *, window: int | None = None, keys: Sequence[str] = (), most: int = 0
) -> Iterator[TraceRow]:
    """Yield a row for each trace that matches the query, latest activity first.

    Args:
        store: the store. Its calls block.
        query: the query.
        now: microseconds since 1970; traces are built as of this moment.
        window: microseconds before `now` where reading starts, if the query has no `since:`.
        keys: the business keys of the rows.
        most: the number of traces that the caller probably needs; 0 for all.

    Raises:
        StoreError: the store cannot be read.
    """
    query = with_word_resolved(query, store)
    if query.since is None and window is not None:
        query = replace(query, since=Moment(window, ago=True))
    for hit, found in _traces(store, as_search(query, now, min(most or _BULK, _BULK))):
        if not found.events and not found.malformed:  # expired or deleted since the search
            continue
        anomalies = reading_anomalies((bad.document_id, bad.fault) for bad in found.malformed)
        trace = build_trace(found.trace_id, found.events, now, anomalies)
        if accepts(query, trace, found.events, now):
            yield trace_row(trace, hit.latest, keys)


def _traces(store: EventStore, search: Search) -> Iterator[tuple[TraceHit, FetchedTrace]]:
    """Yield each trace that the search finds once."""
    seen: set[str] = set()
    while True:
        last: TraceHit | None = None
        count, known = 0, len(seen)
        if isinstance(store, FindsWhole) and not search.reads_documents:
            for last, found in store.search_whole(search, seen):
                count += 1
                seen.add(last.trace_id)
                yield last, found
        else:
            hits = store.search(search)
            count, last = len(hits), hits[-1] if hits else None
            fresh = {hit.trace_id: hit for hit in hits if hit.trace_id not in seen}
            seen.update(fresh)
            for found in fetch_many(store, list(fresh)):
                yield fresh[found.trace_id], found
        if last is None or count < search.limit:
            return
        if len(seen) == known:  # the page had only older events of known traces: read a larger page
            search = replace(search, limit=min(2 * search.limit, MAX_LIMIT))
        search = search.after(last)
