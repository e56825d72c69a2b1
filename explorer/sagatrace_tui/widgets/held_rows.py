"""Rows whose cursor stays in the first row until the reader moves it or opens a row. Then it stays on its row."""

from __future__ import annotations

from sagatrace_tui.widgets.rows import Rows

__all__ = ["HeldRows"]


class HeldRows(Rows):
    """Keeps the cursor in the first row, or on the row that the reader chose."""

    is_held = False
    """Whether the cursor stays on its row when other rows come before it."""

    def hold(self) -> None:
        """Keep the cursor on its row when other rows come before it."""
        self.is_held = True

    def cursor_moved(self) -> None:
        """Keep the cursor on the row that the reader chose."""
        self.hold()

    def action_top(self) -> None:
        """Move the cursor to the first row, and keep it there."""
        super().action_top()
        self.is_held = False
