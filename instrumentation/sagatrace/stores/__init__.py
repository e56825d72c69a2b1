"""Where events are kept: one protocol, several stores, each imported only when it is opened.

sqlite:///here.db, sqlite:////tmp/absolute.db    embedded, the default
memory:                                          gone with the process; for tests
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sagatrace.errors import EventError, StoreError
from sagatrace.events import TraceEvent, decode_event, decode_events
from sagatrace.settings import masked

__all__ = [
    "EventStore",
    "FetchedTrace",
    "Malformed",
    "ReadCost",
    "Search",
    "TraceHit",
    "decode_documents",
    "open_store",
]


@dataclass(frozen=True, slots=True)
class ReadCost:
    """What one read took: round trips, milliseconds, and request units where the store charges them."""

    queries: int
    milliseconds: float
    request_units: float | None = None


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


@dataclass(frozen=True, slots=True)
class Search:
    """Which traces to list: the newest `limit` with an event before `before` (microseconds since 1970)."""

    limit: int = 50
    before: int | None = None
    trace_prefix: str = ""


@dataclass(frozen=True, slots=True)
class TraceHit:
    """A trace found, and when its latest matching event happened (microseconds since 1970)."""

    trace_id: str
    latest: int


@runtime_checkable
class EventStore(Protocol):
    """What every store does. All calls block, are safe from several threads, and raise StoreError."""

    @property
    def label(self) -> str:
        """The store's address, fit to be shown."""
        ...

    def append(self, events: Iterable[TraceEvent]) -> int:
        """Store the events durably, together, and say how many were new: (trace_id, id) already there is kept."""
        ...

    def fetch_trace(self, trace_id: str) -> FetchedTrace:
        """Everything of one trace, in one read."""
        ...

    def search(self, search: Search) -> list[TraceHit]:
        """The traces with the latest matching events, newest first, each once.

        Paging: ask again with `before` set to the last hit's `latest`. A trace whose older events match too may
        come again; the caller merges by trace id.
        """
        ...

    def close(self) -> None:
        """Let go of connections; a later call opens them again."""
        ...


def open_store(url: str, *, read_only: bool = False, max_wait: float = 5.0) -> EventStore:
    """The store at the URL. Opens no connection yet, so that a process may fork between this and first use.

    `read_only` never creates nor writes anything. Raises StoreError for a URL no store answers to.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite":
        from sagatrace.stores.sqlite import SqliteStore, path_from_url

        return SqliteStore(path_from_url(url), read_only=read_only, max_wait=max_wait)
    if url == "memory:":
        from sagatrace.stores.memory import MemoryStore

        return MemoryStore()
    hint = f"; for a file write sqlite:///{url}" if not rest else ""
    raise StoreError(f"no store answers to {masked(url)!r}: use sqlite:///PATH or memory:{hint}")


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
