"""A line to type into that holds text only, wherever it came from."""

from __future__ import annotations

from textual.widgets import Input

from sagatrace_tui.labels import one_line

__all__ = ["LineInput"]


class LineInput(Input):
    """Textual draws an input's value as it is: what was pasted, or kept in a file, may be anything."""

    def validate_value(self, value: str) -> str:
        """The value without what a terminal would act on."""
        return one_line(value)
