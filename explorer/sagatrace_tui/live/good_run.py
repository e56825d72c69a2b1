"""Finding the last good run of a saga: the trace to hold a failed one against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, split_event_type
from sagatrace.stores import DataIs, EventStore, FetchedTrace, Search
from sagatrace_tui.model import Span, Trace, build_trace, reading_anomalies

__all__ = ["MOST", "GoodRun", "last_good_run", "trace_of_fetched"]

MOST: Final = 50
"""Traces that are read at most: one query for each, so the cost has a bound."""


@dataclass(frozen=True, slots=True)
class GoodRun:
    """The run found, or None; `looked_at` counts the traces that were read for it."""

    trace: Trace | None
    name: str
    looked_at: int

    @property
    def none_found(self) -> str:
        """Return, in words, that no run was found, and where it was looked for."""
        where = f"among the newest {MOST}" if self.looked_at >= MOST else "in this store"
        return f"no succeeded run of {self.name or 'a trace without spans'} {where}"


def last_good_run(
    store: EventStore, trace: Trace, now: int, arrived: Callable[[int], None] = lambda _count: None
) -> GoodRun:
    """Find the newest succeeded trace of the same saga, before the given one ended if there is any.

    Args:
        store: The store to search.
        trace: The trace to find a counterpart of.
        now: The moment as of which traces are judged, in microseconds since 1970.
        arrived: Called before and during each reading; raises to end the search.

    Returns:
        The run, or how many traces were looked at in vain.
    """
    seen, looked_at = {trace.trace_id}, 0
    for search in _searches(trace):
        arrived(0)
        for hit in store.search(search):
            if hit.trace_id in seen:
                continue
            if looked_at == MOST:
                return GoodRun(None, trace.name, looked_at)
            seen.add(hit.trace_id)
            looked_at += 1
            arrived(0)
            run = trace_of_fetched(store.fetch_trace(hit.trace_id, arrived), now)
            if run.verdict == "succeeded" and run.name == trace.name:
                return GoodRun(run, trace.name, looked_at)
    return GoodRun(None, trace.name, looked_at)


def trace_of_fetched(found: FetchedTrace, now: int) -> Trace:
    """Build the trace of what was fetched."""
    anomalies = reading_anomalies((bad.document_id, bad.fault) for bad in found.malformed)
    return build_trace(found.trace_id, found.events, now=now, anomalies=anomalies)


def _searches(trace: Trace) -> Iterator[Search]:
    """Yield what to search for: runs that ended before this one did, then any."""
    if trace.root is None or trace.last_at is None:
        return
    search = replace(_like_root(trace.root), limit=MOST + 1)  # the trace itself may be among them
    yield replace(search, until=trace.last_at)
    yield search


def _like_root(root: Span) -> Search:
    """Return a search for good ends of the same root: by its job's name, else its event type and workflow id.

    A condition holds for a single event. So a name counts only if the last event of this root carries it, too, or else
    any event that carries the name is searched for.
    """
    key = "job_name" if root.state.kind == "job" else "workflow_id"
    named = [event for event in root.events if _scalar(event, key) is not None]
    completed = f"{split_event_type(root.events[0].event_type)[0]}:completed"
    if not named:
        return Search(event_type=completed)
    is_name = DataIs((key,), (_scalar(named[-1], key),))
    if named[-1] is root.events[-1]:
        return Search(status="success", data=(is_name,))
    if key == "workflow_id" and completed.count(":") > 1:  # the event type has a name, as in `workflow:order:completed`
        return Search(event_type=completed)
    return Search(data=(is_name,))


def _scalar(event: TraceEvent, key: str) -> str | int | float | None:
    try:
        value = event.data.get(key)
    except EventError:
        return None
    return value if isinstance(value, (str, int, float)) else None
