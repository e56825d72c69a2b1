"""Stores of events: one protocol, and several stores. A store is imported only when it is opened.

sqlite:///here.db, sqlite:////tmp/absolute.db    embedded, the default
cosmos://HOST[:PORT]/DATABASE/CONTAINER          Azure Cosmos DB for NoSQL; keys come from the environment only
memory:                                          in this process only; for tests
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from sagatrace.errors import StoreError, StoreUnavailableError, StoreUrlError
from sagatrace.event import TraceEvent
from sagatrace.shown import printable
from sagatrace.stores.changes import Arrived, Changes, FindsWhole, KnowsBeginnings, ReadsMany, TellsChanges
from sagatrace.stores.codec import Malformed, decode_documents
from sagatrace.stores.search import DataIs, Search, TraceHit, data_condition

__all__ = [
    "AppendError",
    "Arrived",
    "Changes",
    "DataIs",
    "EventStore",
    "FetchedTrace",
    "FindsWhole",
    "KnowsBeginnings",
    "Malformed",
    "ReadCost",
    "ReadsMany",
    "RefusedEvent",
    "RemovesEvents",
    "Search",
    "TellsChanges",
    "TraceHit",
    "TraceHits",
    "TriesWriting",
    "data_condition",
    "decode_documents",
    "fetch_many",
    "open_store",
]


class ReadCost(msgspec.Struct, frozen=True):
    """The cost of one call: queries, milliseconds, and request units if the store charges them.

    `round_trips` counts each request over a network, also for further pages and for opening a connection.
    """

    queries: int
    milliseconds: float
    request_units: float | None = None
    round_trips: int = 0


class FetchedTrace(msgspec.Struct, frozen=True):
    """All documents stored under one trace id, in any order. For an unknown id there are no events."""

    trace_id: str
    events: tuple[TraceEvent, ...]
    malformed: tuple[Malformed, ...]
    cost: ReadCost


class TraceHits(list[TraceHit]):
    """The traces found, newest first, and the cost of finding them."""

    def __init__(self, hits: Iterable[TraceHit], cost: ReadCost) -> None:
        super().__init__(hits)
        self.cost = cost


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event that the store will never accept in this form, and the reason."""

    event: TraceEvent
    reason: str


class AppendError(StoreError):
    """Some events of one `append` were not stored. Events in neither list below are in the store.

    Attributes:
        new: the number of stored events that are new.
        refused: events that the store will never accept. Keep them elsewhere or count them as lost.
        pending: events that may be sent again, after `retry_after` seconds if that is set.
        cause: the error because of which `pending` was not stored.
    """

    def __init__(
        self,
        message: str,
        *,
        new: int,
        refused: Sequence[RefusedEvent] = (),
        pending: Sequence[TraceEvent] = (),
        cause: StoreError | None = None,
    ) -> None:
        super().__init__(message)
        self.new = new
        self.refused = tuple(refused)
        self.pending = tuple(pending)
        self.cause = cause

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before sending `pending` again, as the store requests; None if it does not."""
        return self.cause.retry_after if isinstance(self.cause, StoreUnavailableError) else None


@runtime_checkable
class EventStore(Protocol):
    """The calls of every store. All calls block, are safe from several threads, and raise StoreError."""

    @property
    def label(self) -> str:
        """The store's address, without secrets."""
        ...

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events durably. Return the number of new events, by (trace_id, id).

        An event that is already stored stays. With `replace` it is overwritten. Use `replace` for observed events, not
        for presumed ones.

        Raises:
            AppendError: some events were not stored.
            StoreError: no event was stored.
        """
        ...

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
        """Return all documents of one trace. A store that reads in parts calls `arrived` after each part."""
        ...

    def search(self, search: Search) -> TraceHits:
        """Return the traces with the latest matching events, newest first, each once.

        Equal times are ordered by trace id, descending. For the next page, search with `search.after(hits[-1])`. A
        trace with older matching events may appear again on a later page.
        """
        ...

    def close(self) -> None:
        """Close the connections. A later call opens them again."""
        ...


@runtime_checkable
class RemovesEvents(Protocol):
    """A store that can remove events, such as those written for a check."""

    def remove(self, events: Iterable[TraceEvent]) -> None:
        """Remove the events if they are stored. Raises StoreError."""
        ...


@runtime_checkable
class TriesWriting(Protocol):
    """A store that can try to write without a trace of it."""

    def try_write(self, event: TraceEvent) -> bool:
        """Store an event, read it back and remove it. Readers of changes never see it. Raises StoreError.

        Returns:
            Whether the stored event was read back.
        """
        ...


def open_store(url: str, *, read_only: bool = False, max_wait: float = 5.0, durable: bool = False) -> EventStore:
    """Return the store at the URL. The connection opens on first use, so the process may fork in between.

    Args:
        url: the store's URL.
        read_only: neither create nor write the store.
        max_wait: seconds that one call may wait for the store.
        durable: make events in a local file survive a loss of power.

    Raises:
        StoreUrlError: the URL cannot be used.
    """
    scheme, colon, rest = url.strip().partition(":")
    scheme = scheme.lower() if colon else scheme
    url = f"{scheme}{colon}{rest}"
    if scheme == "sqlite":
        from sagatrace.store_url import path_from_url
        from sagatrace.stores.sqlite import SqliteStore

        return SqliteStore(path_from_url(url), read_only=read_only, max_wait=max_wait, durable=durable)
    if url == "memory:":
        from sagatrace.stores.memory import MemoryStore

        return MemoryStore()
    if scheme == "cosmos":
        from sagatrace.stores.cosmos.store import CosmosStore, parse_address

        return CosmosStore(parse_address(url), read_only=read_only, max_wait=max_wait)
    if url == "off":
        raise StoreUrlError("no store: SAGATRACE or SAGATRACE_STORE is `off`; name one, like --store sqlite:///PATH")
    # Never print the URL itself: in an unknown URL a password or a key cannot be found and masked.
    name, hint = (f"{scheme[:20]}:…", "") if rest else (url, f"; for a file write sqlite:///{printable(url)}")
    forms = "sqlite:///PATH, cosmos://HOST/DATABASE/CONTAINER or memory:"
    raise StoreUrlError(f"unknown store URL {name!r}: use {forms}{hint}")


def fetch_many(store: EventStore, trace_ids: Sequence[str]) -> Iterator[FetchedTrace]:
    """Yield these traces in the given order. Read many in one query if the store can, or else one by one."""
    if isinstance(store, ReadsMany):
        yield from store.fetch_traces(trace_ids)
    else:
        yield from map(store.fetch_trace, trace_ids)
