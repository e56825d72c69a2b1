"""A line to type what to find inside a trace, and how much was found."""

from __future__ import annotations

from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Static

from sagatrace_tui.labels import plural
from sagatrace_tui.widgets.line_input import LineInput

__all__ = ["FindLine"]


class FindLine(Horizontal):
    """Hidden until opened; says what to find while one types, when that is settled, and when it is given up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Back to tree", tooltip="Keep the matches and go back to the tree"),
        Binding("escape", "leave", "Cancel", tooltip="Forget the matches"),
    ]
    DEFAULT_CSS = """
    FindLine { height: 1; display: none; background: $surface; padding: 0 1; }
    FindLine Static { width: auto; color: $foreground-muted; }
    FindLine #sign { color: $primary; }
    FindLine Input, FindLine Input:focus {
        border: none; height: 1; width: 1fr; padding: 0; background: $surface;
        &>.input--selection { text-style: underline; }
    }
    """

    found: reactive[str] = reactive("")
    """What there is to say about the result."""
    WIDE: Final = 76
    """Columns from which it says what to do with it, too."""

    _told = (0, 0, False)

    class Changed(Message):
        """Something else is to be found."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Settled(Message):
        """That is what was wanted."""

    class Left(Message):
        """Nothing is to be found any more."""

    def compose(self) -> ComposeResult:
        """A sign, the line, the result."""
        yield Static("/", id="sign")
        yield LineInput(
            placeholder="names, ids, errors, data, key=value, words on the screen", select_on_focus=False, compact=True
        )
        yield Static(id="found", markup=False)

    def edit(self) -> None:
        """Begin to type: in place of what was looked for before, unless one goes on in it."""
        self.display = True
        # At once: what is typed next may have come in the same packet.
        self.screen.set_focus(self.query_one(Input))
        self.query_one(Input).action_select_all()

    def busy(self) -> None:
        """Say that it is looked for."""
        self.found = "finding …" if self.query_one(Input).value else ""

    def show_place(self, which: int, count: int, *, alone: bool) -> None:
        """Say how much was found, which of it is looked at (0 for none), and whether nothing else is shown."""
        self._told = (which, count, alone)
        if not self.query_one(Input).value:
            self.found = ""
        elif not count:
            self.found = "not found"
        else:
            place = f"{which:,} of " if which else ""
            brief = self.size.width < self.WIDE
            keys = f" · n N next, previous · * {'all again' if alone else 'only these'}"
            self.found = f"{place}{count:,}" if brief else f"{place}{plural(count, 'span')}{keys}"

    def close(self) -> None:
        """Be hidden and empty."""
        self.display = False
        with self.prevent(Input.Changed):
            self.query_one(Input).value = ""
        self.found = ""

    def on_resize(self) -> None:
        """Say as much as there is room for."""
        which, count, alone = self._told
        self.show_place(which, count, alone=alone)

    def watch_found(self, found: str) -> None:
        """Show it."""
        if self.is_mounted:
            self.query_one("#found", Static).update(found)

    @on(Input.Changed)
    def pass_on(self, event: Input.Changed) -> None:
        """Find while one types."""
        event.stop()
        self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def settle(self, event: Input.Submitted) -> None:
        """Go to what was found."""
        event.stop()
        self.post_message(self.Settled())

    async def action_submit(self) -> None:
        """Settle, as Enter does in the line itself."""
        await self.query_one(Input).action_submit()

    def action_leave(self) -> None:
        """Forget the matches."""
        self.close()
        self.post_message(self.Left())
