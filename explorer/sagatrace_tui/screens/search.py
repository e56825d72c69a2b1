"""The first screen: a live list of the newest traces.

This module is longer than most: the screen answers the messages and keys of all its panes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from sagatrace.mirror import Mirror
from sagatrace.stores import EventStore
from sagatrace_tui.incident.query import Query
from sagatrace_tui.labels import inert, plural
from sagatrace_tui.live.list_feed import ENOUGH, OLDER, WHOLE, ListFeed
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.live.poller import FRAME, Poller
from sagatrace_tui.query_history import QueryHistory
from sagatrace_tui.scope import Scope
from sagatrace_tui.screens.clipboard import copy_text
from sagatrace_tui.screens.followed import FollowedScreen, behind
from sagatrace_tui.screens.search_keys import SEARCH_KEYS, UNSORTED_KEYS, help_sections
from sagatrace_tui.screens.search_words import DEMO, SORT_WORDS, facts_of, notice_of
from sagatrace_tui.timers import call_after_drawing, call_once
from sagatrace_tui.widgets.bar import StateLine, TitleBar
from sagatrace_tui.widgets.group_list import GroupList
from sagatrace_tui.widgets.incident_panes import VIEWS, Arranged, IncidentPanes, View, arranged
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.notice import Notice
from sagatrace_tui.widgets.query_line import QueryLine
from sagatrace_tui.widgets.standing_list import StandingList
from sagatrace_tui.widgets.trace_list import TraceList

__all__ = ["SearchScreen"]


class SearchScreen(FollowedScreen):
    """Lists traces, failures or standing steps, and opens a trace. Live while it is on top."""

    BINDINGS: ClassVar[list[BindingType]] = SEARCH_KEYS
    DEFAULT_CSS = """
    SearchScreen { layout: vertical; }
    SearchScreen.-short TitleBar { display: none; }
    SearchScreen.-wide.-tall Preview { display: block; }
    SearchScreen.-wide.-tall Preview.-hidden { display: none; }
    """
    AUTO_FOCUS = "TraceList"
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (16, "-middle"), (28, "-tall")]  # noqa: RUF012 - Textual's form
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - Textual's form

    class Read(Message):
        """The feed has a new reading."""

        def __init__(self, listing: Listing, rows: Arranged, query: Query, answers: int) -> None:
            super().__init__()
            self.answers = answers
            self.listing = listing
            self.rows = rows
            self.asked = query

        def can_replace(self, message: Message) -> bool:
            """Let a newer reading replace one that waits to be drawn."""
            return isinstance(message, SearchScreen.Read)

    def __init__(
        self,
        store: EventStore,
        clock: Callable[[], int],
        history: QueryHistory | None = None,
        mirror: Mirror | None = None,
        scope: Scope | None = None,
        *,
        is_demo: bool = False,
    ) -> None:
        super().__init__()
        self._scope = scope or Scope()
        self._store = store
        self._clock = clock
        self._is_demo = is_demo
        self._panes = IncidentPanes(self._scope.keys)
        self._listing: Listing | None = None
        self._rows: Arranged | None = None  # of the newest listing
        self._answers = 0  # the last request that the newest listing answers
        self._drawn: Listing | None = None
        self._seen: Listing | None = None  # drawn, or counted as a change while paused
        self._frame: Timer | None = None
        self._history = history
        self._asked = self._word = ""
        self._mirror = mirror
        self._began = time.monotonic()
        self.poller = self._follow(Query())

    def _follow(self, query: Query) -> Poller[Listing]:
        """Return a poller for the query."""
        self._query = query
        scope = self._scope
        keys = (*scope.keys, query.by) if query.by else scope.keys
        self._feed = feed = ListFeed(self._store, self._clock, query=query, window=scope.window, keys=keys)

        def publish(listing: Listing) -> None:
            # Sort and group in the poller's thread, so that the screen's thread stays free for keys.
            rows = arranged(listing.rows, listing.now, listing.began, self._panes.wanted)
            self.post_message(self.Read(listing, rows, query, self.poller.answering))

        return Poller(feed.read, publish)

    @property
    def feed(self) -> ListFeed:
        """The feed that keeps the list up to date."""
        return self._feed

    @property
    def help_sections(self) -> Sequence[tuple[str, Sequence[BindingType]]]:
        """The keys of this screen."""
        return help_sections()

    def compose(self) -> ComposeResult:
        """Lay out the title, the query line, the views, the state line and the key hints."""
        yield TitleBar("traces", DEMO if self._is_demo else "", VIEWS)
        yield QueryLine(self._history.queries if self._history else (), self._scope.saved)
        yield Notice()
        yield self._panes
        state = StateLine()
        state.address = inert(self._store.label, 300)
        yield state
        yield KeyHints(TraceList.BINDINGS, self.BINDINGS)

    def on_mount(self) -> None:
        """Start reading."""
        self.set_focus(self.query_one(TraceList))
        self.query_one(StateLine).facts = ("reading",)
        self.set_interval(0.5, self._say_patience)
        self.begin_following()

    def _say_patience(self) -> None:
        """Show how long the first reading takes."""
        if self._listing is None and self.is_current:
            doing, out = ("Searching", "Esc shows all traces again") if self._asked else ("Reading", "q quits")
            text = f"The store has not answered yet. {out}."
            self.query_one(Notice).message = f"{doing}, {time.monotonic() - self._began:.0f} s", text, False

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Show the keys that work in the focused part."""
        if isinstance(event.widget, Input):
            self.query_one(KeyHints).show(QueryLine.BINDINGS)
        else:
            keys = SEARCH_KEYS if self._panes.view == "traces" else UNSORTED_KEYS
            self.query_one(KeyHints).show(type(self._panes.shown).BINDINGS, keys)

    def on_screen_resume(self) -> None:
        """Draw the newest reading."""
        self._draw()

    def on_search_screen_read(self, message: Read) -> None:
        """Keep the reading. Draw it, unless the last drawing was less than a frame ago."""
        if message.asked is not self._query:
            return
        is_first, self._listing, self._rows = self._listing is None, message.listing, message.rows
        self._answers = message.answers
        if message.listing.unfinished and not message.listing.reading:
            self.poller.ask()
        if self._frame is None:
            self._draw()
        if is_first:
            call_after_drawing(self, self.listen)

    def _draw(self) -> None:
        """Draw the newest reading if it is not drawn yet, and check again a frame later."""
        self._frame = None
        is_old = self._listing is self._drawn or self._listing is self._seen
        if self._listing is None or is_old or self.app.screen is not self:
            return
        self._seen = self._listing
        self._frame = call_once(self, FRAME, self._draw)
        if self._is_wanted(self._drawn):
            self.catch_up()
        self.report_state()

    def _is_wanted(self, drawn: Listing | None) -> bool:
        """Return whether to draw a newer listing. A pause stops live updates, not the reading of what is shown."""
        if drawn is None or not self.paused or self.due or drawn.fault is not None:
            return True
        return drawn.is_partial(windowed=self._panes.needs_window)

    def catch_up(self) -> None:
        """Show the newest reading."""
        if self._listing is not None:
            self._drawn = self._listing
            self._show(self._listing, self._rows)
            if not self._listing.reading:
                self.note_answer(self._answers)

    def report_state(self) -> None:
        """Show on the state line how up to date the list is."""
        listing = self._listing
        if listing is None:
            return
        changed = 0
        if self._drawn is not None and self._drawn is not listing:
            shown = {row.trace_id: row for row in self._drawn.rows}
            changed = sum(shown.get(row.trace_id) is not row for row in listing.rows)
        fault = None if listing.missing else listing.fault
        facts = facts_of(self._drawn or listing, self._panes)
        self.show_state(listing.status, fault, behind(changed, "change"), (self._drawn or listing).now, *facts)

    def _show(self, listing: Listing, rows: Arranged | None = None) -> None:
        """Show a reading. Without rows, the current rows stay."""
        panes = self._panes
        if rows is not None:
            panes.show(rows)
        has_rows = bool(panes.shown.row_count)
        if panes.visible is not has_rows:  # setting the same value again would repaint
            panes.visible = has_rows  # hidden, not removed: the lines below stay at the bottom
        self.query_one(Notice).message = notice_of(listing, self._asked, self._word, panes, is_demo=self._is_demo)
        if panes.visible and self.in_focus is None:
            self.set_focus(panes.shown)

    def action_view(self, view: View) -> None:
        """Show the traces, the failures by kind, or the standing steps. The last two read the whole window."""
        self._panes.narrow()
        self._show_view(view)

    def _show_view(self, view: View) -> None:
        panes = self._panes
        self.query_one(StateLine).hush()  # a note about the view before
        panes.visible = True
        panes.show_view(view)
        self.query_one(TitleBar).shown = view
        self._read_window()
        if self._drawn is not None:
            self._show(self._drawn)
        self.report_state()

    def _read_window(self) -> None:
        """Read the whole window if it is needed and not read yet."""
        if self._panes.needs_window and not (self._drawn and self._drawn.whole):
            self.request(WHOLE)

    @on(GroupList.Opened)
    def list_group(self, message: GroupList.Opened) -> None:
        """List the traces of one kind of failure, with the cursor on the first."""
        self._panes.narrow(message.group.key)
        self._show_view("traces")
        self._panes.shown.action_top()
        count, step = plural(len(message.group.rows), "trace"), inert(message.group.example.step, 60)
        self.query_one(StateLine).say(f"{count} with this failure at {step}. Esc goes back to the failures")

    @on(StandingList.Opened)
    def open_step(self, message: StandingList.Opened) -> None:
        """Open the trace at the step."""
        self._open(message.step.trace_id, span_id=message.step.span_id)

    @on(TitleBar.Chosen)
    def show_chosen(self, message: TitleBar.Chosen) -> None:
        """Show the view that was clicked."""
        self.action_view(VIEWS[message.index])

    def action_sort(self) -> None:
        """Sort by the next of last activity, start, duration and errors."""
        self._sort(self._panes.next_sort())

    @on(TraceList.SortChosen)
    def sort_by(self, message: TraceList.SortChosen) -> None:
        """Sort by the column that was clicked."""
        self._sort(message.sort)

    def _sort(self, sort: str) -> None:
        if self._panes.view != "traces":
            self.query_one(StateLine).say("Only the list of traces can be sorted (1 shows it)")
            return
        self._panes.sort_by(sort)
        self._read_window()
        self.report_state()
        self.query_one(StateLine).say(f"Sorted by {SORT_WORDS[sort]}")

    @on(TraceList.NoneFailed)
    def say_none_failed(self, message: TraceList.NoneFailed) -> None:
        """Show how far the search went, and read older traces."""
        where = "below" if message.step > 0 else "above"
        drawn = self._drawn
        is_all = message.step < 0 or drawn is None or (drawn.exhausted and not drawn.is_partial(windowed=False))
        self.query_one(StateLine).say(f"No failed trace {where}" + ("" if is_all else " yet: reading older ones"))
        if message.step > 0:
            self.read_older()

    @on(TraceList.EndReached)
    def read_older(self) -> None:
        """Read one more page."""
        if self._drawn is not None and not self._drawn.exhausted:
            self.request(OLDER)

    @on(TraceList.Opened)
    def open_trace(self, message: TraceList.Opened) -> None:
        """Open the trace."""
        self._open(message.trace_id)

    def _open(self, trace_id: str, view: str = "tree", span_id: str | None = None) -> None:
        from sagatrace_tui.screens.trace import TraceScreen  # not needed for the first frame

        near = self._panes.neighbour
        screen = TraceScreen(self._store, trace_id, self._clock, view, self._mirror, span_id=span_id, neighbour=near)
        self.app.push_screen(screen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's form
        """Let `/`, `1`, `2` and `3` be typed as text into an input line."""
        return not (action in ("query", "view") and isinstance(self.focused, Input))

    def action_query(self) -> None:
        """Open the query line."""
        self.query_one(QueryLine).edit()

    @on(QueryLine.Asked)
    def ask(self, message: QueryLine.Asked) -> None:
        """Search for the traces that match the query."""
        self._asked, self._word = message.text, message.asked.word
        self.end_following()
        self._listing = self._drawn = None
        self._began = time.monotonic()
        self.paused = False
        panes = self._panes
        panes.ask(new_only=message.asked.new, by_key=bool(message.asked.by))
        self.poller = self._follow(message.asked)
        self.due = 0
        self._read_window()
        self.query_one(StateLine).hush()
        self.query_one(StateLine).facts = ("searching",)
        self.query_one(Notice).message = None
        self.begin_following()
        self._to_list()
        if message.asked.by:
            self._show_view("failures")
        if message.text and self._history is not None:
            history, text = self._history, message.text
            self.run_worker(lambda: history.add(text), thread=True)
        saved = self._scope.saved
        if saved is not None and saved.unsaved:
            self.run_worker(saved.save, thread=True)

    @on(QueryLine.Left)
    def _to_list(self) -> None:
        self._panes.visible = True
        self.set_focus(self._panes.shown)

    def action_clear(self) -> None:
        """Go one step back: leave a kind of failure, stop reading, leave the view, or clear the query."""
        listing, panes = self._drawn, self._panes
        if panes.wanted.group:
            panes.narrow()
            self._show_view("failures")
        elif listing is not None and panes.needs_window and not listing.whole and not listing.stopped:
            self.request(ENOUGH)
        elif panes.view != "traces":
            self._show_view("traces")
        elif not self._asked:
            self.query_one(StateLine).say("All traces are shown. / searches, q quits")
        else:
            self.query_one(QueryLine).clear()
            self.ask(QueryLine.Asked(Query(), ""))

    def action_why(self) -> None:
        """Show why the trace under the cursor failed."""
        self._open_chosen("why")

    def action_compensation(self) -> None:
        """Show what was undone in the trace under the cursor, and what still stands."""
        self._open_chosen("compensation")

    def _open_chosen(self, view: str) -> None:
        if (trace_id := self._panes.chosen) is not None:
            self._panes.shown.hold()
            self._open(trace_id, view)

    def action_compare(self) -> None:
        """Compare the trace under the cursor with the last good run of its saga. Open it at the chosen span."""
        trace_id = self._panes.chosen
        if trace_id is None:
            return

        def open_at(span_id: str | None) -> None:
            if span_id is not None:
                self._open(trace_id, span_id=span_id)

        from sagatrace_tui.screens.compare import CompareScreen

        self._panes.shown.hold()
        self.app.push_screen(CompareScreen(self._store, trace_id, self._clock), open_at)

    def action_copy(self) -> None:
        """Copy the id of the trace under the cursor."""
        trace_id = self._panes.chosen
        if trace_id is not None:
            self.query_one(StateLine).say(*copy_text(self.app, trace_id, "the trace id"))
