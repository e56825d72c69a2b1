"""One trace, kept up to date with the store."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from sagatrace.mirror import Mirror
from sagatrace.stores import EventStore
from sagatrace_tui.collector import CollectorPaused
from sagatrace_tui.live.partition import GivenUpError, News, Partition, ended_by_silence
from sagatrace_tui.live.refresh import AFRESH, LOOK, Clock, Meter, Refresh, error_line, wall_clock
from sagatrace_tui.live.status import LiveStatus
from sagatrace_tui.model import Trace
from sagatrace_tui.views.outline import Outline

__all__ = ["OpenTrace", "TraceFeed", "prepare"]

_MANY: Final = 20_000
"""From this many events, the cyclic garbage collector ignores the trace. Its passes would stop the screen."""


class OpenTrace(msgspec.Struct, frozen=True):
    """One trace as of `now`. `trace` is None before the first reading, and has no events if the store has none.

    `queries` and `micros` are the cost of the last reading that asked the store. `known` is the number of known events.
    `fault` is the error of the last reading. The object never changes, so another thread may read it.
    """

    trace: Trace | None
    outline: Outline | None
    now: int
    queries: int
    micros: int
    fault: str | None
    status: LiveStatus
    known: int


class TraceFeed:
    """Reads one trace of a store. Yields the same `Trace` object again until something changes.

    The first reading is complete. Later readings read only new events: at intervals, and immediately if published
    events may have been missed. Published events are merged by event id. After new events, a new trace is built from
    all events. A trace that has ended is read completely once more.
    """

    def __init__(self, store: EventStore, trace_id: str, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._known = Partition(store, trace_id)
        self._refresh = Refresh()
        self._trace: Trace | None = None
        self._outline: Outline | None = None
        self._is_outdated = False  # there are events that the trace does not have
        self._is_checked = False  # the whole trace was read from the store after its end
        self._cost = Meter(clock)
        self._fault: str | None = None  # until the store is read again

    def listen(self, mirror: Mirror, wake: Callable[[], object]) -> None:
        """Receive published events. `wake` is called in another thread when events arrive."""
        self._refresh.listen(mirror, self._known.trace_id, wake)

    def deafen(self) -> None:
        """Stop receiving published events."""
        self._refresh.deafen()

    @property
    def arrived(self) -> int:
        """The number of documents that the current reading has received. Any thread may read it."""
        return self._known.arrived

    @property
    def is_large(self) -> bool:
        """Whether the garbage collector ignores the trace, or would once it is read. Any thread may ask."""
        return max(len(self._known.events), self._known.arrived) >= _MANY

    def give_up(self) -> None:
        """End a long reading early. Any thread may call it."""
        self._known.given_up = True

    def read(self, wishes: frozenset[str] = frozenset()) -> Iterator[OpenTrace]:
        """Add the published events, read the store if a reading is due, and yield the newest trace."""
        meter, before = Meter(self._clock), self._trace
        try:
            with CollectorPaused():
                self._update(meter, wishes)
        except GivenUpError:
            pass  # the screen closes
        except Exception as error:  # noqa: BLE001 - shown on the screen; the next reading tries again
            self._fault = error_line(error, was_read=self._known.is_read)
        self._cost = meter if meter.queries else self._cost
        is_new = self._trace is not before
        del before  # or it would live during the yield
        try:
            yield OpenTrace(
                trace=self._trace,
                outline=self._outline,
                now=self._clock(),
                queries=self._cost.queries,
                micros=self._cost.micros,
                fault=self._fault,
                status=self._refresh.status(len(self._known.unconfirmed)),
                known=len(self._known.events),
            )
        finally:  # also if the reader takes nothing more
            if is_new and self.is_large:
                _return_free_memory()

    def _update(self, meter: Meter, wishes: frozenset[str]) -> None:
        if LOOK in wishes:
            self._refresh.ask()
        published = self._refresh.take()
        if self._known.is_read:  # the first reading will contain them all
            self._note(self._known.hear(published))
        try:
            self._read_store(meter, afresh=AFRESH in wishes)
        finally:  # show published events even if the store fails
            if self._known.is_read:
                self._build()

    def _note(self, news: News) -> None:
        if news.is_change:
            self._is_outdated, self._is_checked = True, False
            self._refresh.note_news()
        self._refresh.is_behind |= news.doubtful

    def _read_store(self, meter: Meter, *, afresh: bool) -> None:
        known, trace = self._known, self._trace
        has_ended = trace is not None and trace.status != "running" and not self._is_outdated
        self._refresh.is_behind |= known.must_confirm
        to_check = has_ended and not self._is_checked
        if not afresh and not self._refresh.is_due(early=to_check):
            return
        whole = afresh or to_check or not known.is_read
        with self._refresh.reading(is_over=has_ended):
            self._note(known.look(meter, whole=whole))
            self._refresh.is_free = known.tells_for_free
        self._fault = None
        self._is_outdated |= afresh
        self._is_checked |= whole

    def _build(self) -> None:
        """Build the trace again if it has new events or has ended by silence."""
        if self._known.given_up:
            return
        now = self._clock()
        if self._trace is not None and not self._is_outdated:
            if not ended_by_silence(self._trace, now):
                return
            self._is_checked = False
        trace = self._known.build_trace(now)
        prepare(trace)
        before, outline = self._outline, Outline(trace)
        if before is not None:
            outline.find_as(before)
        self._trace, self._outline, self._is_outdated = trace, outline, False
        if self._is_checked and len(self._known.events) >= _MANY:  # only now: freezing also keeps garbage
            self._freeze()

    def _freeze(self) -> None:
        gc.freeze()  # before the collector resumes
        if self._known.given_up:  # the screen closed meanwhile, and has already called this
            gc.unfreeze()


def _return_free_memory() -> None:
    """Return freed memory to the system: glibc keeps much of what a thread has freed."""
    with suppress(ImportError, OSError, TypeError, AttributeError):  # another C library has no such call
        from ctypes import CDLL

        CDLL(None).malloc_trim(0)


def prepare(trace: Trace) -> None:
    """Compute the answers of a trace in this thread, so that no screen waits for them."""
    _ = trace.summary, trace.failures, trace.failure_path, trace.compensations, trace.never_ran
    _ = trace.still_standing, trace.anomalies, trace.innermost
