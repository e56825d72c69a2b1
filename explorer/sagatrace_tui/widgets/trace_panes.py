"""The panes of an open trace: the tree or the compensations, and the detail. The layout depends on the size."""

from __future__ import annotations

from typing import Final

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from sagatrace_tui.labels import plural
from sagatrace_tui.timers import call_after_drawing
from sagatrace_tui.widgets.ledger import Ledger
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree

__all__ = ["BROAD", "HIGH", "TALL", "WIDE", "TracePanes"]

WIDE: Final = 110
"""Columns a terminal needs to show tree and detail side by side."""
BROAD: Final = 160
HIGH: Final = 40
"""From this many columns and lines, the detail lies below the tree again: the waterfall uses the width."""
TALL: Final = 16
"""Lines a terminal needs to show both panes. A smaller terminal shows one at a time."""


class TracePanes(Container):
    """Holds the panes. The size classes of the screen decide the layout."""

    SCOPED_CSS = False  # the size classes belong to the screen
    DEFAULT_CSS = """
    TracePanes {
        height: 1fr; layout: vertical;
        SpanTree, Ledger { height: auto; min-height: 4; max-height: 60%; }
        Ledger { display: none; max-height: 75%; }
        SpanDetail { height: 1fr; border-top: solid $panel; border-title-color: $foreground-muted; }
        SpanDetail:focus { border-top: solid $primary; }
    }
    .-wide TracePanes, .-broad TracePanes {
        layout: horizontal;
        SpanTree, Ledger { width: 31fr; height: 1fr; max-height: 100%; }
        SpanDetail { width: 19fr; height: 1fr; border-top: none; border-left: solid $panel; }
        SpanDetail:focus { border-top: none; border-left: solid $primary; }
    }
    .-broad.-high TracePanes {
        layout: vertical;
        SpanTree, Ledger { width: 1fr; height: auto; max-height: 60%; }
        SpanDetail { width: 1fr; border-left: none; border-top: solid $panel; }
        SpanDetail:focus { border-left: none; border-top: solid $primary; }
    }
    .-short TracePanes SpanTree, .-short TracePanes Ledger { height: 1fr; max-height: 100%; }
    .-short TracePanes SpanDetail { border: none; }
    """

    def compose(self) -> ComposeResult:
        """Lay out all panes; only some show."""
        yield SpanTree()
        yield Ledger()
        yield SpanDetail()

    def on_mount(self) -> None:
        """Keep the count of the lines below up to date."""
        ledger = self.query_one(Ledger)
        for changing in ("scroll_y", "virtual_size", "container_size"):
            self.watch(ledger, changing, self._layout_changed, init=False)

    def _layout_changed(self) -> None:
        call_after_drawing(self, self._say_cut)

    def _say_cut(self) -> None:
        """Show on the line above the detail how many lines of the compensations are below it."""
        ledger = self.query_one(Ledger)
        below = ledger.row_count - ledger.in_sight.stop if ledger.display else 0
        self.query_one(SpanDetail).border_title = f"↓ {plural(below, 'more line')}" if below > 0 else ""

    def show_panes(self, height: int, compensations: bool, into_detail: bool) -> Widget:
        """Show the panes for a screen of `height` lines, and return the pane for the focus."""
        detail, tree, ledger = self.query_one(SpanDetail), self.query_one(SpanTree), self.query_one(Ledger)
        main, other = (ledger, tree) if compensations else (tree, ledger)
        one_at_a_time = height < TALL
        other.display = False
        main.display = not (one_at_a_time and into_detail)
        detail.display = not one_at_a_time or into_detail
        self._layout_changed()
        return detail if into_detail else main
