"""One reading of the list of traces."""

from __future__ import annotations

from dataclasses import dataclass

from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.live.status import LiveStatus

__all__ = ["Listing"]


@dataclass(frozen=True, slots=True)
class Listing:
    """The listed traces as of `now`, latest activity first.

    `queries`, `micros` and `request_units` are the cost of the last reading that asked the store, or of the window.
    `began` is the beginning of the window, in microseconds since 1970. `whole` is whether all of its traces are read;
    `full` whether only the newest could be kept; `stopped` whether the reader stopped the reading of them.
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
    """Whether the fault is that there is no store yet."""
    looked_at: int
    """The number of traces read to find these rows."""
    unfinished: bool
    """Whether the next reading will look further, asked for or not; ask for it immediately."""
    advice: str = ""
    """How the query could cost less."""
