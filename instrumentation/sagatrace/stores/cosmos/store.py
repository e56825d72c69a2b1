"""Azure Cosmos DB for NoSQL: one container, partition key /trace_id, one partition query per trace.

The SDK is imported when a connection opens, never before. No connection crosses a fork: the SDK keeps threads and
sockets, so every open one is closed before this process forks, and opened again on next use.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from sagatrace.errors import EventError, StoreError, StoreUnavailableError
from sagatrace.event import TraceEvent, parse_timestamp
from sagatrace.stores import (
    Arrived,
    Changes,
    FetchedTrace,
    Malformed,
    ReadCost,
    Search,
    TraceHit,
    TraceHits,
    decode_documents,
)
from sagatrace.stores.cosmos.address import CosmosAddress, parse_address
from sagatrace.stores.cosmos.queries import Query, changes_query, newest_query, search_query, ties_query, trace_query
from sagatrace.stores.fork_safety import closed_across_forks

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from sagatrace.stores.cosmos.connection import Connection
    from sagatrace.stores.cosmos.transport import Call

__all__ = ["CosmosAddress", "CosmosStore", "parse_address"]

_T = TypeVar("_T")
_PAGE: Final = 1000  # items asked for per page; the service sends fewer where 4 MB are full
_OVERLAP: Final = 10  # seconds read again: replicas lag, and the service's `_ts` has whole seconds only
_PLACE: Final = "x-ms-continuation"
_NOTHING: Final = ReadCost(queries=0, milliseconds=0.0, request_units=0.0)
_FIRST_PAUSE: Final = 0.05  # seconds before the second attempt when the service names no time


class CosmosStore:
    """Events in the container at the address, which `sagatrace init` creates.

    `max_wait` bounds, in seconds, how long one call holds its caller, whatever the network does (but for the
    system's own look-up of the host's name); each page of a trace has as long, so that a large one comes through.
    `credential` replaces azure-identity's DefaultAzureCredential.
    """

    def __init__(
        self,
        address: CosmosAddress,
        *,
        read_only: bool = False,
        max_wait: float = 5.0,
        credential: TokenCredential | None = None,
    ) -> None:
        self.address = address
        self.max_wait = max_wait
        self._read_only = read_only
        self._credential = credential
        self.lock = threading.RLock()
        self._connection: Connection | None = None
        self._write_cost = _NOTHING
        self._clock_offset: float | None = None
        closed_across_forks(self)

    @property
    def label(self) -> str:
        """The store's address; holds no secret."""
        return self.address.label

    @property
    def write_cost(self) -> ReadCost:
        """What all appends through this object have taken together."""
        return self._write_cost

    @property
    def clock_offset(self) -> float | None:
        """Seconds this machine's clock is ahead of the service's, to the second; None before the first answer."""
        return self._clock_offset

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events in one transactional batch per trace and say how many were new.

        Timestamps are stored as fixed-width UTC, as Cosmos DB compares them as text. Numbers past 2**53 lose
        digits: the service keeps 64-bit floats.
        """
        if self._read_only:
            raise StoreError(f"{self.label} was opened for reading only")
        _require_sdk()
        from sagatrace.stores.cosmos.writer import Writer

        began = time.monotonic()
        writer = Writer(self, replace=replace)
        try:
            return writer.write(list(events), deadline=began + self.max_wait)
        finally:
            self._write_cost = _sum(self._write_cost, writer.calls, time.monotonic() - began)

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
        """Everything of one trace: one query within its partition, paged to the end."""
        rows, cost = self._read_partition(trace_query(trace_id), trace_id, arrived)
        return FetchedTrace(trace_id, *_decoded(rows), cost)

    def stamp(self) -> None:
        """None: to tell whether anything is new costs a query here."""
        return

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:
        """What of one trace was written since, by the service's clock: one query within its partition.

        The last ten seconds before come again, as what was written then may not have been seen by all replicas.
        """
        query = trace_query(trace_id) if cursor is None else changes_query(trace_id, int(cursor))
        rows, cost = self._read_partition(query, trace_id, arrived)
        place = max((_written_at(row) - _OVERLAP for row in rows), default=0)
        return Changes(*_decoded(rows), str(max(place, int(cursor or 0))), cost, whole=cursor is None)

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        """What of all traces was written since, oldest first: one query across all partitions."""
        if cursor is None:
            rows, cost = self._read_all(newest_query())
            return Changes((), (), str(max((_written_at(row) - _OVERLAP for row in rows), default=0)), cost)
        since, _, read_from = cursor.partition(":")
        # What a limit cuts has to be gone over once more from here: replicas may yet show what was written since.
        settled = read_from or str(int(time.time() - (self._clock_offset or 0.0)) - _OVERLAP - 1)
        rows, cost = self._read_all(changes_query(None, int(since)), enough=lambda rows: _is_enough(rows, limit))
        if _is_enough(rows, limit):
            place = f"{_written_at(rows.pop())}:{settled}"
            return Changes(*_decoded(rows), place, cost, more=True)
        place = str(max(int(since), max((_written_at(row) - _OVERLAP for row in rows), default=0)))
        return Changes(*_decoded(rows), min(place, read_from or place, key=int), cost)

    def search(self, search: Search) -> TraceHits:
        """The traces with the latest matching events, newest first."""
        began = time.monotonic()
        top = min(max(4 * search.limit, 100), 1000)
        hits: dict[str, int] = {}
        edge: str | None = None
        costs: list[ReadCost] = []

        def ask(query: Query) -> list[dict[str, Any]]:
            rows, cost = self._read_all(query, deadline=began + self.max_wait)
            costs.append(cost)
            for row in rows:
                at = _micros(row)
                if at is not None:
                    hits.setdefault(row["trace_id"], at)
            return rows

        while len(hits) < search.limit:
            rows = ask(search_query(search, top=top, edge=edge, seen=list(hits)))
            edge = rows[-1].get("timestamp") if len(rows) == top else None
            if not isinstance(edge, str):
                break  # nothing is older, or nothing but foreign documents without a time, which come last
            # Others at the very time where the page was cut: they would be lost by asking for what is older.
            ask(ties_query(search, at=edge, seen=list(hits)))
        found = sorted(
            (TraceHit(*hit) for hit in hits.items()), key=lambda hit: (hit.latest, hit.trace_id), reverse=True
        )
        return TraceHits(found[: search.limit], _total(costs))

    def _read_partition(
        self, query: Query, trace_id: str, arrived: Arrived | None
    ) -> tuple[list[dict[str, Any]], ReadCost]:
        """The rows of one trace, page by page: what fails is asked for again, not what came before it."""
        began = time.monotonic()
        rows: list[dict[str, Any]] = []
        calls: list[Call] = []
        place: str | None = None
        while True:
            attempts: list[Call] = []
            read = partial(_next_page, query, trace_id, place)
            page = self.call(read, deadline=time.monotonic() + self.max_wait, calls=attempts)
            calls += attempts
            if isinstance(page, StoreError):
                raise page
            found, place = page
            rows += found
            if arrived is not None:
                arrived(len(rows))
            if not found or place is None:
                break
        return rows, _sum(_NOTHING, calls, time.monotonic() - began)

    def _read_all(
        self,
        query: Query,
        *,
        deadline: float | None = None,
        enough: Callable[[list[dict[str, Any]]], bool] | None = None,
    ) -> tuple[list[dict[str, Any]], ReadCost]:
        """The rows from all partitions; every page of them, unless `enough` says so."""
        began = time.monotonic()
        text, parameters = query

        def read(connection: Connection, call: Call) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = []
            items = connection.container.query_items(
                text,
                parameters=parameters,
                max_item_count=_PAGE,
                timeout=call.remaining,
                enable_cross_partition_query=True,
            )
            for row in items:
                rows.append(row)
                if enough is not None and enough(rows):
                    break
            return rows

        calls: list[Call] = []
        rows = self.call(read, deadline=began + self.max_wait if deadline is None else deadline, calls=calls)
        if isinstance(rows, StoreError):
            raise rows
        return rows, _sum(_NOTHING, calls, time.monotonic() - began)

    def call(
        self, work: Callable[[Connection, Call], _T], *, deadline: float, calls: list[Call], writes: bool = False
    ) -> _T | StoreError:
        """Run the work until it succeeds, for as long as trying again makes sense and time is left.

        A failure is returned, not raised, so that no exception links to the SDK's own, which holds the
        authorization of its request. Each attempt is added to `calls`.
        `writes` tells what a refusal is about.
        """
        _require_sdk()
        while True:
            outcome = self._attempt(work, deadline=deadline, calls=calls, writes=writes)
            if not isinstance(outcome, StoreError):
                return outcome
            pause = _pause_before_retry(outcome, attempt=len(calls), deadline=deadline)
            if pause is None:
                return outcome
            time.sleep(pause)

    def _attempt(
        self, work: Callable[[Connection, Call], _T], *, deadline: float, calls: list[Call], writes: bool
    ) -> _T | StoreError:
        from azure.core.exceptions import AzureError

        from sagatrace.stores.cosmos.errors import translated
        from sagatrace.stores.cosmos.transport import Call, call_within

        with call_within(Call(deadline)) as call:
            calls.append(call)
            try:
                return work(self._opened(), call)
            except (AzureError, AttributeError, KeyError, TypeError, ValueError) as error:
                # The SDK trips over answers that are JSON but not the service's, as a gateway between may give.
                return translated(error, self.address, max_wait=self.max_wait, writes=writes)
            except StoreError as error:
                return error
            finally:
                if call.clock_offset is not None:
                    self._clock_offset = call.clock_offset

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _opened(self) -> Connection:
        with self.lock:
            if self._connection is None:
                from sagatrace.stores.cosmos.connection import Connection

                self._connection = Connection(self.address, credential=self._credential, max_wait=self.max_wait)
            return self._connection


def _next_page(
    query: Query, trace_id: str, place: str | None, connection: Connection, call: Call
) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of one trace past a place, as many as one answer holds, and the place where they go on."""
    text, parameters = query
    headers: list[str | None] = []
    items = connection.container.query_items(
        text,
        parameters=parameters,
        max_item_count=_PAGE,
        timeout=call.remaining,
        partition_key=trace_id,
        # The SDK's own token is the one of whatever the client was last answered, maybe in another thread.
        response_hook=lambda answer, _: headers.append(answer.get(_PLACE)),
    )
    rows = list(next(items.by_page(place), ()))
    return rows, headers[-1] if headers else None


