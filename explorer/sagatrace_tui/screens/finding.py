"""Finding inside a trace: what is typed is looked for in a thread of its own, and marked in the tree."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import get_current_worker

from sagatrace.errors import SearchError
from sagatrace.event import TraceEvent
from sagatrace.stores import Search, data_condition
from sagatrace_tui.model import Trace
from sagatrace_tui.views.find import find
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets.find_line import FindLine
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_rows import SpanRows
from sagatrace_tui.widgets.span_tree import SpanTree

__all__ = ["FindScreen"]


class FindScreen(Screen[None]):
    """A screen with a line to find by and a tree to mark in."""

    class Found(Message):
        """What was to be found is."""

        def __init__(self, text: str, span_ids: frozenset[str]) -> None:
            super().__init__()
            self.text = text
            self.span_ids = span_ids

    def searched(self) -> Trace | None:
        """The trace to find in; None while there is none."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Focus the tree after typing."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's form
        """A stroke typed into a line is a stroke."""
        return not (action == "find" and isinstance(self.focused, Input))

    def action_find(self) -> None:
        """Type what to find."""
        self.query_one(FindLine).edit()

    @on(FindLine.Changed)
    def look_for(self, message: FindLine.Changed) -> None:
        """Find it, away from the screen's own thread."""
        text, trace = message.text, self.searched()
        if trace is None:
            return

        rows = SpanRows(trace, self.query_one(SpanTree).outline or Outline(trace))
        sought, meets = _condition(text)

        def look() -> None:
            worker = get_current_worker()
            found = find(trace, text, meets=meets, words=rows.words, go_on=lambda: not worker.is_cancelled)
            if not worker.is_cancelled:
                self.post_message(self.Found(sought, found))

        self.query_one(FindLine).busy()
        self.run_worker(look, thread=True, exclusive=True, group="find")

    def on_find_screen_found(self, message: Found) -> None:
        """Mark it, and go to the first of it."""
        tree = self.query_one(SpanTree)
        tree.matches = message.span_ids
        self.query_one(SpanDetail).sought = message.text
        if tree.only is not None and tree.only[0] == "found":
            tree.only = ("found", message.span_ids) if message.span_ids else None
        if message.span_ids and tree.highlighted not in message.span_ids:
            tree.action_match(1)
        self.tell_found()

    def tell_found(self) -> None:
        """Say how much was found, and which of it the cursor is on."""
        tree = self.query_one(SpanTree)
        self.query_one(FindLine).show_place(*tree.match_place, alone=tree.only is not None and tree.only[0] == "found")

    @on(FindLine.Settled)
    def leave_find(self) -> None:
        """Go on in the tree."""
        self.set_focus(None)
        self.go_on()

    @on(FindLine.Left)
    def forget_find(self) -> None:
        """Nothing is marked any more."""
        self.set_focus(None)
        tree = self.query_one(SpanTree)
        tree.matches = frozenset()
        self.query_one(SpanDetail).sought = ""
        if tree.only is not None and tree.only[0] == "found":
            tree.only = None
        self.query_one(FindLine).close()
        self.go_on()


def _condition(text: str) -> tuple[str, Callable[[TraceEvent], bool]]:
    """Return what to mark in the data of a span, and whether an event meets `key=value`; none does for other text."""
    try:
        condition = data_condition(text)
    except SearchError:
        return text, lambda _: False
    return condition.path[-1], Search(limit=1, data=(condition,)).matches
