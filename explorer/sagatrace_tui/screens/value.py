"""One long value in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from sagatrace_tui.labels import inert, plural, size
from sagatrace_tui.screens.clipboard import CopyScreen
from sagatrace_tui.screens.closing import ClosingScreen
from sagatrace_tui.timers import call_after_drawing
from sagatrace_tui.widgets.bar import StateLine, TitleBar
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.rows import Rows
from sagatrace_tui.widgets.text_rows import TextRows

__all__ = ["ValueScreen"]


class ValueScreen(CopyScreen, ModalScreen[None], ClosingScreen[None]):
    """Shows a text in wrapped lines above the screen below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", tooltip="Copy the value"),
        Binding("S", "save", "Save", tooltip="Save the value as a file"),
        Binding("question_mark,f1", "app.help", "Help", tooltip="These keys"),
        Binding("escape,q", "dismiss", "Back"),
        Binding("colon", "app.command_palette", show=False),  # the app's own key: a modal screen hides it
    ]
    SUFFIX = ".txt"
    DEFAULT_CSS = """
    ValueScreen { layout: vertical; background: $background; }
    ValueScreen TextRows { height: 1fr; }
    """

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay out the title, the text, the state line and the key hints."""
        yield TitleBar(inert(self._title, 200), size(len(self._text)))
        yield TextRows(self._text)
        yield StateLine()
        yield KeyHints(self.BINDINGS)

    @property
    def help_sections(self) -> Sequence[tuple[str, Sequence[BindingType]]]:
        """The keys of this screen."""
        own = [binding for binding in Binding.make_bindings(self.BINDINGS) if binding.description]
        return [("Value", [*own, *Rows.BINDINGS])]

    def on_mount(self) -> None:
        """Focus the text."""
        self.set_focus(self.query_one(TextRows))

    def on_resize(self) -> None:
        """Show the number of lines."""
        call_after_drawing(self, self._count)

    def _count(self) -> None:
        self.query_one(StateLine).facts = (plural(self.query_one(TextRows).row_count, "line"),)

    def copied(self) -> tuple[str, str, str]:
        """Return the whole text."""
        return self._text, "the value", "S saves it as a file"

    def text_to_save(self) -> tuple[str, str]:
        """Return the whole text as shown, and its title."""
        return inert(self._text, lines=True), self._title
