"""The rows that are new, for a few seconds."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from textual.timer import Timer

from sagatrace_tui.widgets.rows import Rows

__all__ = ["NewRows"]

_TURN: Final = 2.0
"""Seconds; a row counts as new for one to two of them."""


class NewRows:
    """Ids that were added recently; the rows are drawn again when some are new no longer."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._new: set[str] = set()
        self._older: set[str] = set()
        self._timer: Timer | None = None

    def add(self, ids: AbstractSet[str]) -> None:
        """Count these as new from now on; the caller draws them."""
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
