"""Screens that take only the size that the terminal has now."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.screen import Screen, ScreenResultType

__all__ = ["SizedScreen"]


class SizedScreen(Screen[ScreenResultType]):
    """A screen that ignores old sizes.

    A layout in Textual 8 sends its own size to the screen again. After two quick changes of size, each layout would
    bring back the size before, without an end.
    """

    def check_message_enabled(self, message: Message) -> bool:
        """Return whether the screen takes a message."""
        is_old = isinstance(message, events.Resize) and message.size != self.app.size
        return not is_old and super().check_message_enabled(message)
