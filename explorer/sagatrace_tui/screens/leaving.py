"""The question before the demo ends and removes its store."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sagatrace_tui.screens.closing import ClosingScreen
from sagatrace_tui.theme import TONES

__all__ = ["LeavingScreen"]


class LeavingScreen(ModalScreen[None], ClosingScreen[None]):
    """Says that the demo's store is removed, and how to read it until then."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.quit", "Quit"),
        Binding("escape", "dismiss", "Stay"),
    ]
    DEFAULT_CSS = """
    LeavingScreen { align: center middle; background: $background 60%; }
    LeavingScreen VerticalScroll {
        width: 80; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; border-title-color: $primary; padding: 1 1 0 1;
    }
    """

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        text = Content.assemble(
            "q ends the demo, and removes its traces and their store.\n",
            "Until then another terminal can list or keep them:\n\n",
            ("sagatrace list --store demo\nsagatrace export --store demo >traces.jsonl\n", TONES["id"]),
        )
        sheet = VerticalScroll(Static(text))
        sheet.border_title = "Quit the demo?"
        sheet.border_subtitle = "q quits · Esc stays"
        yield sheet
