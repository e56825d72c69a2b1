"""Run queries page by page. Only a page that fails is requested again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from sagatrace.errors import StoreError, StoreUnavailableError
from sagatrace.event import TraceEvent
from sagatrace.stores import Arrived, FetchedTrace, Malformed, ReadCost, decode_documents
from sagatrace.stores.cosmos.queries import Query

if TYPE_CHECKING:
    from azure.core.paging import ItemPaged

    from sagatrace.stores.cosmos.call import Call
    from sagatrace.stores.cosmos.connection import Connection

__all__ = [
    "NOTHING",
    "Caller",
    "Row",
    "by_trace",
    "cost_of",
    "decoded",
    "fetched",
    "read_ordered",
    "read_pages",
    "total",
]

PAGE: Final = 1000
"""Items requested per page. The service sends fewer when 4 MB are full."""
NOTHING: Final = ReadCost(queries=0, milliseconds=0.0, request_units=0.0)
_PLACE: Final = "x-ms-continuation"
_T = TypeVar("_T")
Row = dict[str, Any]


class Caller(Protocol):
    """A store that runs work on its connection."""

    max_wait: float

    @property
    def label(self) -> str:
        """The store's address."""
        ...

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
    places: set[str | None] = {place}
    previous: list[Row] = []
    while True:
        attempts: list[Call] = []
        read = partial(_next_page, query, trace_id, place, PAGE if limit is None else min(PAGE, limit))
        page = store.call(read, deadline=time.monotonic() + store.max_wait, calls=attempts)
        calls += attempts
        if isinstance(page, StoreError):
            raise page
        found, place = page
        rows += found
        if found and place is not None and (place in places or found == previous):
            raise StoreUnavailableError(f"{store.label} sends the same page again and again: try again")
        places.add(place)
        previous = found
        if arrived is not None:
            arrived(len(rows))
        if not found or place is None or (limit is not None and len(rows) >= limit):
            return rows, place if found else None, cost_of(calls, time.monotonic() - began)


def read_ordered(store: Caller, query: Query, top: int) -> tuple[list[Row], ReadCost]:
    """Read the first rows of a query with ORDER BY, which the SDK merges from all partitions.

    Each response with rows may take `max_wait`: a few large documents fill one. Raises StoreError.
    """
    began = time.monotonic()
    calls: list[Call] = []

    def read(connection: Connection, call: Call) -> list[Row]:
        def note(_: Any, answer: Any) -> None:
            _check_page(answer)
            if answer.get("Documents"):
                call.deadline = time.monotonic() + store.max_wait

        return _checked(islice(_items(query, None, PAGE, note, connection), top))

    rows = store.call(read, deadline=began + store.max_wait, calls=calls)
    if isinstance(rows, StoreError):
        raise rows
    return rows, cost_of(calls, time.monotonic() - began)


def _next_page(
    query: Query, trace_id: str | None, place: str | None, size: int, connection: Connection, _: Call
) -> tuple[list[Row], str | None]:
    """Return the rows past a place, as many as one response holds, and the place where they continue."""
    places: list[str | None] = []

    def note(headers: Any, answer: Any) -> None:
        # The SDK keeps only the token of the client's last response, perhaps one for another thread.
        places.append(headers.get(_PLACE))
        _check_page(answer)

    items = _items(query, trace_id, size, note, connection)
    rows = _checked(next(items.by_page(place), ()))
    return rows, places[-1] if places else None


def _items(
    query: Query, trace_id: str | None, size: int, note: Callable[[Any, Any], None], connection: Connection
) -> ItemPaged[Row]:
    """Return the rows of a query. `note` gets the headers and the content of each response.

    The transport keeps the deadline: a timeout given to the SDK would hold for all responses together.
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
            raise ValueError("it is not a whole page of documents")


def _checked(rows: Iterable[Any]) -> list[Row]:
    """Return the rows. Raises ValueError for rows that the service would not send."""
    listed = list(rows)
    for row in listed:
        if not (
            isinstance(row, dict) and isinstance(row.get("trace_id", ""), str) and isinstance(row.get("_ts", 0), int)
        ):
            raise ValueError("it holds something that is not a document")  # noqa: TRY004 - of a page, not an argument
    return listed


def by_trace(store: Caller, rows: Iterable[Row], trace_ids: Sequence[str]) -> dict[str, list[Row]]:
    """Return the rows of each of these traces. Raises StoreUnavailableError for a row of another one."""
    found: dict[str, list[Row]] = {trace_id: [] for trace_id in trace_ids}
    for row in rows:
        if row.get("trace_id") not in found:
            raise StoreUnavailableError(f"{store.label} sent documents that were not asked for: try again")
        found[row["trace_id"]].append(row)
    return found


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
