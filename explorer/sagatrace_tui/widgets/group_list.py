"""The list of failures in the window, one row for each kind."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.incident.failure_groups import FailureGroup, bars, histogram
from sagatrace_tui.labels import inert, saga_name, short
from sagatrace_tui.theme import times_of
from sagatrace_tui.widgets.held_rows import HeldRows
from sagatrace_tui.widgets.rows import Part, fitted
from sagatrace_tui.widgets.trace_columns import room_for

__all__ = ["GroupList"]

_GAP: Final = "  "
_STANDING: Final = 8


class GroupList(HeldRows):
    """Shows kinds of failures and posts the one that was opened. `began` is the start of the window."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "List", tooltip="List the traces of this kind")]

    HEADER_LINES = 1

    groups: reactive[tuple[FailureGroup, ...]] = reactive((), repaint=False, init=False)
    began: reactive[int] = reactive(0, repaint=False, init=False)
    now: reactive[int] = reactive(0, repaint=False, init=False)
    _differ = False
    """Whether the kinds belong to several sagas, so that a narrow terminal names them too."""

    _widest = 0
    """The terminal columns of the longest name of a saga."""

    class Opened(Message):
        """A kind of failure was chosen."""

        def __init__(self, group_list: GroupList, group: FailureGroup) -> None:
            super().__init__()
            self.group_list = group_list
            self.group = group

        @property
        def control(self) -> GroupList:
            """The list that posted the message."""
            return self.group_list

    @property
    def row_count(self) -> int:
        """The number of kinds."""
        return len(self.groups)

    @property
    def highlighted(self) -> FailureGroup | None:
        """The kind under the cursor."""
        return self.groups[self.cursor] if self.groups else None

    def header(self, width: int) -> list[Part]:
        """Return the titles of the columns."""
        over, saga = self._widths(width)
        at = times_of(self).width(self.now)
        titles = f"{'TRACES':>6}{_GAP}{'STANDING':>{_STANDING}}{_GAP}    {'LAST':>{at}}{_GAP}"
        first = f"{'FIRST':>{at}}{_GAP}" if width >= 100 else ""
        bar = f"{'OVER TIME':<{over}}{_GAP}" if over else ""
        named = f"{'SAGA':<{saga}}{_GAP}" if saga else ""
        return [(f"{titles}{first}{bar}{named}FAILED AT", "muted")]

    def row(self, index: int, width: int) -> list[Part]:
        """Return the row of one kind."""
        group = self.groups[index]
        over, saga = self._widths(width)
        failure, times = group.example, times_of(self)
        at = times.width(self.now)
        parts: list[Part] = [
            (f"{len(group.rows):>6,}{_GAP}", "strong"),
            (f"{group.standing or '·':>{_STANDING}}{_GAP}", "bad" if group.standing else "muted"),
            ("new " if group.is_new else "    ", "warn"),
            (f"{times.brief(group.last_at, self.now):>{at}}{_GAP}", "plain"),
        ]
        if width >= 100:
            parts.append((f"{times.brief(group.first_at, self.now):>{at}}{_GAP}", "muted"))
        if over:
            parts.append((f"{bars(histogram(group, self.began, self.now, over))}{_GAP}", "busy"))
        if saga:
            name = short(saga_name(group.saga), saga)
            parts.append((f"{name}{' ' * (saga - cell_len(name))}{_GAP}", "plain"))
        if group.label:
            parts.append((f"{inert(group.label)} · ", "id"))
        return fitted([*parts, (f"{inert(failure.step)} ", "plain"), (inert(failure.text), "bad")], width)

    def watch_groups(self, old: tuple[FailureGroup, ...], new: tuple[FailureGroup, ...]) -> None:
        """Keep the cursor on the same kind, or at the top until the reader moves it or opens a kind."""
        here = old[self.cursor].key if old and self.is_held else None
        sagas = {group.saga for group in new}
        self._differ = len(sagas) > 1
        self._widest = max((room_for(inert(saga_name(saga))) for saga in sagas), default=0)
        self.rows_replaced((group.key for group in new), here)

    def watch_now(self) -> None:
        """Update the times."""
        self.redraw()

    def action_open(self) -> None:
        """Open the kind under the cursor."""
        if self.highlighted is not None:
            self.hold()
            self.post_message(self.Opened(self, self.highlighted))

    def _widths(self, width: int) -> tuple[int, int]:
        """Return the terminal columns for the histogram and for the name of the saga; 0 where there is no room."""
        over = 24 if width >= 140 else 12 if width >= 90 else 0
        saga = 24 if width >= 140 else 15 if width >= 110 else 13 if self._differ and width >= 70 else 0
        return over, min(saga, max(len("SAGA"), self._widest))
