"""Find the last good run of a saga, to compare a failed run with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent
from sagatrace.phases import split_event_type
from sagatrace.stores import DataIs, EventStore, FetchedTrace, Search
from sagatrace_tui.model import Span, Trace, build_trace, reading_anomalies

__all__ = ["MOST", "GoodRun", "last_good_run", "trace_of_fetched"]

MOST: Final = 50
"""The most traces read. Each costs one query, so the limit bounds the cost."""


class GoodRun(msgspec.Struct, frozen=True):
    """The run found, or None. `looked_at` is the number of traces read."""

    trace: Trace | None
    name: str
    looked_at: int

    @property
    def none_found(self) -> str:
        """A sentence for the case without a run: where the search looked."""
        where = f"among the newest {MOST}" if self.looked_at >= MOST else "in this store"
        return f"no succeeded run of {self.name or 'a trace without spans'} {where}"


def last_good_run(
    store: EventStore, trace: Trace, now: int, arrived: Callable[[int], None] = lambda _count: None
) -> GoodRun:
    """Find the newest succeeded trace of the same saga. Prefer a run from before the end of the given trace.

    Args:
        store: the store to search.
        trace: the trace to compare with.
        now: microseconds since 1970; traces are built as of this moment.
        arrived: called before and during each reading. It may raise to end the search.

    Returns:
        The run, or the number of traces read without success.

    Raises:
        StoreError: the store cannot be read.
    """
    seen, looked_at = {trace.trace_id}, 0
    for search in _searches(trace):
        arrived(0)
        for hit in store.search(search) if looked_at < MOST else ():
            if hit.trace_id in seen or looked_at == MOST:
                continue
            seen.add(hit.trace_id)
            looked_at += 1
            arrived(0)
            run = trace_of_fetched(store.fetch_trace(hit.trace_id, arrived), now)
            if run.verdict == "succeeded" and run.name == trace.name:
                return GoodRun(run, trace.name, looked_at)
    return GoodRun(None, trace.name, looked_at)


def trace_of_fetched(found: FetchedTrace, now: int) -> Trace:
    """Build the trace from fetched events and malformed documents."""
    anomalies = reading_anomalies((bad.document_id, bad.fault) for bad in found.malformed)
    return build_trace(found.trace_id, found.events, now=now, anomalies=anomalies)


def _searches(trace: Trace) -> Iterator[Search]:
    """Yield the searches: first runs that ended before this trace, then all runs."""
    if trace.root is None or trace.last_at is None:
        return
    search = replace(_likeness(_deciding(trace, trace.root)), limit=MOST + 1)  # the trace itself may be among them
    yield replace(search, until=trace.last_at)
    yield search


def _deciding(trace: Trace, root: Span) -> Span:
    """Return the span that gave the trace its name. For a job that runs a saga, it is the span of the saga."""
    if root.state.kind == "job":
        children = (trace.spans[one] for one in trace.children.get(root.span_id, ()))
        steps = (span for span in children if span.state.kind not in ("job", "point"))
        return next((span for span in steps if trace.name in (span.name, span.data.get("workflow_id"))), root)
    return root


def _likeness(span: Span) -> Search:
    """Return a search for successful ends of spans with the same name.

    All conditions of a search must match the same event. The name of a job is in its start event, so the search for a
    job also finds failed runs. A workflow named only by its id is searched by the type of the event with the id.
    """
    key = "job_name" if span.state.kind == "job" else "workflow_id"
    named = next((event for event in reversed(span.events) if _scalar(event, key) is not None), None)
    base, _ = split_event_type(span.events[0].event_type)
    if named is None or (key == "workflow_id" and ":" in base):  # as in `workflow:order`
        return Search(event_type=f"{base}:completed")
    data = (DataIs((key,), (_scalar(named, key),)),)
    is_end = named is span.events[-1] and not span.is_open
    return Search(status="success", data=data) if is_end else Search(event_type=named.event_type, data=data)


def _scalar(event: TraceEvent, key: str) -> str | int | float | None:
    try:
        value = event.data.get(key)
    except EventError:
        return None
    return value if isinstance(value, (str, int, float)) else None