def _decoded(rows: list[dict[str, Any]]) -> tuple[tuple[TraceEvent, ...], tuple[Malformed, ...]]:
    events, malformed = decode_documents([(str(row.get("id", "")), msgspec.json.encode(row)) for row in rows])
    return tuple(events), tuple(malformed)


def _written_at(row: dict[str, Any]) -> int:
    """The second in which the service last wrote the row."""
    return int(row.get("_ts", 0))


def _is_enough(rows: list[dict[str, Any]], limit: int) -> bool:
    """Whether the last row is the first of a second that need not be read now: those before are whole seconds."""
    return len(rows) > limit and _written_at(rows[-1]) != _written_at(rows[-2])


def _require_sdk() -> None:
    """Raises StoreError that says how to get the SDK, where it is not installed."""
    try:
        import azure.cosmos  # noqa: F401
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        raise StoreError("a cosmos: store needs the Azure SDK: pip install 'sagatrace[azure]'")


def _pause_before_retry(failure: StoreError, *, attempt: int, deadline: float) -> float | None:
    """Seconds to wait before trying again within this call; None when it makes no sense or would take too long.

    A host that cannot be reached is not tried again: who calls decides whether to wait for a network.
    """
    from sagatrace.stores.cosmos.errors import is_passing

    if not is_passing(failure):
        return None
    asked = failure.retry_after if isinstance(failure, StoreUnavailableError) else None
    pause = _FIRST_PAUSE * 2 ** min(attempt - 1, 5) * random.uniform(0.5, 1.0) if asked is None else asked  # noqa: S311 - no secret
    return pause if time.monotonic() + pause < deadline else None


def _micros(row: dict[str, Any]) -> int | None:
    """When the event happened; None for a foreign document without a time, which no search can place."""
    try:
        return parse_timestamp(str(row["timestamp"]))
    except (KeyError, EventError):
        return None


def _sum(cost: ReadCost, calls: list[Call], seconds: float) -> ReadCost:
    return ReadCost(
        cost.queries + 1,
        cost.milliseconds + seconds * 1000,
        (cost.request_units or 0.0) + sum(call.request_units for call in calls),
        cost.round_trips + sum(call.requests for call in calls),
    )


def _total(costs: list[ReadCost]) -> ReadCost:
    return ReadCost(
        sum(cost.queries for cost in costs),
        sum(cost.milliseconds for cost in costs),
        sum(cost.request_units or 0.0 for cost in costs),
        sum(cost.round_trips for cost in costs),
    )
