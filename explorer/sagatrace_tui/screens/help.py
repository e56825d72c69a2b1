"""The keys of the screen below, made from its bindings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sagatrace_tui.theme import TONES
from sagatrace_tui.widgets.key_hints import key_groups

__all__ = ["HelpScreen", "help_text"]

KEYS: Final = 16
"""Columns for the keys."""
WIDTH: Final = 57
"""Columns for keys and text, where the terminal has them."""


class HelpScreen(ModalScreen[None]):
    """A sheet of keys over the screen it explains."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss", "Close"),
        Binding("down,j", "scroll(1)", "Scroll down", show=False),
        Binding("up,k", "scroll(-1)", "Scroll up", show=False),
        Binding("pagedown,space,ctrl+d", "scroll(10)", "Scroll on", show=False),
        Binding("pageup,ctrl+u", "scroll(-10)", "Scroll back", show=False),
        Binding("G,end", "scroll(1000)", "To the end", show=False),
        Binding("g,home", "scroll(-1000)", "To the start", show=False),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen VerticalScroll {
        width: 64; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; border-title-color: $primary; padding: 0 2;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, sections: Sequence[tuple[str, Sequence[BindingType]]]) -> None:
        super().__init__()
        self._sections = sections

    def compose(self) -> ComposeResult:
        """The sheet."""
        room = min(WIDTH, self.app.size.width - 7)
        sheet = VerticalScroll(Static(Content("\n").join(help_text(self._sections, room))))
        sheet.border_title = "Keys"
        sheet.border_subtitle = "Esc closes"
        yield sheet

    def action_scroll(self, lines: int) -> None:
        """Scroll the sheet."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def help_text(sections: Sequence[tuple[str, Sequence[BindingType]]], width: int = WIDTH) -> Iterator[Content]:
    """Each action in as many lines of `width` columns as it needs: its keys, and what it does."""
    columns = KEYS if width >= WIDTH else KEYS - 6
    for index, (title, bindings) in enumerate(sections):
        if index:
            yield Content("")
        yield Content.styled(title, f"{TONES['plain']} bold")
        for keys, binding in key_groups(bindings):
            names = "  ".join(keys)
            for line in textwrap.wrap(binding.tooltip or binding.description, max(10, width - columns - 4)):
                yield Content.assemble((f"  {names:<{columns}}  ", TONES["key"]), (line, TONES["muted"]))
                names = ""
