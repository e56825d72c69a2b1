"""Run queries page by page. Only a page that fails is requested again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent
from sagatrace.stores import Arrived, FetchedTrace, Malformed, ReadCost, decode_documents
from sagatrace.stores.cosmos.queries import Query

if TYPE_CHECKING:
    from sagatrace.stores.cosmos.call import Call
    from sagatrace.stores.cosmos.connection import Connection

__all__ = ["NOTHING", "Caller", "Row", "cost_of", "decoded", "fetched", "read_ordered", "read_pages", "total"]

PAGE: Final = 1000
"""Items requested per page. The service sends fewer when 4 MB are full."""
NOTHING: Final = ReadCost(queries=0, milliseconds=0.0, request_units=0.0)
_PLACE: Final = "x-ms-continuation"
_T = TypeVar("_T")
Row = dict[str, Any]


class Caller(Protocol):
    """A store that runs work on its connection."""

    max_wait: float

    def call(
        self, work: Callable[[Connection, Call], _T], *, deadline: float, calls: list[Call], writes: bool = False
    ) -> _T | StoreError:
        """Run the work and return its result, or the failure."""
        ...


def read_pages(
    store: Caller,
    query: Query,
    trace_id: str | None,
    *,
    place: str | None = None,
    limit: int | None = None,
    arrived: Arrived | None = None,
) -> tuple[list[Row], str | None, ReadCost]:
    """Read the rows of one trace, or of all traces, in no order. Each page may take `max_wait`.

    Args:
        store: The store to read.
        query: A query without ORDER BY, TOP and aggregates: the service answers it page by page.
        trace_id: The partition to read; None for all.
        place: The place at which an earlier read ended.
        limit: The number of rows after which to end, about.
        arrived: Receives the number of rows after each page.

    Returns:
        The rows, the place where more rows follow (or None), and the cost. Raises StoreError.
    """
    began = time.monotonic()
    rows: list[Row] = []
    calls: list[Call] = []
    while True:
        attempts: list[Call] = []
        read = partial(_next_page, query, trace_id, place, PAGE if limit is None else min(PAGE, limit))
        page = store.call(read, deadline=time.monotonic() + store.max_wait, calls=attempts)
        calls += attempts
        if isinstance(page, StoreError):
            raise page
        found, place = page
        rows += found
        if arrived is not None:
            arrived(len(rows))
        if not found or place is None or (limit is not None and len(rows) >= limit):
            return rows, place if found else None, cost_of(calls, time.monotonic() - began)


def read_ordered(store: Caller, query: Query) -> tuple[list[Row], ReadCost]:
    """Read all rows of a query with ORDER BY, which the SDK merges from all partitions, within `max_wait`.

    Raises StoreError.
    """
    began = time.monotonic()
    text, parameters = query

    def read(connection: Connection, call: Call) -> list[Row]:
        items = connection.container.query_items(
            text,
            parameters=parameters,
            max_item_count=PAGE,
            timeout=call.remaining,
            enable_cross_partition_query=True,
        )
        return list(items)

    calls: list[Call] = []
    rows = store.call(read, deadline=began + store.max_wait, calls=calls)
    if isinstance(rows, StoreError):
        raise rows
    return rows, cost_of(calls, time.monotonic() - began)


def _next_page(
    query: Query, trace_id: str | None, place: str | None, size: int, connection: Connection, call: Call
) -> tuple[list[Row], str | None]:
    """Return the rows past a place, as many as one response holds, and the place where they continue."""
    text, parameters = query
    headers: list[str | None] = []
    scope: Any = {"enable_cross_partition_query": True} if trace_id is None else {"partition_key": trace_id}
    items = connection.container.query_items(
        text,
        parameters=parameters,
        max_item_count=size,
        timeout=call.remaining,
        # The SDK keeps only the token of the client's last response, perhaps one for another thread.
        response_hook=lambda answer, _: headers.append(answer.get(_PLACE)),
        **scope,
    )
    rows = list(next(items.by_page(place), ()))
    return rows, headers[-1] if headers else None


def decoded(rows: Iterable[Row]) -> tuple[tuple[TraceEvent, ...], tuple[Malformed, ...]]:
    """Return the rows as events, and as malformed documents."""
    events, malformed = decode_documents((str(row.get("id", "")), msgspec.json.encode(row)) for row in rows)
    return tuple(events), tuple(malformed)


def fetched(trace_id: str, rows: Iterable[Row], cost: ReadCost) -> FetchedTrace:
    """Return the rows of one trace as a trace."""
    return FetchedTrace(trace_id, *decoded(rows), cost)


def cost_of(calls: list[Call], seconds: float, before: ReadCost = NOTHING) -> ReadCost:
    """Return the cost of one query that made these calls, added to the cost before."""
    return ReadCost(
        before.queries + 1,
        before.milliseconds + seconds * 1000,
        (before.request_units or 0.0) + sum(call.request_units for call in calls),
        before.round_trips + sum(call.requests for call in calls),
    )


def total(costs: Iterable[ReadCost]) -> ReadCost:
    """Return the sum of the costs."""
    listed = list(costs)
    return ReadCost(
        sum(cost.queries for cost in listed),
        sum(cost.milliseconds for cost in listed),
        sum(cost.request_units or 0.0 for cost in listed),
        sum(cost.round_trips for cost in listed),
    )
