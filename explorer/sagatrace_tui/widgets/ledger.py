"""The compensation view: the steps to undo and each attempt to undo them, in the order of compensation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.model import Trace
from sagatrace_tui.theme import times_of
from sagatrace_tui.widgets.ledger_lines import LedgerLine, ledger_lines
from sagatrace_tui.widgets.rows import Part, Rows, fitted

__all__ = ["Ledger"]


class Ledger(Rows):
    """Shows the compensations of a trace and posts the chosen span."""

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
            """The ledger that posted the message."""
            return self.ledger

    class SpanHighlighted(SpanChosen):
        """The cursor came to a step or an undo."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: list[LedgerLine] = []
        self._changes: Mapping[str, str] = {}

    @property
    def row_count(self) -> int:
        """The number of lines."""
        return len(self._lines)

    @property
    def highlighted(self) -> str | None:
        """The span id of the line under the cursor."""
        return self._lines[self.cursor].span_id if self._lines else None

    def show(self, trace: Trace, changes: Mapping[str, str] | None = None, here: str | None = None) -> None:
        """Show a trace.

        Args:
            trace: the trace.
            changes: in a replay, a sign for each span that changed.
            here: the span to put the cursor on. Without it the cursor stays.
        """
        self._changes = changes or {}
        self.trace = trace
        if here in (abouts := [line.span_id for line in self._lines]):
            self.cursor = abouts.index(here)

    def mark(self, index: int) -> Part:
        """Return the sign of a span that changed in the replay."""
        sign = self._changes.get(self._lines[index].span_id or "")
        return (sign, "key") if sign else super().mark(index)

    def cursor_mark(self, index: int) -> Part:
        """Return the cursor's sign, or in a replay the sign of a change."""
        return self.mark(index) if self.highlighted in self._changes else super().cursor_mark(index)

    def watch_trace(self) -> None:
        """Build the lines and keep the cursor on the same line."""
        self._build()

    def on_resize(self, event: events.Resize) -> None:
        """Break errors and reasons to the new width."""
        self._build()
        super().on_resize(event)

    def times_changed(self) -> None:
        """Build the lines with the new form of times."""
        self._build()

    def _build(self) -> None:
        before = _places(self._lines)[self.cursor] if self._lines else None
        width = self.scrollable_content_region.width or 100
        self._lines = ledger_lines(self.trace, width - 1, times_of(self)) if self.trace is not None else []
        if self._lines and not self._lines[-1].tail and not self._lines[-1].cells:  # blank, after the last part
            del self._lines[-1]
        places = _places(self._lines)
        here = places.index(before) if before in places else self.cursor
        self.rows_changed(self.validate_cursor(here))
        if self._lines and before != _places(self._lines)[self.cursor]:
            self.cursor_moved()

    def validate_cursor(self, cursor: int) -> int:
        """Return the nearest line about a span. The cursor skips headings and notes."""
        about = [at for at, line in enumerate(self._lines) if line.span_id is not None]
        return min(about, key=lambda at: (abs(at - cursor), at), default=0)

    def _bring(self, top: int) -> None:
        """Scroll to the cursor, and show the headings above it if they fit."""
        heading = self.cursor
        while heading and self._lines[heading - 1].span_id is None:
            heading -= 1
        super()._bring(min(top, heading) if self.cursor - heading < self.page_height else top)

    def row(self, index: int, width: int) -> list[Part]:
        """Return one line, fitted to the width."""
        return fitted(self._lines[index].fitted(width), width)

    def lit(self, width: int) -> int:
        """Highlight only lines about a span."""
        return width if self.highlighted is not None else 0

    def cursor_moved(self) -> None:
        """Post the span under the cursor."""
        if self.highlighted is not None:
            self.post_message(self.SpanHighlighted(self, self.highlighted))

    def action_move(self, rows: int) -> None:
        """Move the cursor to the next or previous line about a span."""
        about = [at for at, line in enumerate(self._lines) if line.span_id is not None]
        ahead = [at for at in about if (at > self.cursor if rows > 0 else at < self.cursor)]
        if ahead:
            self.cursor = ahead[0] if rows > 0 else ahead[-1]

    def action_open(self) -> None:
        """Choose the span under the cursor."""
        if self.highlighted is not None:
            self.post_message(self.SpanChosen(self, self.highlighted))


def _places(lines: Sequence[LedgerLine]) -> list[tuple[str | None, int]]:
    """Return the place of each line: its span, and how many earlier lines have that span. A step can have two lines."""
    seen: Counter[str | None] = Counter()
    places = []
    for line in lines:
        places.append((line.span_id, seen[line.span_id]))
        seen[line.span_id] += 1
    return places
