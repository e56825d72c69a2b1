"""The list of traces, one row each, in columns that fit the width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.theme import times_of
from sagatrace_tui.widgets.held_rows import HeldRows
from sagatrace_tui.widgets.new_rows import NewRows
from sagatrace_tui.widgets.rows import Part
from sagatrace_tui.widgets.trace_columns import GAP, Column, Widest, cell, columns, part_of, widest_of

__all__ = ["SORTS", "TraceList"]

SORTS: Final[Mapping[str, Callable[[TraceRow, int], int]]] = {
    "last": lambda row, _now: row.latest,
    "started": lambda row, _now: row.started_at or row.latest,
    "took": lambda row, now: row.elapsed(now) or 0,
    "failures": lambda row, _now: row.error_count,
}
"""The sort orders of the list and their keys as of a moment, highest first."""


class TraceList(HeldRows):
    """Shows traces in the order of `sort`. Posts the opened trace, and when the cursor nears the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="Open the trace"),
        Binding("e,J", "failed(1)", "Next failed trace", show=False),
        Binding("E,K", "failed(-1)", "Previous failed trace", show=False),
    ]

    HEADER_LINES = 1

    rows: reactive[tuple[TraceRow, ...]] = reactive((), repaint=False, init=False)
    sort: reactive[str] = reactive("last", repaint=False, init=False)
    now: reactive[int] = reactive(0, repaint=False, init=False)

    _newest = 0  # of all rows before; those of one kind of failure may all be older
    _widest = Widest()

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self.new_rows = NewRows(self)

    class Opened(Message):
        """A trace was chosen."""

        def __init__(self, trace_list: TraceList, trace_id: str) -> None:
            super().__init__()
            self.trace_list = trace_list
            self.trace_id = trace_id

        @property
        def control(self) -> TraceList:
            """The list that posted the message."""
            return self.trace_list

    class EndReached(Message):
        """The cursor is close to the last row."""

        def __init__(self, trace_list: TraceList) -> None:
            super().__init__()
            self.trace_list = trace_list

        @property
        def control(self) -> TraceList:
            """The list that posted the message."""
            return self.trace_list

    class NoneFailed(Message):
        """There is no failed trace below (1) or above (-1) the cursor."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Highlighted(Message):
        """The cursor is on another row."""

    class SortChosen(Message):
        """The reader clicked the title of a sortable column."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    @property
    def row_count(self) -> int:
        """The number of listed traces."""
        return len(self.rows)

    @property
    def highlighted(self) -> TraceRow | None:
        """The trace under the cursor."""
        return self.rows[self.cursor] if self.rows else None

    def _columns(self, width: int) -> list[Column]:
        return columns(width, self._widest, self.sort, times_of(self), self.now)

    def header(self, width: int) -> list[Part]:
        """Return the titles, and the number of rows above the visible ones, where new rows appear."""
        first, *rest = self._columns(width)
        above = f"↑{self.scroll_offset.y:,}" if self.scroll_offset.y else ""
        titles = [
            (cell(f"{column.title} ▾", column), "key")
            if column.sort == self.sort
            else (cell(column.title, column), "muted")
            for column in rest
        ]
        return [(f"{first.title} ", "muted"), (f"{above:<{first.width + GAP - len(first.title) - 1}}", "key"), *titles]

    def row(self, index: int, width: int) -> list[Part]:
        """Return the row of one trace."""
        return [part_of(self.rows[index], column, self.now) for column in self._columns(width)]

    def header_clicked(self, x: int) -> None:
        """Sort by the column whose title was clicked."""
        end = 1
        for column in self._columns(self.scrollable_content_region.width - 1):
            end += column.width + GAP
            if x < end:
                if column.sort:
                    self.post_message(self.SortChosen(column.sort))
                return

    def watch_rows(self, old: tuple[TraceRow, ...], new: tuple[TraceRow, ...]) -> None:
        """Keep the cursor on the same trace, or at the top until the reader moves it."""
        self._mark_new(old, new)
        self._widest = widest_of(new)
        if not self.is_held:
            self.rows_changed(0)
            return
        here = old[self.cursor].trace_id if old else None
        self.rows_replaced((row.trace_id for row in new), here)

    def _mark_new(self, old: tuple[TraceRow, ...], new: tuple[TraceRow, ...]) -> None:
        """Mark the rows of new traces for a few seconds, but not older traces that are listed only now."""
        latest = self._newest = max(self._newest, max((row.latest for row in old), default=0))
        if old and (added := {row.trace_id for row in new if row.latest > latest}):
            self.new_rows.add(added.difference(row.trace_id for row in old))

    def mark(self, index: int) -> Part:
        """Return a + for a new trace."""
        return ("+", "key") if self.rows[index].trace_id in self.new_rows else super().mark(index)

    def action_failed(self, step: int) -> None:
        """Move the cursor to the next (1) or previous (-1) failed trace."""
        places = range(self.cursor + step, self.row_count if step > 0 else -1, step)
        found = next((place for place in places if self.rows[place].failure is not None), None)
        if found is None:
            self.post_message(self.NoneFailed(step))
        else:
            self.cursor = found

    def watch_sort(self) -> None:
        """Show the titles of the new order."""
        self.redraw()

    def watch_now(self) -> None:
        """Update the times."""
        self.redraw()

    def cursor_moved(self) -> None:
        """Post the new row. Near the end, also ask for older traces."""
        super().cursor_moved()
        self.post_message(self.Highlighted())
        if self.cursor >= self.row_count - 2:
            self.post_message(self.EndReached(self))

    def action_open(self) -> None:
        """Open the trace under the cursor, and keep the cursor there."""
        if self.highlighted is not None:
            self.hold()
            self.post_message(self.Opened(self, self.highlighted.trace_id))
