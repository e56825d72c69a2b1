"""The list of traces: one row each, in columns that fit the width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.labels import clock_of_day, duration, inert, short, short_middle, verdict_words, when
from sagatrace_tui.model import Verdict
from sagatrace_tui.theme import VERDICT_TONES
from sagatrace_tui.widgets.new_rows import NewRows
from sagatrace_tui.widgets.rows import Part, Rows

__all__ = ["Column", "TraceList", "columns"]

GAP: Final = 2
NARROWEST: Final = 12
"""The fewest terminal columns for a verdict."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `width` in terminal columns, `part` what a trace shows there as of a moment."""

    title: str
    width: int
    align: Literal["<", ">"]
    part: Callable[[TraceRow, int], Part]


def columns(width: int, verdict: int = NARROWEST) -> list[Column]:
    """Return the columns that fit. Name and id share the rest.

    Args:
        width: terminal columns of a row.
        verdict: terminal columns of the widest verdict that is listed. From 80 columns on it is never cut.
    """
    if width < 80:
        verdict = min(verdict, max(NARROWEST + 1, width * 2 // 5))
    room = width - verdict
    fixed = [Column("VERDICT", verdict, "<", _verdict), Column("STARTED", 8, ">", _started)]
    if room >= 39:
        fixed.append(Column("TOOK", 7, ">", _duration))
    if room >= 82:
        fixed.append(Column("SPANS", 6, ">", _spans))
    if room >= 56:
        fixed.append(Column("ERRORS", 6, ">", _errors))
    if room >= 68:
        fixed.insert(1, Column("AT", 10, ">", _started_at))
    left = width - sum(column.width + GAP for column in fixed) - GAP
    if width < 70:
        return [fixed[0], Column("NAME", max(left, 4), "<", _name), *fixed[1:]]
    id_width = min(36, left * 9 // 20)
    name_width = left - id_width - GAP
    texts = [Column("NAME", name_width, "<", _name), Column("TRACE", id_width, "<", _id)]
    return [fixed[0], *texts, *fixed[1:]]


class TraceList(Rows):
    """Traces in, newest activity first; says which one was opened and when the end is reached."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "Open", tooltip="Open the trace")]

    HEADER_LINES = 1

    rows: reactive[tuple[TraceRow, ...]] = reactive((), repaint=False, init=False)
    now: reactive[int] = reactive(0, repaint=False, init=False)

    _moved = False
    _verdict_width = NARROWEST

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
            """The list it was chosen in."""
            return self.trace_list

    class EndReached(Message):
        """The cursor is close to the last row."""

        def __init__(self, trace_list: TraceList) -> None:
            super().__init__()
            self.trace_list = trace_list

        @property
        def control(self) -> TraceList:
            """The list whose end it is."""
            return self.trace_list

    @property
    def row_count(self) -> int:
        """How many traces are listed."""
        return len(self.rows)

    @property
    def highlighted(self) -> TraceRow | None:
        """The trace under the cursor."""
        return self.rows[self.cursor] if self.rows else None

    def header(self, width: int) -> list[Part]:
        """The titles, and how many rows are above what is in sight: new ones come there."""
        first, *rest = columns(width, self._verdict_width)
        above = f"↑{self.scroll_offset.y:,}" if self.scroll_offset.y else ""
        titles = [(_cell(column.title, column), "muted") for column in rest]
        return [(f"{first.title} ", "muted"), (f"{above:<{first.width + GAP - len(first.title) - 1}}", "key"), *titles]

    def row(self, index: int, width: int) -> list[Part]:
        """One trace."""
        parts: list[Part] = []
        for column in columns(width, self._verdict_width):
            text, tone = column.part(self.rows[index], self.now)
            if column.part is _id:
                text = short_middle(text, column.width)
            parts.append((_cell(short(text, column.width), column), tone))
        return parts

    def watch_rows(self, old: tuple[TraceRow, ...], new: tuple[TraceRow, ...]) -> None:
        """Stay on the same trace wherever its row is now; at the top until the cursor is moved from it."""
        self._mark_new(old, new)
        listed: set[Verdict] = {row.verdict for row in new if row.verdict is not None}
        self._verdict_width = max([NARROWEST, *(cell_len(verdict_words(verdict)) for verdict in listed)])
        if not self._moved:
            self.rows_changed(0)
            return
        here = old[self.cursor].trace_id if old else None
        found = (index for index, row in enumerate(new) if row.trace_id == here)
        self.rows_changed(next(found, min(self.cursor, max(0, len(new) - 1))))

    def _mark_new(self, old: tuple[TraceRow, ...], new: tuple[TraceRow, ...]) -> None:
        """Mark for a few seconds the rows of traces that began since; older ones were only not listed yet."""
        if old:
            known, latest = {row.trace_id for row in old}, max(row.latest for row in old)
            added = {row.trace_id for row in new if row.trace_id not in known and row.latest > latest}
            self.new_rows.add(added)

    def mark(self, index: int) -> Part:
        """A + before a trace that is new."""
        return ("+", "key") if self.rows[index].trace_id in self.new_rows else super().mark(index)

    def action_top(self) -> None:
        """Move the cursor to the newest trace, and stay with what is newest."""
        super().action_top()
        self._moved = False

    def watch_now(self) -> None:
        """Let the times go on."""
        self.redraw()

    def cursor_moved(self) -> None:
        """Ask for more before the end is seen."""
        self._moved = True
        if self.cursor >= self.row_count - 2:
            self.post_message(self.EndReached(self))

    def hold(self) -> None:
        """Stay on the trace under the cursor, however new the ones that come."""
        self._moved = True

    def action_open(self) -> None:
        """Open the trace under the cursor, and be on it still when the reader comes back."""
        if self.highlighted is not None:
            self.hold()
            self.post_message(self.Opened(self, self.highlighted.trace_id))


def _cell(text: str, column: Column) -> str:
    room = max(0, column.width - cell_len(text))
    padded = " " * room + text if column.align == ">" else text + " " * room
    return padded + " " * GAP


def _verdict(row: TraceRow, _now: int) -> Part:
    if row.verdict is None:
        return "… reading", "muted"
    return verdict_words(row.verdict), VERDICT_TONES[row.verdict]


def _name(row: TraceRow, _now: int) -> Part:
    return inert(row.name, 200), "plain"


def _id(row: TraceRow, _now: int) -> Part:
    return inert(row.trace_id), "id"


def _started(row: TraceRow, now: int) -> Part:
    return ("" if row.verdict is None else when(row.started_at, now)), "plain"


def _started_at(row: TraceRow, now: int) -> Part:
    return ("" if row.verdict is None else clock_of_day(row.started_at, now)), "muted"


def _duration(row: TraceRow, now: int) -> Part:
    return ("" if row.verdict is None else duration(row.elapsed(now))), "plain"


def _spans(row: TraceRow, _now: int) -> Part:
    return (f"{row.span_count:,}" if row.verdict else ""), "muted"


def _errors(row: TraceRow, _now: int) -> Part:
    if row.error_count:
        return f"{row.error_count:,}", "bad"
    return ("·" if row.verdict else ""), "muted"
