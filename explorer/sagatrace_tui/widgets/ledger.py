"""The compensation view: every step to undo and each try to undo it, in the order of compensation."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.model import Trace
from sagatrace_tui.widgets.ledger_lines import LedgerLine, ledger_lines
from sagatrace_tui.widgets.rows import Part, Rows, fitted

__all__ = ["Ledger"]


class Ledger(Rows):
    """A trace in; says which span was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Go to span", tooltip="Show the span in the tree")
    ]

    trace: reactive[Trace | None] = reactive(None, repaint=False, init=False, always_update=True)

    class SpanChosen(Message):
        """A step or an undo was chosen."""

        def __init__(self, ledger: Ledger, span_id: str) -> None:
            super().__init__()
            self.ledger = ledger
            self.span_id = span_id

        @property
        def control(self) -> Ledger:
            """The ledger it was chosen in."""
            return self.ledger

    class SpanHighlighted(SpanChosen):
        """The cursor came to a step or an undo."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: list[LedgerLine] = []

    @property
    def row_count(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    @property
    def highlighted(self) -> str | None:
        """The span that the line under the cursor is about."""
        return self._lines[self.cursor].span_id if self._lines else None

    def watch_trace(self, trace: Trace | None) -> None:
        """Show its ledger."""
        first = not self._lines
        self._lines = ledger_lines(trace) if trace is not None else []
        start = next((at for at, line in enumerate(self._lines) if line.span_id is not None), 0)
        self.rows_changed(start if first else self.cursor)

    def row(self, index: int, width: int) -> list[Part]:
        """One line, in columns that fit."""
        return fitted(self._lines[index].fitted(width), width)

    def lit(self, width: int) -> int:
        """Lines about a span."""
        return width if self.highlighted is not None else 0

    def cursor_moved(self) -> None:
        """Say which span it is about."""
        if self.highlighted is not None:
            self.post_message(self.SpanHighlighted(self, self.highlighted))

    def action_move(self, rows: int) -> None:
        """To the next line about a step; to the end where there is none."""
        step = 1 if rows > 0 else -1
        places = range(self.cursor + step, self.row_count if step > 0 else -1, step)
        about = (place for place in places if self._lines[place].span_id is not None)
        self.cursor = next(about, self.row_count - 1 if step > 0 else 0)

    def action_open(self) -> None:
        """Choose the span under the cursor."""
        if self.highlighted is not None:
            self.post_message(self.SpanChosen(self, self.highlighted))
