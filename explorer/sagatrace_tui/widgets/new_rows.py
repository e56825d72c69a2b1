"""The marks of new rows, which last a few seconds."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from textual.timer import Timer

from sagatrace_tui.widgets.rows import Rows

__all__ = ["NewRows"]

_TURN: Final = 2.0
"""Seconds. A row counts as new for one to two such turns."""


class NewRows:
    """The ids of new rows. Draws the rows again when some are no longer new."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._new: set[str] = set()
        self._older: set[str] = set()
        self._timer: Timer | None = None

    def add(self, ids: AbstractSet[str]) -> None:
        """Count these ids as new from now on. The caller draws the rows."""
        self._new |= ids
        if ids and self._timer is None:
            self._timer = self._rows.set_interval(_TURN, self._turn)

    def __contains__(self, one: str) -> bool:
        return one in self._new or one in self._older

    def _turn(self) -> None:
        self._older, self._new = self._new, set()
        if not self._older and self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._rows.redraw()
