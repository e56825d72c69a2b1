"""The keys of the first screen, and their groups in its help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.binding import Binding, BindingType

from sagatrace_tui.widgets.group_list import GroupList
from sagatrace_tui.widgets.query_line import QueryLine
from sagatrace_tui.widgets.rows import Rows
from sagatrace_tui.widgets.standing_list import StandingList
from sagatrace_tui.widgets.trace_list import TraceList

__all__ = ["SEARCH_KEYS", "UNSORTED_KEYS", "help_sections"]

SEARCH_KEYS: Final[list[BindingType]] = [
    Binding("slash", "query", "Search", priority=True, tooltip="Search for traces"),
    Binding("1", "view('traces')", "Traces", priority=True, tooltip="The traces"),
    Binding("2", "view('failures')", "Failures", priority=True, tooltip="The failures of the window by kind"),
    Binding("3", "view('standing')", "Standing", priority=True, tooltip="The steps of the window that still stand"),
    Binding("w", "why", "Why", tooltip="Open the trace and show why it failed, root to cause"),
    Binding("c", "compensation", "Open the trace and show its compensations and what still stands", show=False),
    Binding("o", "sort", "Sort", tooltip="Sort by last activity, start, duration or errors"),
    Binding("d", "compare", "Compare the trace with the last good run of its saga", show=False),
    Binding("escape", "clear", "Stop reading; back to all traces", show=False),
    Binding("y", "copy", "Copy the trace id", show=False),
    Binding("f", "follow", "Resume", tooltip="Pause or resume live updates"),
    Binding("r", "reload", "Refresh", tooltip="Read every trace of the list again"),
    Binding("question_mark,f1", "app.help", "Help", tooltip="These keys"),
    Binding("q", "app.leave", "Quit"),
]

UNSORTED_KEYS: Final = [key for key in Binding.make_bindings(SEARCH_KEYS) if key.action != "sort"]
"""The keys of the views that cannot be sorted."""


def help_sections() -> Sequence[tuple[str, Sequence[BindingType]]]:
    """Return the keys of the screen and of its panes."""
    return [
        ("Screen", SEARCH_KEYS),
        ("List", [*TraceList.BINDINGS, *Rows.BINDINGS]),
        ("Failures", GroupList.BINDINGS),
        ("Standing", StandingList.BINDINGS),
        ("Search line", QueryLine.BINDINGS),
    ]
