"""A screen that a feed keeps up to date, for as long as the reader wants it to and can see it."""

from __future__ import annotations

from typing import Any, Final, Protocol

from textual.screen import Screen

from sagatrace.mirror import Mirror
from sagatrace_tui.labels import plural
from sagatrace_tui.live import AFRESH, LOOK, LiveStatus, Poller
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.key_hints import KeyHints

__all__ = ["FollowedScreen", "behind"]

_TRYING: Final = "Trying again …"
_READING: Final = "Reading again …"


class _Feed(Protocol):
    def listen(self, mirror: Mirror, wake: Any) -> None: ...

    def deafen(self) -> None: ...


class FollowedScreen(Screen[None]):
    """Knows its feed and the thread it reads in; `f` stops the screen, not the reading."""

    poller: Poller[Any]
    _mirror: Mirror | None = None
    paused = False
    """Whether live updates are paused."""

    @property
    def feed(self) -> _Feed:
        """What it is kept up to date by."""
        raise NotImplementedError

    def catch_up(self) -> None:
        """Show the newest reading; called when the reader follows again."""
        raise NotImplementedError

    def tell_state(self) -> None:
        """Say how true the screen is."""
        raise NotImplementedError

    def begin_following(self) -> None:
        """Read for the first time now; Redis, whose client is slow to import, is asked once something is on screen."""
        self.tell_hints()
        self.poller.start()

    def tell_hints(self) -> None:
        """Hint at what keys do as things stand."""
        self.query_one(KeyHints).instead = {} if self.paused else {"f": "Pause"}

    def listen(self) -> None:
        """Subscribe to the mirror, if there is one, while the screen shows."""
        if self._mirror is not None and not self.poller.is_paused:
            self.feed.listen(self._mirror, self.poller.nudge)

    def end_following(self) -> None:
        """Read and hear no more."""
        self.poller.stop()
        self.feed.deafen()

    def on_unmount(self) -> None:
        """End the subscription for good."""
        self.end_following()

    def on_screen_suspend(self) -> None:
        """Leave store and Redis alone while the screen does not show."""
        self.poller.pause()
        self.feed.deafen()

    def on_screen_resume(self) -> None:
        """Be up to date again."""
        if self.poller.is_paused:
            self.poller.pause(False)
            self.listen()
            self.poller.ask(LOOK)

    def action_follow(self) -> None:
        """Pause or resume live updates."""
        self.paused = not self.paused
        if not self.paused:
            self.catch_up()
        self.tell_state()

    def action_reload(self) -> None:
        """Read everything again, now, and say so."""
        state = self.query_one(StateLine)
        state.say(_TRYING if state.fault else _READING)
        self.poller.ask(AFRESH)

    def show_state(self, status: LiveStatus, fault: str | None, behind: str, *rest: str) -> None:
        """One line: whether the store answers, else how up to date it is; `behind` counts what came since a pause."""
        self.tell_hints()
        state = self.query_one(StateLine)
        state.fault = fault is not None
        if fault is None and state.said[0] == _TRYING:
            state.hush()
        elif fault is None and state.said[0] == _READING:
            state.say("Read again" if self.paused else "Read again: this is up to date")
        state.mode = "paused" if self.paused else ""
        state.behind = self.paused or status.state in ("reconnecting", "catching up")
        words = "store unreachable, trying again" if fault is not None else status.words
        if self.paused:
            words = f"paused (f resumes) · {behind}" if behind else "paused (f resumes)"
        state.facts = (words, *rest)


def behind(count: int, noun: str) -> str:
    """How many have come that are not shown: `+3 events`."""
    return f"+{plural(count, noun)}" if count > 0 else ""
