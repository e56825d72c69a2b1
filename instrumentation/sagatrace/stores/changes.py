"""Optional abilities of a store: return only new events, read many traces in one query, and search with reading.

With a store that lacks them, readers read whole traces, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from sagatrace.event import TraceEvent
    from sagatrace.stores import FetchedTrace, Malformed, ReadCost
    from sagatrace.stores.search import Search, TraceHit

__all__ = ["Arrived", "Changes", "FindsWhole", "KnowsBeginnings", "ReadsMany", "TellsChanges"]

Arrived: TypeAlias = Callable[[int], object]
"""A callback for a trace read in parts. It gets the number of documents so far. An exception stops the reading."""


class Changes(msgspec.Struct, frozen=True):
    """The events stored or replaced since an earlier read. They may repeat events of that read.

    Attributes:
        cursor: the place where the next read continues.
        whole: whether these are all events, because there was no earlier read of this file.
        more: whether the limit was reached, so that more events can be read immediately.
    """

    events: tuple[TraceEvent, ...]
    malformed: tuple[Malformed, ...]
    cursor: str
    cost: ReadCost
    whole: bool = False
    more: bool = False


@runtime_checkable
class TellsChanges(Protocol):
    """A store that can return only new events. Calls block, are safe from several threads, and raise StoreError."""

    def stamp(self) -> str | None:
        """Return a text that changes whenever the store changes.

        Equal stamps mean that no event was stored in between. Different stamps do not prove a change. None means that a
        stamp would cost as much as a read.
        """
        ...

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:
        """Return the events of one trace stored since the read that returned the cursor. Without a cursor, return all.

        Removed events, such as expired ones, are not reported.
        """
        ...

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        """Return about `limit` new events of all traces, oldest first.

        Without a cursor, return no events, and a cursor for the current end of the store.
        """
        ...


@runtime_checkable
class ReadsMany(Protocol):
    """A store that reads many traces in one query. Safe from several threads; raises StoreError."""

    def fetch_traces(self, trace_ids: Sequence[str]) -> Iterator[FetchedTrace]:
        """Yield these traces completely, each once, in the given order. A trace that is not stored has no events.

        The first trace of a query has the query's cost. The others cost nothing.
        """
        ...


@runtime_checkable
class FindsWhole(Protocol):
    """A store that charges for each document read. It can find traces together with their documents."""

    def search_whole(self, search: Search, known: Container[str] = ()) -> Iterator[tuple[TraceHit, FetchedTrace]]:
        """Yield the traces with the latest events completely, each once, newest first. Raises StoreError.

        Fewer traces than `search.limit` mean that there are no others. A few more than the limit are possible. For the
        next page, search with `search.after` of the last trace.

        Args:
            search: a search without a condition on an event's content.
            known: the ids of traces to skip.
        """
        ...


@runtime_checkable
class KnowsBeginnings(Protocol):
    """A store that charges for reads, and knows which traces began before a cursor."""

    def begun_before(self, trace_ids: Sequence[str], cursor: str) -> frozenset[str]:
        """Return the traces that have events older than the cursor's first read.

        `fetch_all_since` has returned all events of the others. Raises StoreError.
        """
        ...
