"""The first screen: the newest traces, kept up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from sagatrace.mirror import Mirror
from sagatrace.stores import EventStore
from sagatrace_tui.labels import inert, plural
from sagatrace_tui.live import FRAME, OLDER, ListFeed, Listing, Poller
from sagatrace_tui.query_history import QueryHistory
from sagatrace_tui.screens.clipboard import copy_text
from sagatrace_tui.screens.followed import FollowedScreen, behind
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.views.query import Query
from sagatrace_tui.widgets.bar import StateLine, TitleBar
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.notice import Notice
from sagatrace_tui.widgets.query_line import QueryLine
from sagatrace_tui.widgets.rows import Rows
from sagatrace_tui.widgets.trace_list import TraceList

__all__ = ["SearchScreen"]


class SearchScreen(FollowedScreen):
    """Lists traces and opens one; follows them while it is the screen on top."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "query", "Search", priority=True, tooltip="Type what to look for"),
        Binding("w", "why", "Why", tooltip="Open the trace and show why it failed, root to cause"),
        Binding("escape,c", "clear", "All traces again, after a search", show=False),
        Binding("y", "copy", "Copy the trace id", show=False),
        Binding("f", "follow", "Resume", tooltip="Pause or resume live updates"),
        Binding("r", "reload", "Refresh", tooltip="Read every trace of the list again"),
        Binding("question_mark,f1", "app.help", "Help", tooltip="These keys"),
        Binding("q", "app.quit", "Quit"),
    ]
    DEFAULT_CSS = """
    SearchScreen { layout: vertical; }
    SearchScreen TraceList { height: 1fr; }
    SearchScreen.-short TitleBar { display: none; }
    """
    AUTO_FOCUS = "TraceList"
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (16, "-tall")]  # noqa: RUF012 - Textual's form

    class Read(Message):
        """The feed has read."""

        def __init__(self, listing: Listing, query: Query) -> None:
            super().__init__()
            self.listing = listing
            self.asked = query

        def can_replace(self, message: Message) -> bool:
            """Only the newest reading is worth drawing."""
            return isinstance(message, SearchScreen.Read)

    def __init__(
        self,
        store: EventStore,
        clock: Callable[[], int],
        subtitle: str = "",
        history: QueryHistory | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._subtitle = subtitle
        self._listing: Listing | None = None
        self._drawn: Listing | None = None
        self._frame: Timer | None = None
        self._history = history
        self._asked = ""
        self._mirror = mirror
        self._began = time.monotonic()
        self.poller = self._follow(Query())

    def _follow(self, query: Query) -> Poller[Listing]:
        """A poller of what the query finds; readings of earlier queries are told from its own."""
        self._query = query
        self._feed = feed = ListFeed(self._store, self._clock, query=query)
        return Poller(feed.read, lambda listing: self.post_message(self.Read(listing, query)))

    @property
    def feed(self) -> ListFeed:
        """What the list is kept up to date by."""
        return self._feed

    @property
    def help_sections(self) -> Sequence[tuple[str, Sequence[BindingType]]]:
        """The keys of this screen."""
        return [
            ("Screen", self.BINDINGS),
            ("List", [*TraceList.BINDINGS, *Rows.BINDINGS]),
            ("Search line", QueryLine.BINDINGS),
        ]

    def compose(self) -> ComposeResult:
        """Title, list, state, keys."""
        yield TitleBar("traces", inert(self._subtitle, 200))
        yield QueryLine(self._history.queries if self._history else ())
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
        self.set_interval(0.5, self._say_patience)
        self.begin_following()

    def _say_patience(self) -> None:
        """Say what is waited for until the first of it is there."""
        if self._listing is None and self.is_current:
            doing, out = ("Searching", "Esc shows all traces again") if self._asked else ("Reading", "q quits")
            told = f"The store has not answered yet. {out}."
            self.query_one(Notice).message = f"{doing}, {time.monotonic() - self._began:.0f} s", told, False

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Hint at the keys that work here."""
        typing = isinstance(event.widget, Input)
        self.query_one(KeyHints).tell(*((QueryLine.BINDINGS,) if typing else (TraceList.BINDINGS, self.BINDINGS)))

    def on_screen_resume(self) -> None:
        """Draw what was read meanwhile."""
        self._draw()

    def on_search_screen_read(self, message: Read) -> None:
        """Take what was read, and draw it unless something was drawn just now."""
        if message.asked is not self._query:
            return
        is_first, self._listing = self._listing is None, message.listing
        if message.listing.unfinished and not message.listing.reading:
            self.poller.ask()
        if self._frame is None:
            self._draw()
        if is_first:
            self.call_after_refresh(self.listen)

    def _draw(self) -> None:
        """Draw the newest reading if it is not drawn yet, and look again a frame later."""
        self._frame = None
        if self._listing is None or self._listing is self._drawn or not self.is_current:
            return
        self._frame = self.set_timer(FRAME, self._draw)
        if not self.paused or self._drawn is None:
            self._drawn = self._listing
            self._show(self._listing)
        self.tell_state()

    def catch_up(self) -> None:
        """Show what came since."""
        if self._listing is not None:
            self._drawn = self._listing
            self._show(self._listing)

    def tell_state(self) -> None:
        """Say how true the screen is."""
        listing = self._listing
        if listing is None:
            return
        rows, shown = set(listing.rows), set(self._drawn.rows if self._drawn is not None else ())
        cost = "reading …" if listing.reading or listing.unfinished else f"{listing.micros / 1000:.1f} ms"
        many = "" if listing.exhausted else "+"
        count = f"{len(listing.rows):,}{many} trace{'' if len(listing.rows) == 1 else 's'}"
        queries = plural(listing.queries, "query")
        fault = None if listing.missing else listing.fault
        facts = (count, queries, cost, *filter(None, [listing.advice]))
        self.show_state(listing.status, fault, behind(len(rows - shown), "change"), *facts)

    def _show(self, listing: Listing) -> None:
        traces = self.query_one(TraceList)
        traces.now = listing.now
        traces.rows = listing.rows
        if traces.visible is not bool(listing.rows):  # setting it paints, whether it is news or not
            traces.visible = bool(listing.rows)  # its room stays: what is below it is at the bottom always
        self.query_one(Notice).message = _notice(listing, self._asked)
        if traces.visible and self.focused is None:
            traces.focus()

    @on(TraceList.EndReached)
    def read_older(self) -> None:
        """Read one page more."""
        if self._listing is not None and not self._listing.exhausted:
            self.poller.ask(OLDER)

    @on(TraceList.Opened)
    def open_trace(self, message: TraceList.Opened) -> None:
        """Show one trace."""
        self.app.push_screen(TraceScreen(self._store, message.trace_id, self._clock, mirror=self._mirror))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's form
        """A stroke typed into a line is a stroke."""
        return not (action == "query" and isinstance(self.focused, Input))

    def action_query(self) -> None:
        """Type what to look for."""
        self.query_one(QueryLine).edit()

    @on(QueryLine.Asked)
    def ask(self, message: QueryLine.Asked) -> None:
        """Look for it."""
        self._asked = message.text
        self.end_following()
        self._listing = self._drawn = None
        self._began = time.monotonic()
        self.paused = False
        traces = self.query_one(TraceList)
        traces.rows = ()
        self.poller = self._follow(message.asked)
        self.query_one(StateLine).hush()
        self.query_one(StateLine).facts = ("searching",)
        self.query_one(Notice).message = None
        self.begin_following()
        self._to_list()
        if message.text and self._history is not None:
            history, text = self._history, message.text
            self.run_worker(lambda: history.add(text), thread=True)

    @on(QueryLine.Left)
    def _to_list(self) -> None:
        traces = self.query_one(TraceList)
        traces.visible = True
        traces.focus()

    def action_clear(self) -> None:
        """Look for nothing in particular."""
        if not self._asked:
            self.query_one(StateLine).say("These are all traces: / searches, q quits")
            return
        line = self.query_one(QueryLine)
        line.input.value = ""
        self.ask(QueryLine.Asked(Query(), ""))

    def action_why(self) -> None:
        """Show why the trace under the cursor failed."""
        chosen = self.query_one(TraceList).highlighted
        if chosen is not None:
            self.query_one(TraceList).hold()
            self.app.push_screen(TraceScreen(self._store, chosen.trace_id, self._clock, "why", self._mirror))

    def action_copy(self) -> None:
        """Copy the id of the trace under the cursor."""
        chosen = self.query_one(TraceList).highlighted
        if chosen is not None:
            self.query_one(StateLine).say(*copy_text(self.app, chosen.trace_id, "the trace id"))


def _notice(listing: Listing, asked: str) -> tuple[str, str, bool] | None:
    if listing.missing:
        return "No store yet", f"{listing.fault}\nIt is looked for every second; Ctrl+C gives up.", False
    if listing.fault is not None:
        kept = "What is listed was read before. " if listing.rows else ""
        return "The store could not be read", f"{listing.fault}\n{kept}Press r to try again now.", True
    if not listing.rows and asked and (listing.reading or listing.unfinished):
        return "Searching", f"{plural(listing.looked_at, 'trace')} read so far. Esc shows all traces again.", False
    if not listing.rows and asked:
        looked_at = plural(listing.looked_at, "trace")
        why = f"None of {looked_at} is." if listing.looked_at else "All terms must match the same event."
        return "No trace matches", f"{asked}\n{why} / changes it, Esc shows all traces again.", False
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
