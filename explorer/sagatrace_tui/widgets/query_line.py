"""The query line: completes keys, and points at errors in the query."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar, Protocol

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from sagatrace_tui.incident.query import KEYS, Query, QueryError, completions, parse_query
from sagatrace_tui.labels import inert, short
from sagatrace_tui.theme import TONES
from sagatrace_tui.widgets.line_input import LineInput

__all__ = ["QueryLine"]

EXAMPLE = 'status:failed since:2h loan_id=L123 tag:ai "funds" T-17'


class _Keys(Suggester):
    """Completes the last word."""

    def __init__(self) -> None:
        super().__init__(use_cache=True, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        found = completions(value)
        return value[: value.rfind(" ") + 1] + found[0] if found else None


class NamedQueries(Protocol):
    """Queries that have names."""

    def parse(self, text: str) -> tuple[Query, str, str]:
        """Parse a query.

        Returns:
            The query, its text with named queries written out, and the name to save it under (empty for none).

        Raises:
            QueryError: the text is not a query.
        """
        ...

    def put(self, name: str, query: str) -> None:
        """Give a query a name."""
        ...


class QueryLine(Vertical):
    """Posts the entered query, or that the line was left. `recent` are earlier queries, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", tooltip="Take the completion that is shown"),
        Binding("up", "recall(1)", "Earlier query"),
        Binding("down", "recall(-1)", "Later query", show=False),
        Binding("enter", "submit", "Search"),
        Binding("escape", "leave", "Back", tooltip="Back to the list; keeps the last query"),
    ]
    DEFAULT_CSS = """
    QueryLine { height: auto; background: $surface; padding: 0 1; }
    QueryLine Input, QueryLine Input:focus {
        border: none; height: 1; padding: 0; background: $surface; color: $foreground;
        &>.input--placeholder, &>.input--suggestion { color: $foreground-muted; }
    }
    QueryLine Static { height: auto; display: none; color: $foreground-muted; text-wrap: nowrap; }
    QueryLine.-open Static { display: block; }
    """

    class Asked(Message):
        """A query was entered. `text` is the query as written."""

        def __init__(self, query: Query, text: str) -> None:
            super().__init__()
            self.asked = query
            self.text = text

    class Left(Message):
        """The line was left without a query."""

    def __init__(self, recent: Sequence[str] = (), saved: NamedQueries | None = None) -> None:
        super().__init__()
        self.recent = list(recent)
        self._saved = saved
        self._past: list[str] = []  # for Up and Down: the typed text, then earlier queries
        self._at = 0
        self._entered = ""
        self._is_refused = False  # Enter was pressed on a query with an error

    def compose(self) -> ComposeResult:
        """Lay out the input and the note below it."""
        yield LineInput(placeholder=f"/ to search: {EXAMPLE}", suggester=_Keys(), select_on_focus=False, compact=True)
        yield Static()

    @property
    def input(self) -> Input:
        """The input."""
        return self.query_one(Input)

    def edit(self) -> None:
        """Focus the input."""
        self.input.cursor_position = len(self.input.value)
        # Immediately: the next keys may be in the same packet.
        self.screen.set_focus(self.input)

    def clear(self) -> None:
        """Forget the entered query."""
        self._entered = self.input.value = ""

    def on_mount(self) -> None:
        """Keep the mark of an error below its term when a long query scrolls."""
        self.watch(self.input, "scroll_x", lambda: self._say(self.input.value, entered=self._is_refused), init=False)

    def on_descendant_focus(self) -> None:
        """Show the completions."""
        self.add_class("-open")
        self._say(self.input.value)

    def on_descendant_blur(self) -> None:
        """Restore the entered query when the line loses the focus, unless the terminal's window lost it."""
        self.remove_class("-open")
        if self.app.app_focus and not self.has_focus_within:  # the window may have lost and regained it meanwhile
            self._past = []
            self.input.value = self._entered

    @on(Input.Changed)
    def judge(self, event: Input.Changed) -> None:
        """Show completions, or an error in the query."""
        event.stop()
        if self._past and event.value != self._past[self._at]:
            self._past = []
        self._say(event.value)

    def _parse(self, text: str) -> tuple[Query, str, str]:
        return (parse_query(text), text, "") if self._saved is None else self._saved.parse(text)

    def _say(self, text: str, *, entered: bool = False) -> None:
        note, self._is_refused = self.query_one(Static), entered
        width, left = max(10, self.size.width - 2), round(self.input.scroll_x)
        word = text.rpartition(" ")[2]
        try:
            self._parse(text)
        except QueryError as error:
            # An incomplete last word may still become valid.
            if entered or error.end < len(text) or not (word in KEYS or completions(text)):
                note.update(Content.styled(_pointed_out(error, text, width, left), TONES["bad"]))
                return
        if (key := word.partition(":")[0] + ":") in KEYS and ":" in word:
            note.update(Content.styled(short(f"{key} {KEYS[key]}", width), TONES["muted"]))
            return
        found = completions(text) if word else list(KEYS)
        known = [*(found or KEYS), "key=value", '"part of an error"', "id…"]
        hint = "Tab completes ·"
        while known and cell_len(hint) + len(known[0]) + 2 <= width:
            hint = f"{hint} {known.pop(0)} "
        note.update(Content.styled(hint.rstrip(), TONES["muted"]))

    @on(Input.Submitted)
    def ask(self, event: Input.Submitted) -> None:
        """Post the query if it is valid. Otherwise show its error."""
        event.stop()
        try:
            query, text, name = self._parse(event.value.rstrip())
        except QueryError as error:
            self.input.cursor_position = error.start
            self._say(event.value, entered=True)
            self.app.bell()
            return
        if name and self._saved is not None:
            self._saved.put(name, text)
        self._entered = text
        if text:
            self.recent = [text, *(one for one in self.recent if one != text)][:50]
        self.remove_class("-open")
        self.post_message(self.Asked(query, text))

    async def action_submit(self) -> None:
        """Post the query, as Enter does in the input itself."""
        await self.input.action_submit()

    def action_complete(self) -> None:
        """Insert the first completion."""
        found = completions(self.input.value)
        if found:
            self.input.value = self.input.value[: self.input.value.rfind(" ") + 1] + found[0]
            self.input.cursor_position = len(self.input.value)

    def action_recall(self, step: int) -> None:
        """Show an earlier query (1), or a later one (-1), back to the typed text."""
        if not self._past:
            typed = self.input.value
            self._past, self._at = [typed, *(one for one in self.recent if one != typed)], 0
        self._at = max(0, min(len(self._past) - 1, self._at + step))
        self.input.value = self._past[self._at]
        self.input.cursor_position = len(self.input.value)

    def action_leave(self) -> None:
        """Restore the entered query and leave the line."""
        self.input.value = self._entered
        self.remove_class("-open")
        self.post_message(self.Left())


def _pointed_out(error: QueryError, text: str, width: int, left: int) -> str:
    """Return the error with marks below its part of the query, in several lines if it does not fit in one.

    `left` columns of the query are hidden before the line.
    """
    place, fault = cell_len(inert(text[: error.start])) - left, inert(str(error), 300)
    end = place + max(1, min(cell_len(inert(text[error.start : error.end])), 12))
    marks = " " * (place := max(0, place)) + "^" * max(0, end - place)
    if cell_len(marks) + 1 + cell_len(fault) <= width:
        return f"{marks} {fault}"
    lines = textwrap.wrap(fault, width, break_on_hyphens=False)
    return "\n".join([marks, *lines] if "^" in marks and len(marks) <= width else lines)
