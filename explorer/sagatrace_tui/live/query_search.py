"""Turn a query into a search of the store, and check the conditions that a search cannot express."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec.structs import replace

from sagatrace.event import TraceEvent
from sagatrace.stores import EventStore, Search, data_condition
from sagatrace_tui.incident.conditions import Condition, holds
from sagatrace_tui.incident.query import Query
from sagatrace_tui.model import Trace

__all__ = ["accepts", "as_search", "event_filter", "with_word_resolved"]


def as_search(query: Query, now: int, limit: int) -> Search:
    """Return the search for a query.

    Args:
        query: the query.
        now: microseconds since 1970; relative times count back from it.
        limit: the most traces to find.

    Raises:
        SearchError: a data key is malformed.
    """
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
    """Return whether a trace meets the conditions that a search of events cannot express."""
    if not all(holds(condition, trace) for condition in query.conditions):
        return False
    unwanted = [as_search(one, now, 1) for one in query.without]
    return not any(_meets(event, search) for search in unwanted for event in events)


def event_filter(query: Query, now: int) -> Callable[[TraceEvent], bool]:
    """Return a test for the query's conditions on events. It ignores conditions on whole traces.

    Raises:
        SearchError: a data key is malformed.
    """
    wanted, unwanted = as_search(query, now, 1), [as_search(one, now, 1) for one in query.without]
    return lambda event: _meets(event, wanted) and not any(_meets(event, one) for one in unwanted)


def _meets(event: TraceEvent, search: Search) -> bool:
    return search.in_window(event.trace_id, event.micros) and search.matches(event)


def with_word_resolved(query: Query, store: EventStore) -> Query:
    """Return the query with its bare word resolved, after at most one search of the store.

    If a trace id begins with the word, the word becomes a trace id prefix. Otherwise it becomes a condition on names
    and ids.

    Raises:
        StoreError: the store cannot be read.
    """
    if not query.word:
        return query
    if not query.trace_prefix and store.search(Search(limit=1, trace_prefix=query.word)):
        return replace(query, word="", trace_prefix=query.word)
    condition = Condition("word", (query.word.lower(),))
    return replace(query, word="", conditions=(*query.conditions, condition))
