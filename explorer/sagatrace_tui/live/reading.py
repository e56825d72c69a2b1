"""What feeds yield, and what a reading cost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from sagatrace.errors import SagatraceError
from sagatrace_tui.live.following import Following
from sagatrace_tui.model import Trace
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.views.trace_row import TraceRow

__all__ = [
    "AFRESH",
    "INTERVAL",
    "LOOK",
    "OLDER",
    "PAGE",
    "Clock",
    "Listing",
    "Meter",
    "OpenTrace",
    "in_words",
    "wall_clock",
]

log: Final = logging.getLogger("sagatrace")

INTERVAL: Final = 1.0
"""Seconds between two readings of the store."""
PAGE: Final = 50
AFRESH: Final = "afresh"
"""The wish to read everything again, changed or not."""
LOOK: Final = "look"
"""The wish to see now what is new in the store."""
OLDER: Final = "older"
"""The wish for one more page of older traces."""

_POLLING: Final = Following("polling", INTERVAL)
_T = TypeVar("_T")
Clock = Callable[[], int]


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Listing:
    """The newest traces as of `now`, newest activity first; `micros` and `queries` are what the store was
    asked for last."""

    rows: tuple[TraceRow, ...]
    now: int
    queries: int
    micros: int
    reading: bool
    exhausted: bool
    fault: str | None = None
    following: Following = _POLLING
    missing: bool = False
    """Whether the fault is that there is no store yet."""
    looked_at: int = 0
    """How many traces were read to find these rows."""
    unfinished: bool = False
    """Whether the next reading will look further, asked for or not; ask for it at once."""


@dataclass(frozen=True, slots=True)
class OpenTrace:
    """One trace as of `now`; None before the first reading, and without events when the store has none.

    `known` counts its events, those not in `trace` yet among them; `fresh` are the spans that `trace` has and the one
    yielded before it had not. The trace stays as it is until the next one is shown; who reads it in another thread
    than the screen's holds `hold`.
    """

    trace: Trace | None
    outline: Outline | None
    now: int
    queries: int
    micros: int
    fault: str | None = None
    following: Following = _POLLING
    known: int = 0
    fresh: frozenset[str] = frozenset()
    hold: threading.Lock = field(default_factory=threading.Lock, compare=False)


class Meter:
    """Counts what one reading costs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queries = 0
        self.micros = 0

    def of(self, read: Callable[[], _T]) -> _T:
        """Do one round trip."""
        began = self._clock()
        try:
            return read()
        finally:
            self.queries += 1
            self.micros += max(0, self._clock() - began)


def in_words(error: Exception) -> str:
    """An error as one line for the screen; one we did not raise on purpose is logged with its traceback too."""
    if isinstance(error, SagatraceError):
        return str(error)
    log.error("reading the store failed", exc_info=error)
    return f"unexpected {type(error).__name__}: {error}"
