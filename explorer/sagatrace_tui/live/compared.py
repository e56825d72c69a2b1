"""Reads two traces once and compares them, in a thread of its own, so that a slow store never holds up the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sagatrace.stores import EventStore
from sagatrace_tui.incident.comparison import compare
from sagatrace_tui.incident.differences import Comparison
from sagatrace_tui.live.good_run import last_good_run, trace_of_fetched
from sagatrace_tui.live.partition import GivenUpError
from sagatrace_tui.live.refresh import Clock, error_line
from sagatrace_tui.model import Trace
from sagatrace_tui.model.trace import CollectorPaused

__all__ = ["Compared", "ComparisonReading"]

READING: Final = "reading the trace"


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of one reading: a comparison, or why there is none. `fault` is the error of the store."""

    comparison: Comparison | None = None
    none_found: str = ""
    fault: str = ""


class ComparisonReading:
    """Reads a trace and the last good run of its saga, and publishes the comparison.

    The thread is a daemon and never joined: a store that hangs must not keep the app from ending. Nothing is published
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
        """What it is at, in words; any thread may ask."""
        self.thread = threading.Thread(target=self._run, name="sagatrace-comparison", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def give_up(self) -> None:
        """End after the part under way; any thread may ask for it."""
        self._given_up.set()

    def _run(self) -> None:
        try:
            with CollectorPaused():
                compared = self._compared()
        except GivenUpError:
            return
        except Exception as error:  # noqa: BLE001 - shown on the screen, which offers to try again
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
            return Compared(none_found=good.none_found)
        self.doing = "comparing"
        return Compared(compare(trace, good.trace))

    def _go_on(self, _arrived: int) -> None:
        if self._given_up.is_set():
            raise GivenUpError
