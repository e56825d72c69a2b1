"""One reading of the list of traces."""

from __future__ import annotations

import msgspec

from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.live.status import LiveStatus

__all__ = ["Listing"]


class Listing(msgspec.Struct, frozen=True):
    """The listed traces as of `now`, latest activity first.

    `queries`, `micros` and `request_units` are the cost of the last reading that asked the store. `began` is the start
    of the window, in microseconds since 1970. `whole` is whether all its traces are read. `full` is whether only the
    newest traces could be kept. `stopped` is whether the reader stopped reading the window.
    """

    rows: tuple[TraceRow, ...]
    now: int
    queries: int
    micros: int
    request_units: float | None
    began: int
    whole: bool
    full: bool
    stopped: bool
    reading: bool
    exhausted: bool
    fault: str | None
    status: LiveStatus
    missing: bool
    """Whether the fault is that the store does not exist yet."""
    looked_at: int
    """The number of traces read to find these rows."""
    unfinished: bool
    """Whether the list needs another reading immediately, to find more rows."""
    advice: str = ""
    """A way to make the query cheaper."""

    def is_partial(self, *, windowed: bool) -> bool:
        """Return whether reading continues. `windowed`: the whole window is wanted."""
        if self.reading or self.unfinished:
            return True
        return windowed and self.fault is None and not (self.whole or self.stopped)
