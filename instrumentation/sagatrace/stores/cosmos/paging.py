"""Run queries page by page. After a failure only the failed page is requested again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sagatrace.errors import StoreUnavailableError
from sagatrace.event import TraceEvent
from sagatrace.stores import Arrived, Malformed, ReadCost, decode_documents
from sagatrace.stores.cosmos.queries import IN_ONE_QUERY, Query

if TYPE_CHECKING:
    from azure.core.paging import ItemPaged

    from sagatrace.stores.cosmos.call import Call
    from sagatrace.stores.cosmos.connection import Connection
    from sagatrace.stores.cosmos.store import CosmosStore

__all__ = ["NOTHING", "Row", "cost_of", "decoded", "read_ordered", "read_pages", "read_traces", "total"]

PAGE: Final = 1000
"""Items requested per page. The service sends fewer if they exceed 4 MB."""
NOTHING: Final = ReadCost(queries=0, milliseconds=0.0, request_units=0.0)
Row = dict[str, Any]


def read_pages(
    store: CosmosStore,
    query: Query,
    trace_id: str | None,
    *,
    place: str | None = None,
    limit: int | None = None,
    arrived: Arrived | None = None,
) -> tuple[list[Row], str | None, ReadCost]:
    """Read the rows of one trace, or of all traces, in no order. Each page may take `max_wait` seconds.

    Args:
        store: The store to read.
        query: A query without ORDER BY, TOP and aggregates, so that the service answers it page by page.
        trace_id: The partition to read; None for all.
        place: The place at which an earlier read ended.
        limit: The approximate number of rows after which to end; None to read all.
        arrived: Receives the number of rows after each page.

    Returns:
        The rows, the place where more rows follow (or None), and the cost. Raises StoreError.
    """
    began = time.monotonic()
    rows: list[Row] = []
    calls: list[Call] = []
    places: set[str | None] = {place}
    previous: list[Row] = []
    while True:
        read = partial(_next_page, query, trace_id, place, PAGE if limit is None else min(PAGE, limit))
        found, place = store.call(read, calls=calls)
        rows += found
        if found and place is not None and (place in places or found == previous):
            raise StoreUnavailableError(f"{store.label} sends the same page again and again: try again")
        places.add(place)
        previous = found
        if arrived is not None:
            arrived(len(rows))
        if not found or place is None or (limit is not None and len(rows) >= limit):
            return rows, place if found else None, cost_of(calls, time.monotonic() - began)


def read_ordered(store: CosmosStore, query: Query, top: int) -> tuple[list[Row], ReadCost]:
    """Read the first rows of a query with ORDER BY, which the SDK merges from all partitions.

    Each response with rows may take `max_wait` seconds, because a few large documents fill one. Raises StoreError.
    """
    began = time.monotonic()
    calls: list[Call] = []

    def read(connection: Connection, call: Call) -> list[Row]:
        def note(_: Any, answer: Any) -> None:
            _check_page(answer)
            if answer.get("Documents"):
                call.deadline = time.monotonic() + store.max_wait

        return _checked(islice(_items(query, None, PAGE, note, connection), top))

    rows = store.call(read, calls=calls)
    return rows, cost_of(calls, time.monotonic() - began)


def _next_page(
    query: Query, trace_id: str | None, place: str | None, size: int, connection: Connection, _: Call
) -> tuple[list[Row], str | None]:
    """Return the rows of one response, from a place on, and the place where the next response continues."""
    places: list[str | None] = []

    def note(headers: Any, answer: Any) -> None:
        # The SDK keeps only the token of the client's last response, perhaps one of another thread.
        places.append(headers.get("x-ms-continuation"))
        _check_page(answer)

    rows = _checked(next(_items(query, trace_id, size, note, connection).by_page(place), ()))
    return rows, places[-1] if places else None


def _items(
    query: Query, trace_id: str | None, size: int, note: Callable[[Any, Any], None], connection: Connection
) -> ItemPaged[Row]:
    """Return the rows of a query. `note` receives the headers and the content of each response.

    The transport keeps the deadline. A timeout of the SDK would limit all responses together.
    """
    text, parameters = query
    scope: Any = {"enable_cross_partition_query": True} if trace_id is None else {"partition_key": trace_id}
    return connection.container.query_items(
        text, parameters=parameters, max_item_count=size, response_hook=note, **scope
    )


def _check_page(answer: Any) -> None:
    """Raise ValueError if a page lacks some of its documents. The SDK takes `{}` for a page without any."""
    if isinstance(answer, dict) and "Documents" in answer:
        found = answer["Documents"]
        if not isinstance(found, list) or answer.get("_count", len(found)) != len(found):
            raise ValueError("the answer is not a whole page of documents")


def _checked(rows: Iterable[Any]) -> list[Row]:
    """Return the rows. Raises ValueError for rows that the service would not send."""
    listed = list(rows)
    for row in listed:
        if not (
            isinstance(row, dict) and isinstance(row.get("trace_id", ""), str) and isinstance(row.get("_ts", 0), int)
        ):
            raise ValueError("the answer holds something that is not a document")  # noqa: TRY004 - of a page, not an argument
    return listed


def read_traces(
    store: CosmosStore, build: Callable[[Sequence[str]], Query], trace_ids: Sequence[str]
) -> Iterator[tuple[dict[str, list[Row]], ReadCost]]:
    """Yield the rows of these traces, by trace, and their cost. One query reads a hundred traces. Raises StoreError."""
    for start in range(0, len(trace_ids), IN_ONE_QUERY):
        found: dict[str, list[Row]] = {trace_id: [] for trace_id in trace_ids[start : start + IN_ONE_QUERY]}
        rows, _, cost = read_pages(store, build([*found]), None)
        for row in rows:
            if row.get("trace_id") not in found:
                raise StoreUnavailableError(f"{store.label} sent documents that were not asked for: try again")
            found[row["trace_id"]].append(row)
        yield found, cost


def decoded(rows: Iterable[Row]) -> tuple[tuple[TraceEvent, ...], tuple[Malformed, ...]]:
    """Return the rows as events, and as malformed documents."""
    unreadable: list[Malformed] = []

    def documents() -> Iterator[tuple[str, bytes]]:
        for row in rows:
            try:
                document = msgspec.json.encode(row)
            except (ValueError, OverflowError, RecursionError) as error:  # half a UTF-16 pair, or hundreds of levels
                name = str(row.get("id", "")).encode("utf-8", "backslashreplace").decode()
                unreadable.append(Malformed(name, f"it cannot be written as JSON: {type(error).__name__}", ""))
            else:
                yield str(row.get("id", "")), document

    events, malformed = decode_documents(documents())
    return tuple(events), (*malformed, *unreadable)


def cost_of(calls: list[Call], seconds: float) -> ReadCost:
    """Return the cost of one query, which made these calls."""
    units, requests = sum(call.request_units for call in calls), sum(call.requests for call in calls)
    return ReadCost(1, seconds * 1000, units, requests)


def total(costs: Sequence[ReadCost]) -> ReadCost:
    """Return the sum of the costs."""
    return ReadCost(
        sum(cost.queries for cost in costs),
        sum(cost.milliseconds for cost in costs),
        sum(cost.request_units or 0.0 for cost in costs),
        sum(cost.round_trips for cost in costs),
    )
