"""Two traces of the same events: one is shown and stays as it is, the other takes what comes and is shown next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from sagatrace.events import TraceEvent
from sagatrace_tui.model import Trace
from sagatrace_tui.views.outline import Outline

__all__ = ["Twins"]

_PART: Final = 100


class Twins:
    """`front` is the newest to be shown, with its outline; what came since waits until that one is on the screen.

    All but `shown` is for one thread, the feed's.
    """

    def __init__(self) -> None:
        self.front: Trace | None = None
        self.outline: Outline | None = None
        self.fresh: frozenset[str] = frozenset()
        self.hold = threading.Lock()
        self._back: Trace | None = None
        self._lacks: list[TraceEvent] = []  # what the front has and the back has not
        self._waiting: list[TraceEvent] = []  # what neither has
        self._shown: Trace | None = None

    def shown(self, trace: Trace | None) -> None:
        """The screen shows this one now, and no other."""
        self._shown = trace

    @property
    def is_waiting(self) -> bool:
        """Whether something came that the front does not have."""
        return bool(self._waiting)

    def replace(self, trace: Trace) -> None:
        """Begin anew with this trace."""
        known = self.front.spans.keys() if self.front is not None else trace.spans.keys()
        self._lacks, self._waiting, self._back = [], [], None
        self._bring_forward(trace, frozenset(trace.spans.keys() - known))

    def wait(self, events: Iterable[TraceEvent]) -> None:
        """Take up events that are in neither."""
        self._waiting.extend(events)

    def turn(self, build: Callable[[], Trace], now: int) -> bool:
        """Bring a trace to the front that has all; False when that must wait. `build` makes one from nothing."""
        front = self.front
        if front is None:
            self.replace(build())
            return True
        fresh = frozenset(event.span_id for event in self._waiting if event.span_id not in front.spans)
        if self._back is None:
            back = build()
        elif self._shown is not front or not self.hold.acquire(blocking=False):
            return False
        else:
            back = self._back
            try:
                _add(back, [*self._lacks, *self._waiting], now)
            finally:
                self.hold.release()
        self._back, self._lacks, self._waiting = front, self._waiting, []
        self._bring_forward(back, fresh)
        return True

    def _bring_forward(self, trace: Trace, fresh: frozenset[str]) -> None:
        _prepare(trace)
        self.front, self.outline, self.fresh = trace, Outline(trace), fresh


def _add(trace: Trace, events: list[TraceEvent], now: int) -> None:
    """In parts that the trace takes one event at a time: a large one it would fold anew, all that it has with it."""
    if len(events) > len(trace.spans):
        trace.add(events, now=now)
        return
    for start in range(0, len(events) or 1, _PART):
        trace.add(events[start : start + _PART], now=now)


def _prepare(trace: Trace) -> None:
    """Work out here, in the feed's thread, what a screen would otherwise wait for."""
    _ = trace.summary, trace.failures, trace.failure_path, trace.ledger, trace.never_ran
    _ = trace.still_standing, trace.anomalies, trace.innermost
