"""The scope of a session, from the user's settings and files."""

from __future__ import annotations

from typing import Final

import msgspec

from sagatrace_tui.query_history import SavedQueries

__all__ = ["WINDOW", "Scope"]

WINDOW: Final = 24 * 3_600_000_000
"""The usual length of the time window, in microseconds."""


class Scope(msgspec.Struct, frozen=True):
    """The scope of the views across traces.

    Attributes:
        window: the length of the time window of failures and standing steps, in microseconds.
        keys: the business keys shown with standing steps.
        saved: the named queries, if any are kept.
    """

    window: int = WINDOW
    keys: tuple[str, ...] = ()
    saved: SavedQueries | None = None
