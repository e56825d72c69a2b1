"""What a session is about, as its user's settings and files say it."""

from __future__ import annotations

from dataclasses import dataclass

from sagatrace_tui.live import WINDOW
from sagatrace_tui.query_history import SavedQueries

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """How far back failures and standing steps are read, in microseconds; the business keys shown with them; and the
    queries that have names, if they are kept.
    """

    window: int = WINDOW
    keys: tuple[str, ...] = ()
    saved: SavedQueries | None = None
