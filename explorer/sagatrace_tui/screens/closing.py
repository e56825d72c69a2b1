"""Screens that close once, however fast their keys come."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ScreenResultType

from sagatrace_tui.screens.sized import SizedScreen

__all__ = ["ClosingScreen"]


class ClosingScreen(SizedScreen[ScreenResultType]):
    """A screen that closes only while it is on top.

    Two keys may be under way to it at the same time. Textual's own screen would answer the second by closing the screen
    below, or by ending the app.
    """

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close this screen, unless it is closed or covered. `result` goes to the screen that opened it."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()
