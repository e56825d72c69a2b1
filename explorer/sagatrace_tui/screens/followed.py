"""A screen that a feed keeps up to date while it is visible and not paused."""

from __future__ import annotations

import asyncio
import gc
from contextvars import Context
from typing import Any, Final, Protocol

from textual.widget import Widget

from sagatrace.mirror import Mirror
from sagatrace_tui.labels import plural
from sagatrace_tui.live.poller import Poller
from sagatrace_tui.live.refresh import AFRESH, LOOK
from sagatrace_tui.live.status import LiveStatus
from sagatrace_tui.screens.sized import SizedScreen
from sagatrace_tui.theme import times_of
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.key_hints import KeyHints

__all__ = ["FollowedScreen", "behind", "free_closed"]

_TRYING: Final = "Trying again …"
_READING: Final = "Refreshing …"
_OVER: Final = 1.0  # seconds after which Textual and the reading thread no longer hold a closed screen


class _Feed(Protocol):
    def listen(self, mirror: Mirror, wake: Any) -> None: ...

    def deafen(self) -> None: ...


class FollowedScreen(SizedScreen[None]):
    """Holds a feed and the poller that reads it. `f` pauses the display, not the reading."""

    poller: Poller[Any]
    _mirror: Mirror | None = None
    paused = False
    """Whether live updates are paused."""
    due = 0
    """The number of the last request whose answer is not shown yet; 0 if none. A pause does not hide the answer."""

    _kept_focus: Widget | None = None

    def watch_focused(self, before: Widget | None, now: Widget | None) -> None:
        """Keep which widget Textual focuses again when the terminal's window regains the focus."""
        self._kept_focus = None if now is not None or self.app.app_focus else before

    @property
    def in_focus(self) -> Widget | None:
        """The widget that has the focus, or would have it if the terminal's window had it."""
        return self.focused or (None if self.app.app_focus else self._kept_focus)

    @property
    def feed(self) -> _Feed:
        """The feed that keeps the screen up to date."""
        raise NotImplementedError

    def catch_up(self) -> None:
        """Show the newest reading. Called when live updates resume."""
        raise NotImplementedError

    def report_state(self) -> None:
        """Show on the state line how up to date the screen is."""
        raise NotImplementedError

    def begin_following(self) -> None:
        """Start reading the store. Redis comes later, after the first drawing: its client is slow to import."""
        self.show_hints()
        self.poller.start()

    def show_hints(self) -> None:
        """Show the key hints that fit the current state."""
        self.query_one(KeyHints).instead = {} if self.paused else {"f": "Pause"}

    def listen(self) -> None:
        """Subscribe to the mirror, if there is one and the screen is visible."""
        if self._mirror is not None and not self.poller.is_paused:
            self.feed.listen(self._mirror, self.poller.nudge)

    def end_following(self) -> None:
        """Stop reading the store and end the subscription."""
        self.poller.stop()
        self.feed.deafen()

    def on_unmount(self) -> None:
        """Stop following when the screen is removed."""
        self.end_following()

    def on_screen_suspend(self) -> None:
        """Pause reading while another screen covers this one."""
        self.poller.pause()
        self.feed.deafen()

    def on_screen_resume(self) -> None:
        """Resume reading."""
        if self.poller.is_paused:
            self.poller.pause(False)
            self.listen()
            self.poller.ask(LOOK)

    def action_follow(self) -> None:
        """Pause or resume live updates."""
        self.paused = not self.paused
        if not self.paused:
            self.catch_up()
        self.report_state()

    def action_reload(self) -> None:
        """Read everything again now, and show a note about it."""
        state = self.query_one(StateLine)
        state.say(_TRYING if state.fault else _READING)
        self.request(AFRESH)

    def request(self, wish: str) -> None:
        """Read with a wish, and show the result even while paused."""
        self.due = self.poller.ask(wish)

    def note_answer(self, number: int) -> None:
        """Note that the answer to a request, and to all before it, is shown."""
        if number >= self.due:
            self.due = 0

    def show_state(self, status: LiveStatus, fault: str | None, behind: str, shown_at: int | None, *rest: str) -> None:
        """Show a fault of the store, or how up to date the screen is.

        Args:
            status: the state of the feed.
            fault: why the store cannot be read; None if it can.
            behind: the count of the updates since a pause.
            shown_at: the moment of the reading on screen, whose ages a pause keeps.
            rest: further facts.
        """
        self.show_hints()
        state = self.query_one(StateLine)
        state.fault = fault is not None
        if fault is None and state.said[0] == _TRYING:
            state.hush()
        elif fault is None and state.said[0] == _READING and not self.due:
            state.say("Refreshed once" if self.paused else "Refreshed: up to date")
        state.mode = "paused" if self.paused else ""
        state.behind = self.paused or status.state in ("reconnecting", "catching up")
        words = "store unreachable, trying again" if fault is not None else status.words
        if self.paused:
            words = f"paused (f resumes) · {behind}" if behind else "paused (f resumes)"
            if shown_at is not None:
                words += f" · as of {times_of(self).of_day(shown_at, shown_at)}"
        state.facts = (words, *rest)


def behind(count: int, noun: str) -> str:
    """Return the count of updates not yet shown, like `+3 events`; empty for none."""
    return f"+{plural(count, noun)}" if count > 0 else ""


def free_closed(*, is_large: bool) -> None:
    """Let the garbage collector free what a closed screen froze.

    After a large trace, also start the collector: a large trace makes too little work for it to start by itself.
    """
    gc.unfreeze()
    if is_large:
        # A timer of Textual's would hold the screen in its context.
        asyncio.get_running_loop().call_later(_OVER, gc.collect, context=Context())
