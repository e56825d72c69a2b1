"""Many traces in three views: the traces, their failures by kind, and the steps that still stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec
from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from sagatrace_tui.incident.failure_groups import FailureGroup, began_at, failure_groups
from sagatrace_tui.incident.standing_steps import standing_steps
from sagatrace_tui.incident.trace_row import StandingStep, TraceRow
from sagatrace_tui.widgets.group_list import GroupList
from sagatrace_tui.widgets.held_rows import HeldRows
from sagatrace_tui.widgets.preview import Preview
from sagatrace_tui.widgets.standing_list import StandingList
from sagatrace_tui.widgets.trace_list import SORTS, TraceList

__all__ = ["VIEWS", "Arranged", "IncidentPanes", "View", "Wanted", "arranged"]

View = Literal["traces", "failures", "standing"]
VIEWS: Final[tuple[View, ...]] = get_args(View)


class Wanted(msgspec.Struct, frozen=True):
    """The choice of the reader: a view, the order of the traces, and a filter.

    `group` is the key of one kind of failure; only its traces show. Empty shows all. `new_only` keeps only new kinds of
    failure and their traces. `by_key` groups by the last business key of the rows.
    """

    view: View = "traces"
    sort: str = "last"
    group: tuple[str, ...] = ()
    new_only: bool = False
    by_key: bool = False


class Arranged(msgspec.Struct, frozen=True):
    """Rows arranged as wanted: traces in order, failures by kind, or steps that still stand.

    `source` holds all rows, read at `now` for the window since `began`. `first_at` is the start of the histogram. Times
    are microseconds since 1970.
    """

    source: tuple[TraceRow, ...]
    now: int
    began: int
    wanted: Wanted
    traces: tuple[TraceRow, ...] = ()
    groups: tuple[FailureGroup, ...] = ()
    steps: tuple[StandingStep, ...] = ()
    first_at: int = 0
    known_kinds: int = 0
    """The number of kinds of failure that are hidden because they are not new."""


def arranged(source: tuple[TraceRow, ...], now: int, began: int, wanted: Wanted) -> Arranged:
    """Return the rows arranged as wanted. Safe in any thread; thousands of rows take milliseconds."""
    found = Arranged(source, now, began, wanted)
    recent = [row for row in source if row.latest >= began] if wanted != _PLAIN else []
    first = began_at(recent, began)
    groups: list[FailureGroup] = []
    if wanted.view == "failures" or wanted.group or wanted.new_only:
        groups = failure_groups(recent, first, now, by=wanted.by_key)
        if wanted.new_only:
            found = replace(found, known_kinds=sum(not one.is_new for one in groups))
        groups = [one for one in groups if (one.is_new or not wanted.new_only) and wanted.group in ((), one.key)]
    if wanted.view == "failures":
        return replace(found, groups=tuple(groups), first_at=first)
    rows: Sequence[TraceRow] = recent if wanted.view == "standing" else source
    if wanted.group or wanted.new_only:
        kept = {row.trace_id for group in groups for row in group.rows}
        rows = [row for row in rows if row.trace_id in kept]
    if wanted.view == "standing":
        return replace(found, steps=tuple(standing_steps(rows)))
    if wanted.sort != "last":
        rows = sorted(rows, key=lambda row: SORTS[wanted.sort](row, now), reverse=True)
    return replace(found, traces=tuple(rows))


_PLAIN: Final = Wanted()


class IncidentPanes(Vertical):
    """Shows rows in the view, order and filter of `wanted`."""

    DEFAULT_CSS = """
    IncidentPanes { height: 1fr; }
    IncidentPanes TraceList, IncidentPanes GroupList, IncidentPanes StandingList { height: 1fr; }
    IncidentPanes GroupList, IncidentPanes StandingList { display: none; }
    """

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.wanted = Wanted()
        self._keys = keys
        self._shown = Arranged((), 0, 0, self.wanted)

    @property
    def view(self) -> View:
        """The view on screen."""
        return self.wanted.view

    @property
    def known_kinds(self) -> int:
        """The number of kinds of failure that are hidden because they are not new."""
        return self._shown.known_kinds

    @property
    def needs_window(self) -> bool:
        """Whether the view needs the whole window. Sorting only the newest traces would mislead."""
        wanted = self.wanted
        return wanted.view != "traces" or wanted.sort != "last" or wanted.new_only or bool(wanted.group)

    def compose(self) -> ComposeResult:
        """Lay out the three lists and the preview of a trace."""
        yield TraceList()
        yield GroupList()
        standing = StandingList()
        standing.keys = self._keys
        yield standing
        yield Preview()

    @property
    def shown(self) -> HeldRows:
        """The list of the current view."""
        panes: dict[View, type[HeldRows]] = {"traces": TraceList, "failures": GroupList, "standing": StandingList}
        return self.query_one(panes[self.view])

    def show_view(self, view: View) -> None:
        """Show another view, and focus it."""
        self.wanted = replace(self.wanted, view=view)
        for one in (TraceList, GroupList, StandingList):
            pane = self.query_one(one)
            pane.display = pane is self.shown
        self._show()
        self.screen.set_focus(self.shown)  # immediately: the next key may focus the query line

    def show(self, given: Arranged) -> None:
        """Show rows. Arrange them again if `wanted` has changed meanwhile."""
        self._shown = given
        self._show()

    def narrow(self, group: tuple[str, ...] = ()) -> None:
        """Show only the traces with a kind of failure, by its key; empty shows all."""
        self.wanted = replace(self.wanted, group=group)

    def ask(self, *, new_only: bool, by_key: bool) -> None:
        """Clear the rows, ready for those of another query."""
        self.wanted = replace(self.wanted, group=(), new_only=new_only, by_key=by_key)
        self.show(Arranged((), 0, 0, self.wanted))

    def sort_by(self, sort: str) -> None:
        """Sort the traces by a key of `SORTS`, highest first."""
        self.wanted = replace(self.wanted, sort=sort)
        self.query_one(TraceList).sort = sort
        self._show()

    def next_sort(self) -> str:
        """Return the sort order after the current one."""
        sorts = list(SORTS)
        return sorts[(sorts.index(self.wanted.sort) + 1) % len(sorts)]

    @property
    def chosen(self) -> str | None:
        """The id of the trace under the cursor; for a kind of failure, of its latest trace."""
        row = self.shown
        if isinstance(row, GroupList):
            return row.highlighted.rows[0].trace_id if row.highlighted is not None else None
        if isinstance(row, (TraceList, StandingList)):
            return row.highlighted.trace_id if row.highlighted is not None else None
        return None

    def neighbour(self, trace_id: str, step: int) -> str | None:
        """Return the next (1) or previous (-1) failed trace in the list; None at the end.

        In the view of standing steps, return the trace of the next or previous step.
        """
        shown = self._shown
        if self.view == "standing":
            ids = list(dict.fromkeys(one.trace_id for one in shown.steps))
        else:
            rows = arranged(shown.source, shown.now, shown.began, replace(self.wanted, view="traces")).traces
            ids = [row.trace_id for row in rows if row.failure is not None or row.trace_id == trace_id]
        place = ids.index(trace_id) + step if trace_id in ids else 0
        return ids[place] if 0 <= place < len(ids) else None

    def _show(self) -> None:
        shown = self._shown
        if shown.wanted != self.wanted:
            shown = self._shown = arranged(shown.source, shown.now, shown.began, self.wanted)
        now = shown.now
        if self.view == "traces":
            traces = self.query_one(TraceList)
            traces.now, traces.rows = now, shown.traces
            self._preview()
        elif self.view == "failures":
            groups = self.query_one(GroupList)
            groups.began, groups.now, groups.groups = shown.first_at, now, shown.groups
        else:
            standing = self.query_one(StandingList)
            standing.now, standing.steps = now, shown.steps
        self.query_one(Preview).set_class(self.view != "traces", "-hidden")

    @on(TraceList.Highlighted)
    def _preview(self) -> None:
        self.query_one(Preview).row = self.query_one(TraceList).highlighted
