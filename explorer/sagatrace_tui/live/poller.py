"""The thread in which a feed reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from sagatrace_tui.live.reading import INTERVAL

__all__ = ["FRAME", "Poller"]

FRAME: Final = 1 / 15
"""Seconds between two readings, however fast news comes."""
_SHARE: Final = 2
"""For each second that a reading takes, so many without one: keys come first."""

_T = TypeVar("_T")


class Poller(Generic[_T]):
    """Reads in a thread of its own, every `interval` seconds and at once when asked, and publishes what it read.

    A daemon, and never joined: a store that hangs must not keep the app from ending. Reads one at a time.
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
        """There is news: read within a frame."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def pause(self, paused: bool = True) -> None:
        """Leave the store alone while nobody looks; going on reads at once."""
        with self._changed:
            self._asked = self._asked or (self._paused and not paused)
            self._paused = paused
            self._changed.notify()

    @property
    def is_paused(self) -> bool:
        """Whether it was told to leave the store alone."""
        return self._paused

    def stop(self) -> None:
        """Publish nothing more; the thread ends after the round trip it is in."""
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
                if self._paused:  # what is left of this reading is due when it goes on
                    break
            took = time.monotonic() - began
            self._frame_at = began + took + max(FRAME - took, _SHARE * took)

    def _wait(self) -> frozenset[str]:
        """Until something is asked for, there is news, the interval is over or all is; returns what is wished."""
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
