"""Where events are kept: one protocol, several stores, each imported only when it is opened.

sqlite:///here.db, sqlite:////tmp/absolute.db    embedded, the default
cosmos://HOST[:PORT]/DATABASE/CONTAINER          Azure Cosmos DB for NoSQL; keys come from the environment only
memory:                                          gone with the process; for tests
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sagatrace.errors import EventError, StoreError, StoreUnavailableError
from sagatrace.event import TraceEvent
from sagatrace.settings import masked
from sagatrace.stores.changes import Arrived, Changes, KnowsBeginnings, ReadsMany, TellsChanges
from sagatrace.stores.codec import decode_event, decode_events
from sagatrace.stores.search import DataIs, Search, TraceHit, data_condition

__all__ = [
    "AppendError",
    "Arrived",
    "Changes",
    "DataIs",
    "EventStore",
    "FetchedTrace",
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
    "data_condition",
    "decode_documents",
    "fetch_many",
    "open_store",
]


@dataclass(frozen=True, slots=True)
class ReadCost:
    """What one call took: queries asked, milliseconds, and request units where the store charges them.

    `round_trips` counts every request over a network, further pages and the opening of a connection among them.
    """

    queries: int
    milliseconds: float
    request_units: float | None = None
    round_trips: int = 0


@dataclass(frozen=True, slots=True)
class Malformed:
    """A stored document that is not an event: kept and shown, never an exception."""

    document_id: str
    fault: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class FetchedTrace:
    """Everything stored under one trace id, in no particular order; no events when there is none."""

    trace_id: str
    events: tuple[TraceEvent, ...]
    malformed: tuple[Malformed, ...]
    cost: ReadCost


class TraceHits(list[TraceHit]):
    """The traces found, newest first, and what finding them took."""

    def __init__(self, hits: Iterable[TraceHit], cost: ReadCost) -> None:
        super().__init__(hits)
        self.cost = cost


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event the store will never take as it is, and why."""

    event: TraceEvent
    reason: str


class AppendError(StoreError):
    """Not everything of one `append` was stored. What is in neither list below is in the store.

    `refused` will never be taken: keep it elsewhere or count it as lost, and do not send it again. `pending` may be
    sent again, after `retry_after` seconds where the store said so; `cause` says what stood in the way. `new` is
    how many of the stored ones were not there before.
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
        """Seconds to wait before sending `pending` again, as the store asked for; None when it did not say."""
        return self.cause.retry_after if isinstance(self.cause, StoreUnavailableError) else None


@runtime_checkable
class EventStore(Protocol):
    """What every store does. All calls block, are safe from several threads, and raise StoreError."""

    @property
    def label(self) -> str:
        """The store's address, fit to be shown."""
        ...

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events durably and say how many were new, by (trace_id, id).

        One already there is kept, or with `replace` overwritten: `replace` is for what was seen, without it for
        what is only presumed. Raises AppendError when some were not stored, any other StoreError when none was.
        """
        ...

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
        """Everything of one trace, in one read; `arrived` is told of its parts, if it comes in parts."""
        ...

    def search(self, search: Search) -> TraceHits:
        """The traces with the latest matching events, newest first, each once; equal times by trace id, descending.

        Paging: ask again with `search.after(hits[-1])`. A trace whose older events match too may come again; the
        caller merges by trace id.
        """
        ...

    def close(self) -> None:
        """Let go of connections; a later call opens them again."""
        ...


@runtime_checkable
class RemovesEvents(Protocol):
    """A store from which an event that served a check can be taken again."""

    def remove(self, events: Iterable[TraceEvent]) -> None:
        """Remove the events that are there. Raises StoreError."""
        ...


def open_store(url: str, *, read_only: bool = False, max_wait: float = 5.0, durable: bool = False) -> EventStore:
    """The store at the URL. Opens no connection yet, so that a process may fork between this and first use.

    `read_only` never creates nor writes anything. `durable` lets events survive a loss of power, in a local file, too.
    Raises StoreError for an unknown store URL.
    """
    scheme, colon, rest = url.strip().partition(":")
    scheme = scheme.lower() if colon else scheme
    url = f"{scheme}{colon}{rest}"
    if scheme == "sqlite":
        from sagatrace.stores.sqlite import SqliteStore, path_from_url

        return SqliteStore(path_from_url(url), read_only=read_only, max_wait=max_wait, durable=durable)
    if url == "memory:":
        from sagatrace.stores.memory import MemoryStore

        return MemoryStore()
    if scheme == "cosmos":
        from sagatrace.stores.cosmos.access import CosmosSettings
        from sagatrace.stores.cosmos.store import CosmosStore, parse_address

        address = parse_address(url, CosmosSettings.from_env())
        return CosmosStore(address, read_only=read_only, max_wait=max_wait)
    hint = f"; for a file write sqlite:///{url}" if not rest else ""
    raise StoreError(
        f"unknown store URL {masked(url)!r}: use sqlite:///PATH, cosmos://HOST/DATABASE/CONTAINER or memory:{hint}"
    )


def fetch_many(store: EventStore, trace_ids: Sequence[str]) -> Iterator[FetchedTrace]:
    """Yield these traces in the order given: many in one query where the store can, else one by one."""
    if isinstance(store, ReadsMany):
        yield from store.fetch_traces(trace_ids)
    else:
        yield from map(store.fetch_trace, trace_ids)


def decode_documents(documents: Iterable[tuple[str, bytes]]) -> tuple[list[TraceEvent], list[Malformed]]:
    """Stored (id, document) pairs as events, and those that are none with what is wrong with them."""
    pairs = list(documents)
    with suppress(EventError):  # one bad document among them, and each is read by itself
        return decode_events(document for _, document in pairs), []
    events: list[TraceEvent] = []
    malformed: list[Malformed] = []
    for document_id, document in pairs:
        try:
            events.append(decode_event(document))
        except EventError as error:
            excerpt = document[:200].decode("utf-8", "backslashreplace")
            malformed.append(Malformed(document_id, str(error), excerpt))
    return events, malformed
