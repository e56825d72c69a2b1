"""The screen of one trace: a tree of spans, and the detail of the span under the cursor.

This module is longer than most: the screen answers the messages and keys of all its panes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from sagatrace.mirror import Mirror
from sagatrace.stores import EventStore
from sagatrace_tui.labels import inert, plural
from sagatrace_tui.live.poller import Poller
from sagatrace_tui.live.replay import Frame
from sagatrace_tui.live.trace_feed import OpenTrace, TraceFeed
from sagatrace_tui.model import Trace
from sagatrace_tui.screens.clipboard import CopyScreen
from sagatrace_tui.screens.finding import FindScreen
from sagatrace_tui.screens.followed import FollowedScreen, behind, free_closed
from sagatrace_tui.screens.replayed import ReplayScreen
from sagatrace_tui.screens.trace_keys import TRACE_KEYS, help_sections
from sagatrace_tui.screens.trace_words import notice_about, part_of_why
from sagatrace_tui.timers import call_after_drawing, call_once
from sagatrace_tui.values import Path, as_text
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.find_line import FindLine
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.ledger import Ledger
from sagatrace_tui.widgets.notice import Notice
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree
from sagatrace_tui.widgets.trace_header import TraceHeader
from sagatrace_tui.widgets.trace_panes import BROAD, HIGH, TALL, WIDE, TracePanes

__all__ = ["TraceScreen"]

REST: Final = 0.08
"""Seconds the cursor must rest on a span before its detail is drawn."""

Neighbour = Callable[[str, int], str | None]
"""Returns the next (1) or previous (-1) failed trace in the list, given a trace id; None at the end."""


class TraceScreen(FollowedScreen, CopyScreen, ReplayScreen, FindScreen):
    """Follows one trace. New events keep the cursor, the folds and the scroll position."""

    BINDINGS: ClassVar[list[BindingType]] = TRACE_KEYS
    AUTO_FOCUS = "SpanTree"
    DEFAULT_CSS = """
    TraceScreen { layout: vertical; }
    TraceScreen.-short StateLine { display: none; }
    TraceScreen.-short StateLine.-said { display: block; }
    """
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (TALL, "-tall"), (HIGH, "-high")]  # noqa: RUF012 - Textual's form
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (WIDE, "-wide"), (BROAD, "-broad")]  # noqa: RUF012 - Textual's form

    class Read(Message):
        """The feed has a new reading."""

        def __init__(self, reading: OpenTrace, answers: int) -> None:
            super().__init__()
            self.reading = reading
            self.answers = answers

        def can_replace(self, message: Message) -> bool:
            """Let a newer reading replace one that waits to be drawn."""
            return isinstance(message, TraceScreen.Read)

    def __init__(
        self,
        store: EventStore,
        trace_id: str,
        clock: Callable[[], int],
        view: str = "tree",
        mirror: Mirror | None = None,
        span_id: str | None = None,
        neighbour: Neighbour | None = None,
    ) -> None:
        super().__init__()
        self._store, self._trace_id, self._clock = store, trace_id, clock
        self._span_id, self._neighbour, self._mirror = span_id, neighbour, mirror
        self._rest: Timer | None = None
        self._view = view
        self._began = time.monotonic()
        self._patience: Timer | None = None
        self._feed = TraceFeed(store, trace_id, clock)
        self.pinned: tuple[Path, ...] = ()
        """The data keys that have a column when the screen opens."""
        self.poller = Poller(self._feed.read, lambda one: self.post_message(self.Read(one, self.poller.answering)))

    @property
    def feed(self) -> TraceFeed:
        """The feed that keeps the trace up to date."""
        return self._feed

    @property
    def help_sections(self) -> Sequence[tuple[str, Sequence[BindingType]]]:
        """The keys of this screen."""
        return help_sections()

    def compose(self) -> ComposeResult:
        """Lay out the header, the find line, the panes, the state line and the key hints."""
        yield TraceHeader(self._trace_id)
        yield Notice()
        yield FindLine()
        yield TracePanes()
        state = StateLine()
        state.address = inert(self._store.label, 300)
        yield state
        yield KeyHints(SpanTree.BINDINGS, self.BINDINGS)

    def on_mount(self) -> None:
        """Start reading."""
        tree = self.query_one(SpanTree)
        tree.pinned = self.pinned
        self.set_focus(tree)
        self.query_one(StateLine).facts = ("reading",)
        self._patience = self.set_interval(0.5, self._say_patience)
        self.begin_following()

    def _say_patience(self) -> None:
        come = f" {plural(arrived, 'event')} so far," if (arrived := self._feed.arrived) else ""
        waited = time.monotonic() - self._began
        self.query_one(TraceHeader).waiting = f"reading,{come} {waited:.0f} s · Esc cancels"

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Show the keys that work in the focused pane."""
        pane = event.widget
        typing = isinstance(pane, Input)
        self.query_one(KeyHints).show(*((FindLine.BINDINGS,) if typing else (type(pane).BINDINGS, self.BINDINGS)))

    def on_unmount(self) -> None:
        """Stop reading, and free the trace."""
        self._feed.give_up()
        free_closed(is_large=self._feed.is_large)

    def on_resize(self, event: events.Resize) -> None:
        """Show both panes if both fit."""
        self._arrange(event.size.height, isinstance(self.in_focus, SpanDetail))

    def on_trace_screen_read(self, message: Read) -> None:
        """Show the reading, unless the screen is paused or in a replay. A pause shows what was asked for."""
        self._newest = message.reading
        is_held = self.replay or (self.paused and not self.due)
        if self._reading is None or self._reading.trace is None or not is_held:
            self.show(message.reading)
        self.note_answer(message.answers)
        self.report_state()

    def catch_up(self) -> None:
        """Show the newest reading."""
        if self._newest is not None and self.replay is None:
            self.show(self._newest)

    def show(self, reading: OpenTrace, frame: Frame | None = None) -> None:
        """Show a reading, or a moment of a replay."""
        before, self._reading = self._reading, reading
        header, tree = self.query_one(TraceHeader), self.query_one(SpanTree)
        if self._patience is not None:
            self._patience.stop()
        if reading.trace is None:
            header.waiting = "not read"
        if reading.trace is not None and reading.outline is not None:
            header.now = reading.now
            if before is not None and reading.trace is before.trace:
                tree.now = reading.now
            else:
                header.trace = reading.trace
                changed = (frame.changes, frame.span_id) if frame is not None else (None, None)
                self.query_one(Ledger).show(reading.trace, *changed)
                tree.has_reader = self.in_focus is tree
                tree.show((reading.trace, reading.outline), reading.now, *changed)
                if before is None or before.trace is None:
                    self._show_view()
                    self._go_to(self._span_id)
                elif self._view == "why":
                    tree.only = part_of_why(reading.trace)
                self._show_detail()
                self.look_again()
        if before is None:
            call_after_drawing(self, self.listen)
        self.query_one(Notice).message = notice = notice_about(reading, self._trace_id)
        panes, has_rows = self.query_one(TracePanes), notice is None or bool(tree.row_count)
        panes.display = True  # only now: the first layout knows the real size, and no frame shows another
        if panes.visible is not has_rows:  # setting the same value again would repaint
            panes.visible = has_rows
            self._arrange(self.size.height, isinstance(self.in_focus, SpanDetail))

    def report_state(self) -> None:
        """Show on the state line how up to date the trace is."""
        newest, shown = self._newest, self._reading.trace if self._reading is not None else None
        if self.replay is not None:
            self.report_replay(self.replay)
        elif newest is not None:
            missing = newest.known - (shown.event_count if shown is not None else 0)
            cost = plural(newest.queries, "query"), f"{newest.micros / 1000:.1f} ms"
            shown_at = self._reading.now if self._reading is not None else None
            self.show_state(newest.status, newest.fault, behind(missing, "event"), shown_at, *cost)

    @on(SpanTree.SpanHighlighted)
    @on(Ledger.SpanHighlighted)
    def follow_cursor(self) -> None:
        """Show the span under the cursor once it rests there."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = call_once(self, REST, self._show_detail)

    @on(SpanTree.Notified)
    def pass_on(self, message: SpanTree.Notified) -> None:
        """Show what a key did, or why it did nothing."""
        self.say(message.text)

    @on(SpanTree.SpanOpened)
    def open_detail(self) -> None:
        """Move the focus to the detail."""
        self._show_detail()
        self._arrange(self.size.height, into_detail=True)

    @on(SpanDetail.SpanChosen)
    @on(Ledger.SpanChosen)
    def go_to_span(self, message: SpanDetail.SpanChosen | Ledger.SpanChosen) -> None:
        """Show the span in the tree."""
        if not isinstance(message, Ledger.SpanHighlighted):
            self._go_to(message.span_id)

    def _go_to(self, span_id: str | None) -> None:
        if span_id is None or self._reading is None:
            return
        self.end_replay_before(span_id)
        self._view = "tree"
        self._show_view()
        if not self.query_one(SpanTree).go_to(span_id):
            self.say("This trace has no event of that span", "warn")
        self._arrange(self.size.height, into_detail=False)
        self._show_detail()

    @on(SpanDetail.Pinned)
    def pin(self, message: SpanDetail.Pinned) -> None:
        """Add a data key as a column of the tree, or remove its column."""
        tree, path = self.query_one(SpanTree), message.path
        if path is None:
            self.say("Only a value of the data can be a column")
            return
        words = "is a column of the tree; p again unpins" if tree.toggle_pin(path) else "is no longer a column"
        self.say(f"{inert(str(path[-1]), 80)} {words}")

    @on(SpanDetail.ValueOpened)
    def open_value(self, message: SpanDetail.ValueOpened) -> None:
        """Show a value in full."""
        from sagatrace_tui.screens.value import ValueScreen

        self.app.push_screen(ValueScreen(message.title, as_text(message.value)))

    def action_compare(self) -> None:
        """Compare the trace with the last good run of its saga. Go to the chosen span."""
        from sagatrace_tui.screens.compare import CompareScreen

        self.app.push_screen(CompareScreen(self._store, self._trace_id, self._clock, self.live_trace), self._go_to)

    def action_failed_trace(self, step: int) -> None:
        """Open the next (1) or previous (-1) failed trace of the list in the same view."""
        near = self._neighbour
        trace_id = near(self._trace_id, step) if near is not None else None
        if near is None:
            self.say("This trace was not opened from a list")
        elif trace_id is None:
            self.say(f"The list, as last read, has nothing more to open {'below' if step > 0 else 'above'} this trace")
        else:
            screen = TraceScreen(self._store, trace_id, self._clock, self._view, self._mirror, neighbour=near)
            screen.pinned = self.query_one(SpanTree).pinned
            self.app.switch_screen(screen)

    def action_view(self, view: str) -> None:
        """Show a view of the trace. The same key again shows all spans."""
        self._view = "tree" if view == self._view else view
        self._show_view()
        self._arrange(self.size.height, into_detail=False)
        self._show_detail()

    def _show_view(self) -> None:
        tree, trace = self.query_one(SpanTree), self._reading.trace if self._reading else None
        if trace is None:
            return
        part = part_of_why(trace) if self._view == "why" else None
        if self._view == "why" and part is None:
            self._view = "tree"
            self.say(tree.nothing_failed)
        tree.only = part
        if part is not None and trace.cause is not None:
            tree.go_to(trace.cause.span_id)
        self._arrange(self.size.height, isinstance(self.in_focus, SpanDetail))
        self.show_hints()

    def show_hints(self) -> None:
        """Also show which key leaves the view."""
        super().show_hints()
        if self._view != "tree":
            hints = self.query_one(KeyHints)
            hints.instead = {**hints.instead, "w" if self._view == "why" else "c": "All"}

    def action_in_tree(self, what: str, step: int) -> None:
        """Go to the next error or match, without leaving the detail."""
        in_detail = self.query_one(SpanDetail).has_focus
        if self._view == "compensation":
            self._view = "tree"
            self._show_view()
        tree = self.query_one(SpanTree)
        (tree.action_error if what == "error" else tree.action_match)(step)
        self._arrange(self.size.height, in_detail)
        self._show_detail()

    def action_find(self) -> None:
        """Open the find line, and show the tree, which marks the matches."""
        super().action_find()
        if self._view == "compensation":
            self.action_view("tree")

    def searched(self) -> Trace | None:
        """Return the trace shown."""
        return self._reading.trace if self._reading is not None else None

    def go_on(self) -> None:
        """Focus the tree."""
        self._arrange(self.size.height, into_detail=False)

    def action_only_matches(self) -> None:
        """Show only the matches and their ancestors, or all spans again."""
        tree = self.query_one(SpanTree)
        if tree.only is not None and tree.only[0] == "found":
            tree.only = None
        elif tree.matches:
            self._view = "tree"
            tree.only = ("found", tree.matches)
        else:
            self.say(tree.nothing_found)
        self.report_found()

    def action_other_pane(self) -> None:
        """Move the focus between the tree and the detail."""
        self._show_detail()
        self._arrange(self.size.height, into_detail=not self.query_one(SpanDetail).has_focus)

    async def action_back(self) -> None:
        """Close the detail, the view, the zoom or the find line. If none is open, leave the trace."""
        if self.query_one(SpanDetail).has_focus:
            self._arrange(self.size.height, into_detail=False)
        elif self._view != "tree":
            self.action_view("tree")
        elif self.query_one(SpanTree).zoom is not None:
            self.query_one(SpanTree).end_zoom()
        elif self.query_one(FindLine).display:
            self.forget_find()
        else:
            await self.action_leave()

    async def action_leave(self) -> None:
        """Go back to the list."""
        await self.run_action("app.leave_trace")

    def copied(self) -> tuple[str, str, str] | None:
        """Return the value under the cursor, or else the id of the span or trace."""
        detail = self.query_one(SpanDetail)
        if not detail.has_focus:
            span_id = self._highlighted()
            return (span_id, "the span id", "") if span_id else (self._trace_id, "the trace id", "")
        if detail.line is not None and detail.line.value is not None:
            return as_text(detail.line.value), "the value", "Enter, S saves it" if detail.line.opens else ""
        return None

    def text_to_save(self) -> tuple[str, str] | None:
        """Return the incident summary, and the trace id for its file."""
        from sagatrace_tui.incident.summary import incident_summary

        trace = self.live_trace
        return None if trace is None else (incident_summary(trace, inert), self._trace_id)

    def _highlighted(self) -> str | None:
        in_ledger = self.query_one(Ledger).highlighted if self._view == "compensation" else None
        return in_ledger or self.query_one(SpanTree).highlighted

    def _show_detail(self) -> None:
        tree, span_id = self.query_one(SpanTree), self._highlighted()
        self.query_one(TraceHeader).error_place = tree.error_place
        self.report_found()
        if tree.subject is not None and span_id is not None:
            self.query_one(SpanDetail).subject = (*tree.subject, span_id)

    def _arrange(self, height: int, into_detail: bool) -> None:
        pane = self.query_one(TracePanes).show_panes(height, self._view == "compensation", into_detail)
        if not isinstance(self.in_focus, Input):
            self.set_focus(pane)  # not later, as `Widget.focus` does: a key in between may have moved it
