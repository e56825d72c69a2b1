"""The first screen: the newest traces, kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from sagatrace.stores import EventStore
from sagatrace_tui.labels import inert, plural
from sagatrace_tui.live import AFRESH, INTERVAL, OLDER, ListFeed, Listing, Poller
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets.bar import StateLine, TitleBar
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.notice import Notice
from sagatrace_tui.widgets.rows import Rows
from sagatrace_tui.widgets.trace_list import TraceList

__all__ = ["SearchScreen"]

FRAME: Final = 1 / 15
"""Seconds between two drawings, however fast readings come."""


class SearchScreen(Screen[None]):
    """Lists traces and opens one; polls while it is the screen on top."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "reload", "Refresh"),
        Binding("question_mark,f1", "app.help", "Help"),
        Binding("q", "app.quit", "Quit"),
    ]
    DEFAULT_CSS = """
    SearchScreen { layout: vertical; }
    SearchScreen TraceList { height: 1fr; }
    SearchScreen.-short TitleBar { display: none; }
    """
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (16, "-tall")]  # noqa: RUF012 - Textual's form

    class Read(Message):
        """The feed has read."""

        def __init__(self, listing: Listing) -> None:
            super().__init__()
            self.listing = listing

        def can_replace(self, message: Message) -> bool:
            """Only the newest reading is worth drawing."""
            return isinstance(message, SearchScreen.Read)

    def __init__(self, store: EventStore, clock: Callable[[], int], subtitle: str = "") -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._subtitle = subtitle
        self._listing: Listing | None = None
        self._drawn: Listing | None = None
        self._frame: Timer | None = None
        feed = ListFeed(store, clock)
        self.poller = Poller(feed.read, lambda listing: self.post_message(self.Read(listing)))

    @property
    def help_sections(self) -> Sequence[tuple[str, Sequence[BindingType]]]:
        """The keys of this screen."""
        return [
            ("List", [*TraceList.BINDINGS, *Rows.BINDINGS]),
            ("Screen", self.BINDINGS),
        ]

    def compose(self) -> ComposeResult:
        """Title, list, state, keys."""
        yield TitleBar("traces", inert(self._subtitle, 200))
        yield Notice()
        yield TraceList()
        state = StateLine()
        state.address = inert(self._store.label, 300)
        yield state
        yield KeyHints(TraceList.BINDINGS, self.BINDINGS)

    def on_mount(self) -> None:
        """Begin to read."""
        self.query_one(TraceList).focus()
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
        self._draw()

    def on_search_screen_read(self, message: Read) -> None:
        """Take what was read, and draw it unless something was drawn just now."""
        self._listing = message.listing
        if self._frame is None:
            self._draw()

    def _draw(self) -> None:
        """Draw the newest reading if it is not drawn yet, and look again a frame later."""
        self._frame = None
        if self._listing is None or self._listing is self._drawn or not self.is_current:
            return
        self._drawn = self._listing
        self._frame = self.set_timer(FRAME, self._draw)
        self._show(self._listing)

    def _show(self, listing: Listing) -> None:
        traces = self.query_one(TraceList)
        traces.now = listing.now
        traces.rows = listing.rows
        traces.display = bool(listing.rows)
        state = self.query_one(StateLine)
        state.fault = listing.fault is not None
        state.facts = _facts(listing)
        self.query_one(Notice).message = _notice(listing)
        if traces.display and self.focused is None:
            traces.focus()

    @on(TraceList.EndReached)
    def read_older(self) -> None:
        """Read one page more."""
        if self._listing is not None and not self._listing.exhausted:
            self.poller.ask(OLDER)

    @on(TraceList.Opened)
    def open_trace(self, message: TraceList.Opened) -> None:
        """Show one trace."""
        self.app.push_screen(TraceScreen(self._store, message.trace_id, self._clock))

    def action_reload(self) -> None:
        """Read every listed trace again, now."""
        self.poller.ask(AFRESH)


def _facts(listing: Listing) -> tuple[str, ...]:
    many = "" if listing.exhausted else "+"
    return (
        "store unreachable, trying again" if listing.fault else f"polling every {INTERVAL:g} s",
        f"{len(listing.rows):,}{many} trace{'' if len(listing.rows) == 1 else 's'}",
        plural(listing.queries, "query"),
        "reading …" if listing.reading else f"{listing.micros / 1000:.1f} ms",
    )


def _notice(listing: Listing) -> tuple[str, str, bool] | None:
    if listing.fault is not None:
        kept = "What is listed was read before. " if listing.rows else ""
        return "The store could not be read", f"{listing.fault}\n{kept}Press r to try again now.", True
    if not listing.rows and not listing.reading:
        return (
            "No traces yet",
            (
                "They appear here as soon as a traced worker writes one to this store.\n"
                "• point your workers at it: SAGATRACE_STORE=<the address below>\n"
                "• or fill it from a file:   sagatrace import FILE\n"
                "• or watch it at work:      sagatrace-tui --demo"
            ),
            False,
        )
    return None
