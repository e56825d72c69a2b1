"""The memory store: events in this process, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from itertools import takewhile

from sagatrace.event import TraceEvent, encode_event
from sagatrace.stores import Arrived, Changes, FetchedTrace, ReadCost, Search, TraceHit, TraceHits, decode_documents
from sagatrace.stores.codec import decode_event

__all__ = ["MemoryStore"]


class MemoryStore:
    """A store in memory. It keeps encoded documents, so that events are encoded and decoded as in other stores."""

    label = "memory:"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, dict[str, bytes]] = {}
        self._times: dict[str, dict[str, int]] = {}
        self._positions: dict[tuple[str, str], int] = {}  # in the order of the last changes
        self._last = 0

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events. Return the number of new events."""
        new = 0
        with self._lock:
            for event in events:
                documents = self._documents.setdefault(event.trace_id, {})
                known = event.id in documents
                new += not known
                document = encode_event(event)
                if (replace and documents.get(event.id) != document) or not known:
                    documents[event.id] = document
                    self._times.setdefault(event.trace_id, {})[event.id] = event.micros
                    self._last += 1
                    self._positions.pop((event.trace_id, event.id), None)
                    self._positions[event.trace_id, event.id] = self._last
        return new

    def remove(self, events: Iterable[TraceEvent]) -> None:
        """Remove the events if they are stored."""
        with self._lock:
            for event in events:
                for kept in (self._documents, self._times):
                    kept.get(event.trace_id, {}).pop(event.id, None)
                self._positions.pop((event.trace_id, event.id), None)

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:  # noqa: ARG002 - there are no parts
        """Return all documents of one trace."""
        began = time.perf_counter()
        with self._lock:
            documents = list(self._documents.get(trace_id, {}).items())
        events, malformed = decode_documents(documents)
        cost = ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000)
        return FetchedTrace(trace_id, tuple(events), tuple(malformed), cost)

    def stamp(self) -> str:
        """Return the number of changes so far."""
        return str(self._last)

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:  # noqa: ARG002
        """Return the changes of one trace."""
        since = int(cursor or 0)
        with self._lock:
            last = self._last
            found = self._documents.get(trace_id, {})
            documents = [one for one in found.items() if self._positions[trace_id, one[0]] > since]
        return _changes(documents, last, whole=cursor is None)

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        """Return the changes of all traces, oldest first."""
        with self._lock:
            since = self._last if cursor is None else int(cursor)
            newest_first = takewhile(lambda one: one[1] > since, reversed(self._positions.items()))
            found = list(newest_first)[::-1]
            documents = [(event_id, self._documents[trace_id][event_id]) for (trace_id, event_id), _ in found[:limit]]
            more = len(found) > limit
            last = found[limit - 1][1] if more else self._last
        return _changes(documents, last, more=more)

    def search(self, search: Search) -> TraceHits:
        """Return the traces with the latest matching events, newest first."""
        began = time.perf_counter()
        hits = []
        with self._lock:
            for trace_id, times in self._times.items():
                documents = self._documents[trace_id]
                matching = [
                    at
                    for event_id, at in times.items()
                    if search.in_window(trace_id, at)
                    and (not search.reads_documents or search.matches(decode_event(documents[event_id])))
                ]
                if matching:
                    hits.append(TraceHit(trace_id, max(matching)))
        hits.sort(key=lambda hit: (hit.latest, hit.trace_id), reverse=True)
        cost = ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000)
        return TraceHits(hits[: search.limit], cost)

    def close(self) -> None:
        """Do nothing. The events exist as long as the store object."""


def _changes(documents: list[tuple[str, bytes]], last: int, *, whole: bool = False, more: bool = False) -> Changes:
    events, malformed = decode_documents(documents)
    return Changes(tuple(events), tuple(malformed), str(last), ReadCost(1, 0.0), whole=whole, more=more)
