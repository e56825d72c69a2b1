"""The thread that reads a feed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from sagatrace_tui.live.refresh import INTERVAL

__all__ = ["FRAME", "REST", "Poller"]

FRAME: Final = 1 / 15
"""The fewest seconds between two readings."""
REST: Final = 4
"""Seconds of rest for each second of work, so that keys stay fast."""

_T = TypeVar("_T")


class Poller(Generic[_T]):
    """Reads in its own thread every `interval` seconds, or immediately when asked, and publishes the results.

    After each reading the thread rests at least `REST` times as long as the reading took, unless asked. The thread is a
    daemon and is never joined: a hanging store must not keep the app from ending.
    """

    def __init__(
        self,
        read: Callable[[frozenset[str]], Iterator[_T]],
        publish: Callable[[_T], object],
        *,
        interval: float = INTERVAL,
        name: str = "sagatrace-poller",
    ) -> None:
        self._read = read
        self._publish = publish
        self._interval = interval
        self._changed = threading.Condition()
        self._wishes: set[str] = set()
        self._asked = True
        self._nudged = False
        self._paused = False
        self._requests = 0
        self.answering = 0
        """The number of the last request that the current reading answers. `publish` may read it."""
        self._frame_at = 0.0
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, which reads immediately."""
        self.thread.start()

    def ask(self, *wishes: str) -> int:
        """Read with these wishes after the current reading. Return the number of this request."""
        with self._changed:
            self._wishes.update(wishes)
            self._asked = True
            self._requests += 1
            self._changed.notify()
            return self._requests

    def nudge(self) -> None:
        """Read soon, because there are new events: after the rest, within a frame."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def pause(self, paused: bool = True) -> None:
        """Pause reading while the screen is hidden, or resume it. Resuming reads immediately."""
        with self._changed:
            self._asked = self._asked or (self._paused and not paused)
            self._paused = paused
            self._changed.notify()

    @property
    def is_paused(self) -> bool:
        """Whether reading is paused."""
        return self._paused

    def stop(self) -> None:
        """Stop publishing. The thread ends after its current query."""
        with self._changed:
            self._stopped.set()
            self._changed.notify()

    def _run(self) -> None:
        while not self._stopped.is_set():
            wishes = self._wait()
            if self._stopped.is_set():
                return
            began = time.monotonic()
            for reading in self._read(wishes):
                if self._stopped.is_set():
                    break
                self._publish(reading)
                if self._paused:  # resuming starts a new reading
                    break
            took = time.monotonic() - began
            self._frame_at = began + took + max(FRAME - took, REST * took)

    def _wait(self) -> frozenset[str]:
        """Wait for a request, new events or the end of the interval. Return the wishes."""
        with self._changed:
            if not self._asked and not self._paused:
                self._changed.wait_for(lambda: self._is_called() or self._nudged, self._interval)
                self._changed.wait_for(self._is_called, max(0.0, self._frame_at - time.monotonic()))
            self._changed.wait_for(lambda: self._stopped.is_set() or not self._paused)
            wishes = frozenset(self._wishes)
            self._wishes.clear()
            self.answering = self._requests
            self._asked = self._nudged = False
            return wishes

    def _is_called(self) -> bool:
        return self._stopped.is_set() or self._asked or self._paused
