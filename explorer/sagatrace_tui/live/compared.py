"""Read two traces and compare them in a separate thread, so that a slow store does not block the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import msgspec

from sagatrace.stores import EventStore
from sagatrace_tui.collector import CollectorPaused
from sagatrace_tui.incident.comparison import compare
from sagatrace_tui.incident.differences import Comparison
from sagatrace_tui.live.good_run import last_good_run, trace_of_fetched
from sagatrace_tui.live.partition import GivenUpError
from sagatrace_tui.live.refresh import Clock, error_line
from sagatrace_tui.model import Trace

__all__ = ["Compared", "ComparisonReading"]

READING: Final = "reading the trace"


class Compared(msgspec.Struct, frozen=True):
    """A comparison, or else the reason why there is none. `fault` is the error of the store. `trace` is this trace."""

    comparison: Comparison | None = None
    none_found: str = ""
    fault: str = ""
    trace: Trace | None = None


class ComparisonReading:
    """Reads a trace and the last good run of its saga, and publishes the comparison.

    The thread is a daemon and is never joined: a hanging store must not keep the app from ending. Nothing is published
    after `give_up`.
    """

    def __init__(
        self,
        store: EventStore,
        trace: str | Trace,
        clock: Clock,
        publish: Callable[[Compared], object],
    ) -> None:
        self._store, self._trace, self._clock, self._publish = store, trace, clock, publish
        self._given_up = threading.Event()
        self.doing = READING
        """The work in progress, in words. Any thread may read it."""
        self.thread = threading.Thread(target=self._run, name="sagatrace-comparison", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def give_up(self) -> None:
        """Stop reading after the current part. Any thread may call it."""
        self._given_up.set()

    def _run(self) -> None:
        try:
            with CollectorPaused():
                compared = self._compared()
        except GivenUpError:
            return
        except Exception as error:  # noqa: BLE001 - shown on the screen
            compared = Compared(fault=error_line(error))
        if not self._given_up.is_set():
            self._publish(compared)

    def _compared(self) -> Compared:
        now, trace = self._clock(), self._trace
        if isinstance(trace, str):
            trace = trace_of_fetched(self._store.fetch_trace(trace, self._go_on), now)
        if not trace.spans:
            return Compared(none_found=f"no event of trace {trace.trace_id} in this store")
        self.doing = f"looking for the last good run of {trace.name}"
        good = last_good_run(self._store, trace, now, self._go_on)
        if good.trace is None:
            return Compared(none_found=good.none_found, trace=trace)
        self.doing = "comparing"
        return Compared(compare(trace, good.trace), trace=trace)

    def _go_on(self, _arrived: int) -> None:
        if self._given_up.is_set():
            raise GivenUpError
