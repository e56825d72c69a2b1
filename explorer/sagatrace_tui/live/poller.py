"""The thread in which a feed reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from sagatrace_tui.live.refresh import INTERVAL

__all__ = ["FRAME", "REST", "Poller"]

FRAME: Final = 1 / 15
"""Seconds between two readings, however fast events come."""
REST: Final = 2
"""Seconds of rest for each second of work: keys come first."""

_T = TypeVar("_T")


class Poller(Generic[_T]):
    """Reads in its own thread, every `interval` seconds and immediately when asked, and publishes the results.

    After each reading the thread rests at least twice as long as the reading took, unless it is asked. The thread is
    a daemon and never joined: a store that hangs must not keep the app from ending.
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
        self._frame_at = 0.0
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Read for the first time now."""
        self.thread.start()

    def ask(self, *wishes: str) -> None:
        """Read as soon as the reading under way is done, with these wishes."""
        with self._changed:
            self._wishes.update(wishes)
            self._asked = True
            self._changed.notify()

    def nudge(self) -> None:
        """Read within a frame, or after the rest: there is news."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def pause(self, paused: bool = True) -> None:
        """Stop reading while the screen is hidden; resuming reads immediately."""
        with self._changed:
            self._asked = self._asked or (self._paused and not paused)
            self._paused = paused
            self._changed.notify()

    @property
    def is_paused(self) -> bool:
        """Whether reading is stopped for a while."""
        return self._paused

    def stop(self) -> None:
        """Publish nothing more; the thread ends after the query it is in."""
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
                if self._paused:  # the rest of this reading is due when the poller resumes
                    break
            took = time.monotonic() - began
            self._frame_at = began + took + max(FRAME - took, REST * took)

    def _wait(self) -> frozenset[str]:
        """Wait until a reading is asked for, news comes or the interval is over; return the wishes."""
        with self._changed:
            if not self._asked and not self._paused:
                self._changed.wait_for(lambda: self._is_called() or self._nudged, self._interval)
                self._changed.wait_for(self._is_called, max(0.0, self._frame_at - time.monotonic()))
            self._changed.wait_for(lambda: self._stopped.is_set() or not self._paused)
            wishes = frozenset(self._wishes)
            self._wishes.clear()
            self._asked = self._nudged = False
            return wishes

    def _is_called(self) -> bool:
        return self._stopped.is_set() or self._asked or self._paused
