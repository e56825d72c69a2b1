"""One long value, whole."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from sagatrace_tui.labels import inert, size
from sagatrace_tui.screens.clipboard import copy_text
from sagatrace_tui.widgets.bar import StateLine, TitleBar
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.text_rows import TextRows

__all__ = ["ValueScreen"]


class ValueScreen(ModalScreen[None]):
    """Shows a text in wrapped lines over everything else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy"),
        Binding("escape,q", "dismiss", "Back"),
    ]
    DEFAULT_CSS = """
    ValueScreen { layout: vertical; background: $background; }
    ValueScreen TextRows { height: 1fr; }
    """

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Title, text, state, keys."""
        yield TitleBar(inert(self._title, 200), size(len(self._text)))
        yield TextRows(self._text)
        yield StateLine()
        yield KeyHints(self.BINDINGS)

    def on_mount(self) -> None:
        """Say how much there is."""
        self.query_one(TextRows).focus()
        self.query_one(StateLine).facts = (size(len(self._text)),)

    def action_copy(self) -> None:
        """Copy all of it."""
        self.query_one(StateLine).say(*copy_text(self.app, self._text, "it"))
