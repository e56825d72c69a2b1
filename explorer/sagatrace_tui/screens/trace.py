"""One trace: its spans as a tree, and the span under the cursor in detail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from sagatrace.stores import EventStore
from sagatrace_tui.labels import inert, plural
from sagatrace_tui.live import AFRESH, INTERVAL, OpenTrace, Poller, TraceFeed
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.notice import Notice
from sagatrace_tui.widgets.rows import Rows
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree
from sagatrace_tui.widgets.trace_header import TraceHeader

__all__ = ["TraceScreen"]

REST: Final = 0.08
"""Seconds the cursor must rest on a span before its detail is drawn."""
WIDE: Final = 110
"""Columns from which tree and detail stand side by side."""
TALL: Final = 16
"""Lines from which they stand one above the other; below, one of them shows at a time."""


class TraceScreen(Screen[None]):
    """Follows one trace by polling; cursor, folds and scrolling stay as they are when it grows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,shift+tab", "other_pane", "Other pane"),
        Binding("r", "reload", "Refresh"),
        Binding("question_mark,f1", "app.help", "Help"),
        Binding("q", "leave", "Back"),
        Binding("escape", "back", "From the detail to the tree, then to the list", show=False),
    ]
    DEFAULT_CSS = """
    TraceScreen { layout: vertical; }
    TraceScreen #panes { height: 1fr; layout: vertical; }
    TraceScreen SpanTree { height: 11fr; }
    TraceScreen SpanDetail { height: 9fr; border-top: solid $panel; }
    TraceScreen SpanDetail:focus { border-top: solid $primary; }
    TraceScreen.-wide #panes { layout: horizontal; }
    TraceScreen.-wide SpanTree { width: 11fr; height: 1fr; }
    TraceScreen.-wide SpanDetail { width: 9fr; height: 1fr; border-top: none; border-left: solid $panel; }
    TraceScreen.-wide SpanDetail:focus { border-top: none; border-left: solid $primary; }
    TraceScreen.-short SpanDetail { border: none; }
    TraceScreen.-short TraceHeader { max-height: 2; }
    """
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (TALL, "-tall")]  # noqa: RUF012 - Textual's form
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - Textual's form

    class Read(Message):
        """The feed has read."""

        def __init__(self, reading: OpenTrace) -> None:
            super().__init__()
            self.reading = reading

        def can_replace(self, message: Message) -> bool:
            """Only the newest reading is worth drawing."""
            return isinstance(message, TraceScreen.Read)

    def __init__(self, store: EventStore, trace_id: str, clock: Callable[[], int]) -> None:
        super().__init__()
        self._store = store
        self._trace_id = trace_id
        self._reading: OpenTrace | None = None
        self._rest: Timer | None = None
        feed = TraceFeed(store, trace_id, clock)
        self.poller = Poller(feed.read, lambda reading: self.post_message(self.Read(reading)))

    @property
    def help_sections(self) -> Sequence[tuple[str, Sequence[BindingType]]]:
        """The keys of this screen."""
        return [
            ("Span tree", [*SpanTree.BINDINGS, *Rows.BINDINGS]),
            ("Detail", SpanDetail.BINDINGS),
            ("Screen", self.BINDINGS),
        ]

    def compose(self) -> ComposeResult:
        """Header, the two panes, state, keys."""
        yield TraceHeader(self._trace_id)
        yield Notice()
        with Container(id="panes"):
            yield SpanTree()
            yield SpanDetail()
        state = StateLine()
        state.address = inert(self._store.label, 300)
        yield state
        yield KeyHints(SpanTree.BINDINGS, self.BINDINGS)

    def on_mount(self) -> None:
        """Begin to read."""
        self.query_one(SpanTree).focus()
        self.query_one(StateLine).facts = ("reading",)
        self.poller.start()

    def on_unmount(self) -> None:
        """Stop reading."""
        self.poller.stop()

    def on_screen_suspend(self) -> None:
        """Nobody looks: leave the store alone."""
        self.poller.pause()

    def on_screen_resume(self) -> None:
        """Be up to date again."""
        self.poller.pause(False)

    def on_resize(self, event: events.Resize) -> None:
        """Show both panes where both fit."""
        self._arrange(event.size.height, self.query_one(SpanDetail).has_focus)

    def on_trace_screen_read(self, message: Read) -> None:
        """Show what was read."""
        before, reading = self._reading, message.reading
        self._reading = reading
        header, tree = self.query_one(TraceHeader), self.query_one(SpanTree)
        if reading.trace is not None:
            header.now = tree.now = reading.now
            if before is None or reading.trace is not before.trace:
                header.trace = tree.trace = reading.trace
                self._show_detail()
        state = self.query_one(StateLine)
        state.fault = reading.fault is not None
        state.facts = _facts(reading)
        self.query_one(Notice).message = notice = _notice(reading, self._trace_id)
        self.query_one("#panes").display = notice is None or bool(tree.row_count)

    @on(SpanTree.SpanHighlighted)
    def follow_cursor(self) -> None:
        """Show the span under the cursor once it rests there."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._show_detail)

    @on(SpanTree.SpanOpened)
    def open_detail(self) -> None:
        """Go into the detail."""
        self._show_detail()
        self._arrange(self.size.height, into_detail=True)

    def action_other_pane(self) -> None:
        """From the tree to the detail and back."""
        self._show_detail()
        self._arrange(self.size.height, into_detail=not self.query_one(SpanDetail).has_focus)

    def action_back(self) -> None:
        """One step back."""
        if self.query_one(SpanDetail).has_focus:
            self._arrange(self.size.height, into_detail=False)
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Back to the list."""
        self.app.pop_screen()

    def action_reload(self) -> None:
        """Fetch and fold the trace again, now."""
        self.poller.ask(AFRESH)

    def _show_detail(self) -> None:
        tree = self.query_one(SpanTree)
        if tree.trace is not None and tree.highlighted is not None:
            self.query_one(SpanDetail).subject = (tree.trace, tree.highlighted)

    def _arrange(self, height: int, into_detail: bool) -> None:
        tree, detail = self.query_one(SpanTree), self.query_one(SpanDetail)
        one_at_a_time = height < TALL
        tree.display = not (one_at_a_time and into_detail)
        detail.display = not one_at_a_time or into_detail
        (detail if into_detail else tree).focus()


def _facts(reading: OpenTrace) -> tuple[str, ...]:
    return (
        "store unreachable, trying again" if reading.fault else f"polling every {INTERVAL:g} s",
        plural(reading.queries, "query"),
        f"{reading.micros / 1000:.1f} ms",
    )


def _notice(reading: OpenTrace, trace_id: str) -> tuple[str, str, bool] | None:
    if reading.fault is not None:
        kept = "What is shown was read before. " if reading.trace is not None else ""
        return "The store could not be read", f"{reading.fault}\n{kept}Press r to try again now.", True
    if reading.trace is not None and not reading.trace.event_count and not reading.trace.anomalies:
        return (
            f"No trace {trace_id}",
            "This store has no event of it. It is looked for again every second; Esc goes to the list.",
            False,
        )
    return None
