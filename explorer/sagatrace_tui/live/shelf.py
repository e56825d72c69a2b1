"""The listed traces: each in one row, and those that run kept at hand, so that what comes need not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sagatrace.events import TraceEvent
from sagatrace.stores import EventStore, TraceHit
from sagatrace_tui.live.partition import News, Partition
from sagatrace_tui.live.reading import PAGE, Clock, Meter
from sagatrace_tui.model import Trace
from sagatrace_tui.views.trace_row import TraceRow, trace_row

__all__ = ["Shelf"]

_LARGE: Final = 20_000
"""Events of a trace from which on it is not kept at hand."""


@dataclass(slots=True)
class _Held:
    partition: Partition
    trace: Trace


class Shelf:
    """Rows by trace id; `stale` are those to be read. One thread at a time may use it."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._read_at: dict[str, int] = {}
        self._count = 0
        self.rows: dict[str, TraceRow] = {}
        self.stale: set[str] = set()

    def found(self, hit: TraceHit) -> None:
        """A search found this; it is stale if that is news."""
        row = self.rows.get(hit.trace_id)
        if row is None or row.latest < hit.latest:
            self.rows[hit.trace_id] = _moved(row, hit)
            self.stale.add(hit.trace_id)

    def take_in(self, events: Iterable[TraceEvent], matches: Callable[[TraceEvent], bool], *, stored: bool) -> None:
        """Take up events of any traces: `stored` ones are as the store has them, others were heard of.

        `matches` says of an event whether its trace is to be listed for it.
        """
        by_trace: dict[str, list[TraceEvent]] = {}
        for event in events:
            by_trace.setdefault(event.trace_id, []).append(event)
        for trace_id, news in by_trace.items():
            latest = max((event.micros for event in news if matches(event)), default=None)
            held = self._held.get(trace_id)
            if held is not None:
                told = held.partition.learn(news) if stored else held.partition.hear(news)
                if told.doubtful:
                    self.stale.add(trace_id)
                self._keep(held, told, latest)
            elif latest is not None or trace_id in self.rows:
                self.stale.add(trace_id)
                if latest is not None:
                    self.found(TraceHit(trace_id, latest))

    def fetch(self, trace_id: str, meter: Meter, *, whole: bool) -> None:
        """Read the trace, or what is new of one that is at hand. Raises StoreError."""
        held = self._held.get(trace_id)
        partition = held.partition if held is not None else Partition(self._store, trace_id)
        news = partition.look(meter, whole=whole)
        self.stale.discard(trace_id)
        self._count += 1
        self._read_at[trace_id] = self._count
        if not partition.events and not partition.malformed:  # expired or deleted since it was found
            self._held.pop(trace_id, None)
            self.rows.pop(trace_id, None)
        elif held is not None:
            self._keep(held, news, None)
        else:
            self._show(_Held(partition, partition.folded(self._clock())), None)

    def running(self) -> list[str]:
        """Those that ran when read last, those not read for longest first."""
        ids = [row.trace_id for row in self.rows.values() if row.is_running and row.trace_id not in self.stale]
        return sorted(ids, key=lambda trace_id: self._read_at.get(trace_id, 0))[:PAGE]

    def judge_silent(self) -> None:
        """A running trace ends by silence as well."""
        now = self._clock()
        for held in list(self._held.values()):
            if held.trace.is_idle(now):
                self._keep(held, News(), None)

    def forget_all(self) -> None:
        """Every listed trace is to be read again."""
        self.stale.update(self.rows)

    def keep(self, most: int) -> TraceHit | None:
        """Let go of the oldest rows past so many; the last one kept, if any went."""
        if len(self.rows) <= most:
            return None
        ordered = self.ordered()
        for row in ordered[most:]:
            for kept in (self.rows, self._held, self._read_at):
                kept.pop(row.trace_id, None)
            self.stale.discard(row.trace_id)
        return TraceHit(ordered[most - 1].trace_id, ordered[most - 1].latest)

    def ordered(self) -> list[TraceRow]:
        """The rows, latest activity first."""
        return sorted(self.rows.values(), key=lambda row: (row.latest, row.trace_id), reverse=True)

    def _keep(self, held: _Held, news: News, latest: int | None) -> None:
        if news.rewritten:
            held.trace = held.partition.folded(self._clock())
        else:
            held.trace.add(news.added, now=self._clock())
        self._show(held, latest)

    def _show(self, held: _Held, latest: int | None) -> None:
        trace_id = held.partition.trace_id
        row = trace_row(held.trace, max(latest or self.rows[trace_id].latest, self.rows[trace_id].latest))
        self.rows[trace_id] = row
        if row.is_running and len(held.partition.events) < _LARGE:
            self._held[trace_id] = held
        else:
            self._held.pop(trace_id, None)


def _moved(row: TraceRow | None, hit: TraceHit) -> TraceRow:
    if row is None:
        return TraceRow(hit.trace_id, hit.latest)
    values = {name: getattr(row, name) for name in TraceRow.__slots__}
    return TraceRow(**{**values, "latest": hit.latest})
