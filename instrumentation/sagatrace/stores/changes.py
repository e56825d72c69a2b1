"""What a store may be able to do beside the rest: say what is new, and read many traces at once.

Readers do without where a store does: they read traces whole, and one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from sagatrace.event import TraceEvent
    from sagatrace.stores import FetchedTrace, Malformed, ReadCost

__all__ = ["Arrived", "Changes", "KnowsBeginnings", "ReadsMany", "TellsChanges"]

Arrived: TypeAlias = Callable[[int], object]
"""Told how many documents of a trace have come so far, by a store that reads it in parts; what it raises ends that."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What was stored, or replaced, since an earlier reading; it may hold what that one held too.

    `cursor` is what the next reading goes on from. `whole` says that this is everything: there was no earlier
    reading, or not of this file. `more` says that a limit cut it: there is more to be asked for at once.
    """

    events: tuple[TraceEvent, ...]
    malformed: tuple[Malformed, ...]
    cursor: str
    cost: ReadCost
    whole: bool = False
    more: bool = False


@runtime_checkable
class TellsChanges(Protocol):
    """A store that knows what is new. All calls block, are safe from several threads, and raise StoreError."""

    def stamp(self) -> str | None:
        """Differs from an earlier one if anything was stored in between; None where telling costs as much as reading.

        Equal stamps mean that nothing was; different ones need not mean that something was.
        """
        ...

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:
        """What of one trace is new since the reading that gave the cursor; everything, without one.

        What was removed from the store since, as by its age, is not told of.
        """
        ...

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        """What is new of all traces, oldest first, about `limit` events; without a cursor nothing, and one of now."""
        ...


@runtime_checkable
class ReadsMany(Protocol):
    """A store that reads many traces in one query. Safe from several threads; raises StoreError."""

    def fetch_traces(self, trace_ids: Sequence[str]) -> Iterator[FetchedTrace]:
        """Yield these traces, each once and whole, in the order given; of one that is not stored no events.

        The cost of a query is that of the first trace it brings. The others have none.
        """
        ...


@runtime_checkable
class KnowsBeginnings(Protocol):
    """A store that charges for reading, and can say whether what was new of a trace is all of it."""

    def begun_before(self, trace_ids: Sequence[str], cursor: str) -> frozenset[str]:
        """Return those of the traces that have events from before the first reading that led to the cursor.

        All events of the others came with `fetch_all_since`. Raises StoreError.
        """
        ...
