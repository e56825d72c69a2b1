"""The question before an app ends whose store goes with it."""

from __future__ import annotations

from shlex import quote
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sagatrace_tui.labels import inert
from sagatrace_tui.screens.clipboard import copy_text
from sagatrace_tui.screens.closing import ClosingScreen
from sagatrace_tui.theme import TONES

__all__ = ["LeavingScreen"]


class LeavingScreen(ModalScreen[None], ClosingScreen[None]):
    """Says that the store at this address is removed, and how to read it until then."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.quit", "Quit"),
        Binding("escape", "dismiss", "Stay"),
        Binding("y", "copy", "Copy the first line"),
    ]
    DEFAULT_CSS = """
    LeavingScreen { align: center middle; background: $background 60%; }
    LeavingScreen VerticalScroll {
        width: 80; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; border-title-color: $primary; padding: 1 1 0 1;
    }
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._setting = f"export SAGATRACE_STORE={quote(address)}"

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        lines = self._setting, "sagatrace list", "sagatrace export >traces.jsonl"
        text = Content.assemble(
            "q ends the demo, and removes its traces and their store.\n",
            "Until then another terminal can list or keep them:\n\n",
            *((f"{inert(line)}\n", TONES["id"]) for line in lines),
        )
        sheet = VerticalScroll(Static(text))
        sheet.border_title = "Quit the demo?"
        sheet.border_subtitle = "q quits · Esc stays · y copies the first line"
        yield sheet

    def action_copy(self) -> None:
        """Copy the setting of the address."""
        said, _ = copy_text(self.app, self._setting, "the first line")
        self.query_one(VerticalScroll).border_subtitle = said
