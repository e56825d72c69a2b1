"""The scope of a session, from the user's settings and files."""

from __future__ import annotations

from dataclasses import dataclass

from sagatrace_tui.live import WINDOW
from sagatrace_tui.query_history import SavedQueries

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of the views across traces.

    Attributes:
        window: the length of the time window of failures and standing steps, in microseconds.
        keys: the business keys shown with standing steps.
        saved: the named queries, if any are kept.
    """

    window: int = WINDOW
    keys: tuple[str, ...] = ()
    saved: SavedQueries | None = None
