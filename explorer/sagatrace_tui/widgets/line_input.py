"""An input line without control characters, whose keys act in the order they were typed."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from sagatrace_tui.labels import one_line

__all__ = ["LineInput"]


class LineInput(Input):
    """Removes control characters from pasted or saved text. Textual would draw them as they are."""

    def validate_value(self, value: str) -> str:
        """Return the value without control characters."""
        return one_line(value)

    async def on_key(self, event: events.Key) -> None:
        """Edit immediately. Textual passes such a key to the widgets above first, and later letters overtake it."""
        bound = [] if event.is_printable else self._bindings.key_to_bindings.get(event.key, [])
        if bound and bound[0].action.startswith(("delete_", "cursor_")):
            event.stop()
            event.prevent_default()
            await self.run_action(bound[0].action)
