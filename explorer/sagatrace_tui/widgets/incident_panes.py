"""Many traces in three views: the traces, their failures by kind, and the steps that still stand."""

from __future__ import annotations

from typing import Final, Literal, get_args

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from sagatrace_tui.incident.failure_groups import FailureGroup, failure_groups
from sagatrace_tui.incident.standing_steps import standing_steps
from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.widgets.group_list import GroupList
from sagatrace_tui.widgets.preview import Preview
from sagatrace_tui.widgets.rows import Rows
from sagatrace_tui.widgets.standing_list import StandingList
from sagatrace_tui.widgets.trace_list import SORTS, TraceList

__all__ = ["VIEWS", "IncidentPanes", "View"]

View = Literal["traces", "failures", "standing"]
VIEWS: Final[tuple[View, ...]] = get_args(View)


class IncidentPanes(Vertical):
    """Shows one view of the rows given. `group` narrows the list of traces to one kind of failure.

    `new_only` shows only kinds of failure that were not seen before, and their traces.
    """

    DEFAULT_CSS = """
    IncidentPanes { height: 1fr; }
    IncidentPanes TraceList, IncidentPanes GroupList, IncidentPanes StandingList { height: 1fr; }
    IncidentPanes GroupList, IncidentPanes StandingList { display: none; }
    """

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.view: View = "traces"
        self.group: FailureGroup | None = None
        self.new_only = False
        self._keys = keys
        self._rows: tuple[TraceRow, ...] = ()
        self._now = self._began = 0
        self._sort = "last"

    def compose(self) -> ComposeResult:
        """Return the three lists, and the preview of a trace."""
        yield TraceList()
        yield GroupList()
        standing = StandingList()
        standing.keys = self._keys
        yield standing
        yield Preview()

    @property
    def shown(self) -> Rows:
        """The list of this view."""
        panes: dict[View, type[Rows]] = {"traces": TraceList, "failures": GroupList, "standing": StandingList}
        return self.query_one(panes[self.view])

    def show_view(self, view: View) -> None:
        """Show another view, and focus it."""
        self.view = view
        for one in (TraceList, GroupList, StandingList):
            pane = self.query_one(one)
            pane.display = pane is self.shown
        self._show()
        self.screen.set_focus(self.shown)  # now: a key that follows at once may focus the query line

    def show(self, rows: tuple[TraceRow, ...], now: int, began: int) -> None:
        """Show rows as of `now`, of a time that began at `began`; microseconds since 1970."""
        self._rows, self._now, self._began = rows, now, began
        self._show()

    def sort_by(self, sort: str) -> None:
        """Sort the traces by this, the highest first."""
        self._sort = sort
        self.query_one(TraceList).sort = sort
        self._show()

    def next_sort(self) -> str:
        """Return the order after the present one."""
        sorts = list(SORTS)
        return sorts[(sorts.index(self._sort) + 1) % len(sorts)]

    def neighbour(self, trace_id: str, step: int) -> str | None:
        """Return the next failed trace of the list after this one, or with -1 the one before; None at the end."""
        ids = [row.trace_id for row in self._listed() if row.failure is not None or row.trace_id == trace_id]
        place = ids.index(trace_id) + step if trace_id in ids else 0
        return ids[place] if 0 <= place < len(ids) else None

    def _show(self) -> None:
        now = self._now
        if self.view == "traces":
            traces = self.query_one(TraceList)
            traces.now, traces.rows = now, tuple(self._listed())
            self._preview()
        elif self.view == "failures":
            groups = self.query_one(GroupList)
            first = min((row.started_at for row in self._rows if row.started_at is not None), default=now)
            groups.began, groups.now, groups.groups = max(first, self._began), now, tuple(self._groups())
        else:
            standing = self.query_one(StandingList)
            standing.now, standing.steps = now, tuple(standing_steps(self._in_window()))
        self.query_one(Preview).set_class(self.view != "traces", "-hidden")

    def _in_window(self) -> list[TraceRow]:
        return [row for row in self._rows if row.latest >= self._began]

    def _groups(self) -> list[FailureGroup]:
        return [one for one in failure_groups(self._in_window()) if one.is_new or not self.new_only]

    def _listed(self) -> list[TraceRow]:
        rows = list(self._rows)
        if self.group is not None or self.new_only:
            groups = [one for one in self._groups() if self.group is None or one.key == self.group.key]
            kept = {row.trace_id for group in groups for row in group.rows}
            rows = [row for row in rows if row.trace_id in kept]
        return rows if self._sort == "last" else sorted(rows, key=SORTS[self._sort], reverse=True)

    @on(TraceList.Highlighted)
    def _preview(self) -> None:
        self.query_one(Preview).row = self.query_one(TraceList).highlighted
