"""Azure Cosmos DB for NoSQL: one container, partition key /trace_id, one partition query per trace.

The SDK is imported only when a connection opens. Its threads and sockets must not cross a fork. So every connection is
closed before this process forks, and opened again on next use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent
from sagatrace.stores import Arrived, Changes, FetchedTrace, Search, TraceHit, TraceHits
from sagatrace.stores.cosmos.address import CosmosAddress, parse_address
from sagatrace.stores.cosmos.call import Call, call_within
from sagatrace.stores.cosmos.cursor import LAG, Cursor
from sagatrace.stores.cosmos.finding import find, find_whole
from sagatrace.stores.cosmos.paging import NOTHING, cost_of, decoded, read_pages, read_traces, total
from sagatrace.stores.cosmos.queries import begun_query, changes_query, seen_query, traces_query
from sagatrace.stores.fork_safety import closed_across_forks

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from sagatrace.stores.cosmos.connection import Connection

__all__ = ["CosmosAddress", "CosmosStore", "parse_address"]

_T = TypeVar("_T")


class CosmosStore:
    """Store events in the container at the address. `sagatrace init` creates the container.

    One call takes at most `max_wait` seconds, plus the system's look-up of the host name. To read large traces, each
    page may take `max_wait` seconds. `credential` replaces azure-identity's DefaultAzureCredential.
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
        self.write_cost = self.remove_cost = NOTHING
        """The cost of all appends and of all removals through this object."""
        self.clock_offset: float | None = None
        """Seconds that this machine's clock is ahead of the service's; None before the first response."""
        self.folds_case = True
        """Whether the service can ignore case in a search."""
        self._connection: Connection | None = None
        closed_across_forks(self)

    @property
    def label(self) -> str:
        """The store's address, without a secret."""
        return self.address.label

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events in transactional batches per trace. Return the number of new events.

        With `replace` an event of the same id is overwritten. Without it the stored event stays. Timestamps are stored
        as fixed-width UTC, because Cosmos DB compares them as text. The service keeps numbers as 64-bit floats, so
        numbers past 2**53 lose digits. Raises AppendError with the refused and the pending events, and StoreError.
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
            self.write_cost = total([self.write_cost, cost_of(writer.calls, time.monotonic() - began)])

    def remove(self, events: Iterable[TraceEvent]) -> None:
        """Remove the events if they are stored, such as the events of a check. Raises StoreError."""
        _require_sdk()
        from sagatrace.stores.cosmos.writer import remove_one

        began = time.monotonic()
        calls: list[Call] = []
        try:
            for event in events:
                self.call(partial(remove_one, event), calls=calls, writes=True)
        finally:
            self.remove_cost = total([self.remove_cost, cost_of(calls, time.monotonic() - began)])

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
        """Return all documents of one trace. One query within its partition reads them. Raises StoreError."""
        rows, _, cost = read_pages(self, traces_query([trace_id]), trace_id, arrived=arrived)
        return FetchedTrace(trace_id, *decoded(rows), cost)

    def fetch_traces(self, trace_ids: Sequence[str]) -> Iterator[FetchedTrace]:
        """Yield these traces. One query reads a hundred traces. Raises StoreError."""
        for found, cost in read_traces(self, traces_query, trace_ids):
            for trace_id, rows in found.items():
                yield FetchedTrace(trace_id, *decoded(rows), cost)
                cost = NOTHING

    def stamp(self) -> None:
        """Return None, because a stamp would cost a query."""

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:
        """Return the changes of one trace since the cursor; the whole trace without one. Raises StoreError."""
        if cursor is None:
            now = self._service_now()
            rows, _, cost = read_pages(self, traces_query([trace_id]), trace_id, arrived=arrived)
            return Changes(*decoded(rows), Cursor.of_now(rows, now).encode(), cost, whole=True)
        place = Cursor.decode(cursor).asking(self._service_now())
        query = changes_query(trace_id, place.since, place.asked)
        rows, _, cost = read_pages(self, query, trace_id, arrived=arrived)
        return Changes(*decoded(rows), place.after(rows, None).encode(), cost)

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        """Return the changes of all traces since the cursor, about `limit` at most. Raises StoreError.

        Without a cursor return no changes, and the cursor of this moment. Within one call, events are in the order of
        their writes, to the second.
        """
        now = self._service_now()
        if cursor is None:  # read only the versions of recent documents, not the documents
            rows, _, cost = read_pages(self, seen_query(now - LAG), None)
            return Changes((), (), Cursor.of_now(rows, now).encode(), cost)
        place = Cursor.decode(cursor).asking(now)
        query = changes_query(None, place.since, place.asked)
        rows, page, cost = read_pages(self, query, None, place=place.page, limit=limit)
        rows.sort(key=lambda row: int(row.get("_ts", 0)))
        return Changes(*decoded(rows), place.after(rows, page).encode(), cost, more=page is not None)

    def begun_before(self, trace_ids: Sequence[str], cursor: str) -> frozenset[str]:
        """Return the traces with events that existed before the cursor's first read. Raises StoreError."""
        query = partial(begun_query, until=Cursor.decode(cursor).first)
        parts = read_traces(self, query, trace_ids)
        return frozenset(trace_id for found, _ in parts for trace_id, rows in found.items() if rows)

    def search(self, search: Search) -> TraceHits:
        """Return the traces with the latest matching events, newest first. Raises StoreError."""
        return find(self, search)

    def search_whole(self, search: Search, known: Container[str] = ()) -> Iterator[tuple[TraceHit, FetchedTrace]]:
        """Yield the traces with the latest matching events, newest first, with all documents. Raises StoreError."""
        return find_whole(self, search, known)

    def readable_regions(self) -> list[str]:
        """Return the names of the account's readable regions. Raises StoreError."""
        account = self.call(lambda connection, _: connection.client.get_database_account())
        return [str(region["name"]) for region in account.ReadableLocations]

    def _service_now(self) -> int:
        """Return the current second of the service's clock, or the one before. Raises StoreError."""
        if self.clock_offset is None:
            self.call(lambda connection, _: connection.container.read())
        return int(time.time() - (self.clock_offset or 0.0))

    def call(
        self,
        work: Callable[[Connection, Call], _T],
        *,
        deadline: float | None = None,
        calls: list[Call] | None = None,
        writes: bool = False,
    ) -> _T:
        """Run the work and return its result. Retry errors that may pass, until the deadline. Raises StoreError.

        The error has no link to the SDK's error, which holds the request's authorization.

        Args:
            work: Runs on the open connection.
            deadline: The end of the call (`time.monotonic`); None for `max_wait` seconds from now.
            calls: Receives one `Call` for each attempt.
            writes: Whether the work writes, for the error about a missing permission.
        """
        _require_sdk()
        from sagatrace.stores.cosmos.errors import pause_before_retry

        calls = [] if calls is None else calls
        deadline = time.monotonic() + self.max_wait if deadline is None else deadline
        attempt = 0
        while True:
            calls.append(Call(deadline))
            outcome = self._attempt(work, calls[-1], writes=writes)
            if not isinstance(outcome, StoreError):
                return outcome
            pause = pause_before_retry(outcome, attempt)
            if pause is None or time.monotonic() + pause >= deadline:
                raise outcome
            time.sleep(pause)
            attempt += 1

    def _attempt(self, work: Callable[[Connection, Call], _T], call: Call, *, writes: bool) -> _T | StoreError:
        from azure.core.exceptions import AzureError

        from sagatrace.stores.cosmos.errors import translated

        with call_within(call):
            try:
                return work(self._opened(), call)
            except (AzureError, AttributeError, KeyError, TypeError, ValueError) as error:
                # The SDK raises these for JSON that is not from the service, such as a gateway's response.
                return translated(error, self.address, max_wait=self.max_wait, writes=writes)
            except StoreError as error:
                return error
            finally:
                if call.clock_offset is not None:
                    self.clock_offset = call.clock_offset

    def close(self) -> None:
        """Close the connection. The next call opens a new one."""
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


def _require_sdk() -> None:
    """Raise StoreError that says how to install the SDK, if it is missing."""
    try:
        import azure.cosmos  # noqa: F401
    except ImportError:
        raise StoreError("a cosmos: store needs the Azure SDK: pip install 'sagatrace[azure]'") from None
