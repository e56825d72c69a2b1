"""The help sheet: the keys of the screen below, made from its bindings, and the signs on it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sagatrace_tui.screens.closing import ClosingScreen
from sagatrace_tui.screens.legend import LEGEND
from sagatrace_tui.theme import TONES
from sagatrace_tui.widgets.key_hints import key_groups

__all__ = ["HelpScreen", "help_text", "legend_text"]

KEYS: Final = 16
"""Columns for the keys."""
WIDTH: Final = 57
"""Columns for keys and text, if the terminal is wide enough."""
COLUMN: Final = WIDTH + 2
"""Columns of one part beside another."""
SIGNS: Final = 95
"""Columns that signs and meanings need at most, if they stand beside the keys."""
SIGN: Final = 22
"""Columns for a sign with its word. On a narrow terminal the meaning stands below."""
FRAME: Final = 7
"""Columns for the border, the padding and the scroll bar."""
BOTH: Final = 120
"""Columns a terminal needs to show keys and signs side by side."""
THREE: Final = 190
"""Columns a terminal needs to show the keys in two parts beside the signs."""


class HelpScreen(ModalScreen[None], ClosingScreen[None]):
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
    HelpScreen Horizontal { height: auto; }
    HelpScreen Horizontal Static { width: 59; height: auto; }
    HelpScreen Horizontal .signs { width: 1fr; }
    """

    def __init__(self, sections: Sequence[tuple[str, Sequence[BindingType]]]) -> None:
        super().__init__()
        self._sections = sections

    def compose(self) -> ComposeResult:
        """Lay out the sheet."""
        width = self.app.size.width
        if width >= BOTH:
            parts = self._parts() if width >= THREE else [self._sections]
            room = min(SIGNS, width - 2 - FRAME - COLUMN * len(parts))
            keys = [Static(Content("\n").join(help_text(part))) for part in parts]
            sheet = VerticalScroll(Horizontal(*keys, Static(Content("\n").join(legend_text(room)), classes="signs")))
            sheet.styles.width = FRAME + COLUMN * len(parts) + room
        else:
            room = min(WIDTH, width - 7)
            lines = [*help_text(self._sections, room), Content(""), *legend_text(room)]
            sheet = VerticalScroll(Static(Content("\n").join(lines)))
        sheet.border_title = "Keys and signs"
        sheet.border_subtitle = "Esc closes"
        yield sheet

    def _parts(self) -> list[Sequence[tuple[str, Sequence[BindingType]]]]:
        """Return the sections in two parts of about the same length."""
        places = range(1, len(self._sections))
        halves = [[self._sections[:place], self._sections[place:]] for place in places]
        return min(halves, key=lambda parts: max(len(list(help_text(part))) for part in parts))

    def action_scroll(self, lines: int) -> None:
        """Scroll the sheet."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def help_text(sections: Sequence[tuple[str, Sequence[BindingType]]], width: int = WIDTH) -> Iterator[Content]:
    """Yield lines of at most `width` columns with the keys and the description of each action."""
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


def legend_text(width: int) -> Iterator[Content]:
    """Yield lines of at most `width` columns with each sign and its meaning."""
    indent = SIGN + 4 if width >= 2 * SIGN else 6
    for index, (title, signs) in enumerate(LEGEND):
        if index:
            yield Content("")
        yield Content.styled(title, f"{TONES['plain']} bold")
        for sign in signs:
            lead = (f"  {sign.text}", TONES[sign.tone])
            if cell_len(sign.text) + 4 > indent:
                yield Content.assemble(lead)
                lead = ("", "")
            for line in textwrap.wrap(sign.meaning, max(10, width - indent)):
                yield Content.assemble(lead, " " * (indent - cell_len(lead[0])), (line, TONES["muted"]))
                lead = ("", "")
