"""A query as a search of the store, and whether a trace that was read meets the rest of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from sagatrace.event import TraceEvent
from sagatrace.stores import EventStore, Search, data_condition
from sagatrace_tui.incident.conditions import Condition, holds
from sagatrace_tui.incident.query import Query
from sagatrace_tui.model import Trace

__all__ = ["accepts", "as_search", "event_filter", "with_word_resolved"]


def as_search(query: Query, now: int, limit: int) -> Search:
    """Return the search for a query as of `now`, in microseconds since 1970. Raises SearchError for a bad data key."""
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


def accepts(query: Query, trace: Trace, events: Collection[TraceEvent], now: int) -> bool:
    """Return whether a trace meets the conditions that no search of events can ask for."""
    if not all(holds(condition, trace) for condition in query.conditions):
        return False
    unwanted = [as_search(one, now, 1) for one in query.without]
    return not any(_meets(event, search) for search in unwanted for event in events)


def event_filter(query: Query, now: int) -> Callable[[TraceEvent], bool]:
    """Return whether an event meets the conditions on events; those on whole traces are left out.

    Raises SearchError for a bad data key.
    """
    wanted, unwanted = as_search(query, now, 1), [as_search(one, now, 1) for one in query.without]
    return lambda event: _meets(event, wanted) and not any(_meets(event, one) for one in unwanted)


def _meets(event: TraceEvent, search: Search) -> bool:
    return search.in_window(event.trace_id, event.micros) and search.matches(event)


def with_word_resolved(query: Query, store: EventStore) -> Query:
    """Return the query with its word as the beginning of a trace id if any begins so, else as that or part of a name.

    Asks the store once if there is a word. Raises StoreError.
    """
    if not query.word:
        return query
    if not query.trace_prefix and store.search(Search(limit=1, trace_prefix=query.word)):
        return replace(query, word="", trace_prefix=query.word)
    condition = Condition("word", (query.word.lower(),))
    return replace(query, word="", conditions=(*query.conditions, condition))
