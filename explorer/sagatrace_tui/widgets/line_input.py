"""An input line without control characters."""

from __future__ import annotations

from textual.widgets import Input

from sagatrace_tui.labels import one_line

__all__ = ["LineInput"]


class LineInput(Input):
    """Removes control characters from pasted or saved text. Textual would draw them as they are."""

    def validate_value(self, value: str) -> str:
        """Return the value without control characters."""
        return one_line(value)
