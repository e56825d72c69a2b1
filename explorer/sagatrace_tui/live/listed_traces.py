"""The listed traces, one row each. Running traces keep their events, so that new events need no query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sagatrace.event import TraceEvent
from sagatrace.stores import EventStore, FetchedTrace, TraceHit, fetch_many
from sagatrace_tui.incident.trace_row import TraceRow, trace_row
from sagatrace_tui.live.partition import Partition, ended_by_silence
from sagatrace_tui.live.refresh import Clock, Meter
from sagatrace_tui.model import Trace

__all__ = ["PAGE", "ListedTraces"]

PAGE: Final = 50
_MOST_UNKEPT: Final = 100_000
"""The most traces remembered as not kept. Beyond it, every trace with events is read."""
_LARGE: Final = 20_000
"""A running trace with this many events is not kept. New events cause a full reading."""


Accepts = Callable[[Trace, Collection[TraceEvent]], bool]


class _Running(msgspec.Struct):
    known: Partition
    trace: Trace
    is_outdated: bool = False


class ListedTraces:
    """`rows` by trace id. `stale` are the ids of traces to read. One thread at a time may use it.

    `accepts` returns whether a trace belongs in the list. `keys` are the business keys of its row. The new events of
    running traces are collected first. Then `build_outdated` builds each trace once.
    """

    def __init__(self, store: EventStore, clock: Clock, accepts: Accepts, keys: Sequence[str] = ()) -> None:
        self._store = store
        self._clock = clock
        self._accepts = accepts
        self._keys = keys
        self._running: dict[str, _Running] = {}
        self._read_at: dict[str, int] = {}
        self._count = 0
        self._fresh: dict[str, list[TraceEvent]] = {}  # traces first seen in this reading
        self._unkept: set[str] = set()  # traces whose events arrived and were not kept
        self.rows: dict[str, TraceRow] = {}
        self.stale: set[str] = set()

    def add_hit(self, hit: TraceHit) -> None:
        """List a trace that a search found. Mark it stale if it has later events than its row."""
        row = self.rows.get(hit.trace_id)
        if row is None or row.latest < hit.latest:
            self._move(hit)
            self.stale.add(hit.trace_id)

    def add_events(self, events: Iterable[TraceEvent], matches: Callable[[TraceEvent], bool], *, stored: bool) -> None:
        """Add events of any traces.

        Args:
            events: the events, in any order.
            matches: returns whether an event adds its trace to the list.
            stored: whether the events come from the store, not from Redis.
        """
        for trace_id, found in _by_trace(events).items():
            latest = max((event.micros for event in found if matches(event)), default=None)
            running = self._running.get(trace_id)
            if running is not None:
                news = running.known.learn(found) if stored else running.known.hear(found)
                running.is_outdated |= news.is_change
                if news.doubtful:
                    self.stale.add(trace_id)
                if latest is not None and latest > self.rows[trace_id].latest:
                    self._move(TraceHit(trace_id, latest))
            elif latest is not None or trace_id in self.rows:
                self.stale.add(trace_id)
                if latest is not None:
                    self.add_hit(TraceHit(trace_id, latest))
            else:
                self._unkept.add(trace_id)

    def hold(self, events: Iterable[TraceEvent], matches: Callable[[TraceEvent], bool]) -> None:
        """Add events from the store. Hold the events of new traces until `settle`."""
        known: list[TraceEvent] = []
        for trace_id, found in _by_trace(events).items():
            if trace_id in self._fresh:
                self._fresh[trace_id] += found
            elif trace_id not in self.rows and self._is_unmet(trace_id) and any(map(matches, found)):
                self._fresh[trace_id] = found
            else:
                known += found
        self.add_events(known, matches, stored=True)

    def _is_unmet(self, trace_id: str) -> bool:
        return trace_id not in self._unkept and len(self._unkept) < _MOST_UNKEPT

    def settle(
        self, begun_before: Callable[[list[str]], Container[str]] | None, matches: Callable[[TraceEvent], bool]
    ) -> None:
        """List the held traces. Build a trace from its held events if they are complete; otherwise mark it stale.

        Args:
            begun_before: returns the traces with earlier events. None assumes that all have earlier events.
            matches: returns whether an event adds its trace to the list.
        """
        held, self._fresh = self._fresh, {}
        older: Container[str] = held
        try:
            if held and begun_before is not None:
                older = begun_before(list(held))
        finally:  # after an error, all are marked stale
            for trace_id, events in held.items():
                self.add_hit(TraceHit(trace_id, max(event.micros for event in list(filter(matches, events)) or events)))
                if trace_id not in older:
                    known = Partition(self._store, trace_id)
                    known.learn(events)
                    self.stale.discard(trace_id)
                    self._build(known)

    def fetch(self, trace_ids: Sequence[str], meter: Meter, *, whole: bool) -> Iterator[str]:
        """Read traces and yield their ids. Read only new events of traces with kept events, unless `whole`.

        Raises:
            StoreError: the store cannot be read.
        """
        kept = dict.fromkeys(one for one in trace_ids if one in self._running and not whole)
        for trace_id in kept:
            running = self._running[trace_id]
            news = running.known.look(meter)
            self._take(running.known, is_changed=running.is_outdated or news.is_change)
            yield trace_id
        rest = [one for one in trace_ids if one not in kept]
        for found in meter.each(fetch_many(self._store, rest)):
            self._add_whole(found)
            yield found.trace_id

    def add_found(self, traces: Iterable[tuple[TraceHit, FetchedTrace]], meter: Meter) -> Iterator[TraceHit]:
        """List traces that a search found and read. Yield the hits.

        Raises:
            StoreError: the store cannot be read.
        """
        for hit, found in traces:
            meter.add(found.cost)
            self.add_hit(hit)
            self._add_whole(found)
            yield hit

    def _add_whole(self, found: FetchedTrace) -> None:
        known = Partition(self._store, found.trace_id)
        known.learn(found.events, found.malformed)
        self._take(known, is_changed=True)

    def _take(self, known: Partition, *, is_changed: bool) -> None:
        trace_id = known.trace_id
        self.stale.discard(trace_id)
        self._count += 1
        self._read_at[trace_id] = self._count
        if not known.events and not known.malformed:  # expired or deleted since the search
            self._running.pop(trace_id, None)
            self.rows.pop(trace_id, None)
        elif is_changed:
            self._build(known)

    @property
    def unconfirmed(self) -> int:
        """The number of published events that the store does not have yet."""
        return sum(len(running.known.unconfirmed) for running in self._running.values())

    @property
    def must_confirm(self) -> bool:
        """Whether the store must be read now to confirm published events."""
        return any(running.known.must_confirm for running in self._running.values())

    def drop_unconfirmed(self, began: float) -> None:
        """Drop published events that a reading which began at `began` (monotonic seconds) should have found."""
        for running in self._running.values():
            running.is_outdated |= running.known.drop_unconfirmed(began)

    def oldest_readings(self) -> list[str]:
        """Return the ids of running traces, the least recently read first, at most a page."""
        ids = [row.trace_id for row in self.rows.values() if row.is_running and row.trace_id not in self.stale]
        return sorted(ids, key=lambda trace_id: self._read_at.get(trace_id, 0))[:PAGE]

    def build_outdated(self) -> None:
        """Build running traces again that have new events, or that have ended by silence."""
        now = self._clock()
        for running in list(self._running.values()):
            if running.is_outdated or ended_by_silence(running.trace, now):
                self._build(running.known)

    def mark_stale(self) -> None:
        """Mark every listed trace to be read again."""
        self.stale.update(self.rows)

    def keep(self, most: int) -> TraceHit | None:
        """Drop the oldest rows beyond `most`. Return the last row kept, or None if no row was dropped."""
        if len(self.rows) <= most:
            return None
        ordered = self.ordered()
        for row in ordered[most:]:
            for kept in (self.rows, self._running, self._read_at):
                kept.pop(row.trace_id, None)
            self.stale.discard(row.trace_id)
            self._unkept.add(row.trace_id)
        return TraceHit(ordered[most - 1].trace_id, ordered[most - 1].latest)

    def ordered(self) -> list[TraceRow]:
        """Return the rows, latest activity first."""
        return sorted(self.rows.values(), key=lambda row: (row.latest, row.trace_id), reverse=True)

    def _build(self, known: Partition) -> None:
        trace = known.build_trace(self._clock())
        matches, latest = self._accepts(trace, known.events), self.rows[known.trace_id].latest
        latest = min(latest, max((event.micros for event in known.events), default=latest))
        row = self.rows[known.trace_id] = trace_row(trace, latest, self._keys, matches=matches)
        if (row.is_running or known.unconfirmed) and len(known.events) < _LARGE:
            self._running[known.trace_id] = _Running(known, trace)
        else:
            self._running.pop(known.trace_id, None)

    def _move(self, hit: TraceHit) -> None:
        """Set the time of a row's latest event, or add the row."""
        row = self.rows.get(hit.trace_id)
        self.rows[hit.trace_id] = TraceRow(hit.trace_id, hit.latest) if row is None else replace(row, latest=hit.latest)


def _by_trace(events: Iterable[TraceEvent]) -> dict[str, list[TraceEvent]]:
    by_trace: dict[str, list[TraceEvent]] = {}
    for event in events:
        by_trace.setdefault(event.trace_id, []).append(event)
    return by_trace
