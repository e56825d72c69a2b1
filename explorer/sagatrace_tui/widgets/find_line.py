"""The find line of a trace: the text to find, and the number of matches."""

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
    """Hidden until opened. Posts each change of the text, its acceptance (Enter) and its cancellation (Esc)."""

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
    """The note about the result."""
    WIDE: Final = 76
    """Columns the line needs to also name the keys."""

    _told = (0, 0, False)

    class Changed(Message):
        """The text to find changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Settled(Message):
        """Enter accepted the matches."""

    class Left(Message):
        """Esc cancelled the search."""

    def compose(self) -> ComposeResult:
        """Lay out the sign, the input and the result."""
        yield Static("/", id="sign")
        yield LineInput(
            placeholder="names, ids, errors, data, key=value, words on the screen", select_on_focus=False, compact=True
        )
        yield Static(id="found", markup=False)

    def edit(self) -> None:
        """Open the line with the last text selected, so that typing replaces it."""
        self.display = True
        # Immediately: the next keys may be in the same packet.
        self.screen.set_focus(self.query_one(Input))
        self.query_one(Input).action_select_all()

    @property
    def text(self) -> str:
        """The text to find; empty if the line is closed."""
        return self.query_one(Input).value

    def busy(self) -> None:
        """Show that a search is running."""
        self.found = "finding …" if self.text else ""

    def show_place(self, which: int, count: int, *, alone: bool) -> None:
        """Show the result.

        Args:
            which: the number of the match under the cursor, from 1; 0 for none.
            count: the number of matches.
            alone: whether the tree shows only the matches.
        """
        self._told = (which, count, alone)
        if not self.text:
            self.found = ""
        elif not count:
            self.found = "not found"
        else:
            place = f"{which:,} of " if which else ""
            brief = self.size.width < self.WIDE
            keys = f" · n N next, previous · * {'all again' if alone else 'only these'}"
            self.found = f"{place}{count:,}" if brief else f"{place}{plural(count, 'span')}{keys}"

    def close(self) -> None:
        """Hide and empty the line."""
        self.display = False
        with self.prevent(Input.Changed):
            self.query_one(Input).value = ""
        self.found = ""

    def on_resize(self) -> None:
        """Fit the result to the new width."""
        which, count, alone = self._told
        self.show_place(which, count, alone=alone)

    def watch_found(self, found: str) -> None:
        """Show the note about the result."""
        if self.is_mounted:
            self.query_one("#found", Static).update(found)

    @on(Input.Changed)
    def pass_on(self, event: Input.Changed) -> None:
        """Search while the reader types."""
        event.stop()
        self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def settle(self, event: Input.Submitted) -> None:
        """Accept the matches."""
        event.stop()
        self.post_message(self.Settled())

    async def action_submit(self) -> None:
        """Accept the matches, as Enter does in the input itself."""
        await self.query_one(Input).action_submit()

    def action_leave(self) -> None:
        """Forget the matches."""
        self.close()
        self.post_message(self.Left())
