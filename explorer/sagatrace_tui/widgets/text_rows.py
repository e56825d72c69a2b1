"""A text in wrapped lines."""

from __future__ import annotations

from textual import events

from sagatrace_tui.labels import inert
from sagatrace_tui.values import wrapped
from sagatrace_tui.widgets.rows import Part, Rows, fitted

__all__ = ["TextRows"]


class TextRows(Rows):
    """Shows a text of any length. Control characters show as visible signs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = inert(text, lines=True)
        self._lines: list[str] = []

    @property
    def row_count(self) -> int:
        """The number of lines at the current width."""
        return len(self._lines)

    def on_resize(self, event: events.Resize) -> None:
        """Wrap the text again."""
        super().on_resize(event)
        self._lines = list(wrapped(self._text, self.scrollable_content_region.width - 2))
        self.rows_changed(min(self.cursor, len(self._lines) - 1))

    def row(self, index: int, width: int) -> list[Part]:
        """Return one line."""
        return fitted([(self._lines[index], "plain")], width)
