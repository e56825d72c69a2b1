"""Search inside a trace. A separate thread searches, and the tree marks the matches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from textual import on
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import Worker, get_current_worker

from sagatrace.errors import SearchError
from sagatrace.event import TraceEvent
from sagatrace.stores import Search, data_condition
from sagatrace_tui.model import Trace
from sagatrace_tui.timers import call_once
from sagatrace_tui.views.find import find
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets.find_line import FindLine
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_rows import SpanRows
from sagatrace_tui.widgets.span_tree import SpanTree

__all__ = ["FindScreen"]

_AGAIN: Final = 0.3
"""Seconds from a change of the trace to the search of it."""


class FindScreen(Screen[None]):
    """A screen with a find line and a tree that marks the matches."""

    class Found(Message):
        """A search has ended, with the matching spans. `sought` is the text to mark in their details."""

        def __init__(self, text: str, sought: str, span_ids: frozenset[str]) -> None:
            super().__init__()
            self.text = text
            self.sought = sought
            self.span_ids = span_ids

    _search: Worker[None] | None = None
    _again: Timer | None = None  # the next search, if the trace has changed
    _is_asked = False
    """Whether the reader waits for the result. The search of a newer trace never moves the cursor."""

    def searched(self) -> Trace | None:
        """Return the trace to search; None before one is read."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Focus the tree after typing."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's form
        """Let `/` be typed as text into an input line."""
        return not (action == "find" and isinstance(self.focused, Input))

    def action_find(self) -> None:
        """Open the find line."""
        self.query_one(FindLine).edit()

    @on(FindLine.Changed)
    def look_for(self, message: FindLine.Changed) -> None:
        """Search for the typed text."""
        self._is_asked = True
        self._look_for(message.text)

    def look_again(self) -> None:
        """Search the trace again because it has changed, if the find line has a text."""
        if not self.query_one(FindLine).text or self._again is not None:
            return
        self._again = call_once(self, _AGAIN, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        if self._search is not None and not self._search.is_finished:
            self.look_again()
        elif text := self.query_one(FindLine).text:
            self._look_for(text)

    def _look_for(self, text: str) -> None:
        """Search in a worker thread."""
        trace = self.searched()
        if trace is None:
            return

        rows = SpanRows(trace, self.query_one(SpanTree).outline or Outline(trace))
        sought, meets = _condition(text)

        def look() -> None:
            worker = get_current_worker()
            found = find(trace, text, meets=meets, words=rows.words, go_on=lambda: not worker.is_cancelled)
            if not worker.is_cancelled:
                self.post_message(self.Found(text, sought, found))

        self.report_found()
        self._search = self.run_worker(look, thread=True, exclusive=True, group="find")

    def on_find_screen_found(self, message: Found) -> None:
        """Mark the matches, and go to the first. Ignore a search for a text that is no longer in the find line."""
        tree, is_asked = self.query_one(SpanTree), self._is_asked
        if message.text != self.query_one(FindLine).text:
            return
        self._is_asked = False
        tree.matches = message.span_ids
        self.query_one(SpanDetail).sought = message.sought
        if tree.only is not None and tree.only[0] == "found":
            tree.only = ("found", message.span_ids) if message.span_ids else None
        if is_asked and message.span_ids and tree.highlighted not in message.span_ids:
            tree.action_match(1)
        self.report_found()

    def report_found(self) -> None:
        """Show the number of matches, and the match under the cursor."""
        tree = self.query_one(SpanTree)
        if self._is_asked:
            self.query_one(FindLine).busy()
            return
        self.query_one(FindLine).show_place(*tree.match_place, alone=tree.only is not None and tree.only[0] == "found")

    @on(FindLine.Settled)
    def leave_find(self) -> None:
        """Go back to the tree and keep the matches."""
        self.set_focus(None)
        self.go_on()

    @on(FindLine.Left)
    def forget_find(self) -> None:
        """Close the find line and remove the marks."""
        self.set_focus(None)
        self._is_asked = False
        tree = self.query_one(SpanTree)
        tree.matches = frozenset()
        self.query_one(SpanDetail).sought = ""
        if tree.only is not None and tree.only[0] == "found":
            tree.only = None
        self.query_one(FindLine).close()
        self.go_on()


def _condition(text: str) -> tuple[str, Callable[[TraceEvent], bool]]:
    """Return the text to mark in a span's data, and a test for events: `key=value` matches, other text never does."""
    try:
        condition = data_condition(text)
    except SearchError:
        return text, lambda _: False
    return condition.path[-1], Search(limit=1, data=(condition,)).matches
