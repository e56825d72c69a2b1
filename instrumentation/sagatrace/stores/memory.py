"""Events in this process's memory: for tests, and for looking at an imported file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from sagatrace.events import TraceEvent, decode_event, encode_event
from sagatrace.stores import FetchedTrace, ReadCost, Search, TraceHit, TraceHits, decode_documents

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps the encoded documents, so that what comes back has made the same way as through a real store."""

    label = "memory:"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, dict[str, bytes]] = {}
        self._times: dict[str, dict[str, int]] = {}

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events and say how many were new."""
        new = 0
        with self._lock:
            for event in events:
                documents = self._documents.setdefault(event.trace_id, {})
                known = event.id in documents
                new += not known
                if replace or not known:
                    documents[event.id] = encode_event(event)
                    self._times.setdefault(event.trace_id, {})[event.id] = event.micros
        return new

    def fetch_trace(self, trace_id: str) -> FetchedTrace:
        """Everything of one trace."""
        began = time.perf_counter()
        with self._lock:
            documents = list(self._documents.get(trace_id, {}).items())
        events, malformed = decode_documents(documents)
        cost = ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000)
        return FetchedTrace(trace_id, tuple(events), tuple(malformed), cost)

    def search(self, search: Search) -> TraceHits:
        """The traces with the latest matching events, newest first."""
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
        """Nothing to let go of: the events stay as long as the store does."""
