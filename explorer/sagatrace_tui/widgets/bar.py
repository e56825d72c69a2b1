"""The lines of the frame: the title bar and the state line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from sagatrace_tui.labels import short, short_middle
from sagatrace_tui.theme import TONES
from sagatrace_tui.timers import call_once

__all__ = ["Bar", "StateLine", "TitleBar"]

_NAME: Final = "sagatrace"
SAID: Final = 8.0
"""Seconds that a note about a result stays."""
HINTED: Final = 3.0
"""Seconds that a plain note stays, such as why a key did nothing."""


class Bar(Widget):
    """One line of the frame."""

    DEFAULT_CSS = """
    Bar { height: 1; padding: 0 1; text-wrap: nowrap; color: $foreground-muted; background: $background; }
    """
    ALLOW_SELECT = False


class TitleBar(Bar):
    """The product's name, the views with their keys, and the subtitle on the right. A click on a view chooses it."""

    DEFAULT_CSS = """
    TitleBar { background: $surface; }
    """

    shown: reactive[str] = reactive("")
    """The view on screen, one of `views`."""

    class Chosen(Message):
        """The view at that index was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, title: str, subtitle: str = "", views: Sequence[str] = ()) -> None:
        super().__init__()
        self._views = views or (title,)
        self._subtitle = subtitle
        self.set_reactive(TitleBar.shown, title)

    def _tabs(self) -> list[tuple[str, str, str]]:
        """Return (view, key, label) of each view. A single title has no key."""
        if len(self._views) == 1:
            return [(view, "", view) for view in self._views]
        return [(view, f"[{number}] ", view.capitalize()) for number, view in enumerate(self._views, start=1)]

    def render(self) -> Content:
        """The line."""
        parts = [(_NAME, f"{TONES['key']} bold")]
        for view, key, label in self._tabs():
            is_shown = view == self.shown
            parts += [(f"  {key}", TONES["key"]), (label, f"{TONES['plain']} bold" if is_shown else TONES["muted"])]
        room = max(0, self.size.width - 3 - sum(cell_len(text) for text, _ in parts))
        words = self._subtitle.split(" ")
        while len(words) > 1 and cell_len(" ".join(words)) > room:
            del words[0]  # the end of a command is the part to copy
        right = short(" ".join(words), room)
        return Content.assemble(*parts, " " * max(0, room - cell_len(right) + 1), right)

    def on_click(self, event: events.Click) -> None:
        """Choose the view that was clicked."""
        end = 1 + len(_NAME)
        for index, (_, key, label) in enumerate(self._tabs()):
            start, end = end + 2, end + 2 + cell_len(key + label)
            if key and start <= event.x < end:
                self.post_message(self.Chosen(index))


class StateLine(Bar):
    """Shows the store, how up to date the screen is, and the cost of reading. `address` is shortened first."""

    address: reactive[str] = reactive("")
    facts: reactive[tuple[str, ...]] = reactive(())
    fault: reactive[bool] = reactive(False)
    behind: reactive[bool] = reactive(False)
    """Whether the screen may lack recent events although the store works."""
    mode: reactive[str] = reactive("")
    """The word for a screen that is not live: paused or replay. It also stands before each note."""
    said: reactive[tuple[str, str]] = reactive(("", "plain"))
    """The note, and its tone. It stays for a few seconds."""

    _quiet: Timer | None = None

    def say(self, text: str, tone: str = "plain") -> None:
        """Show a note in place of the facts for a few seconds."""
        self.said = (text, tone)
        self.add_class("-said")
        if self._quiet is not None:
            self._quiet.stop()
        self._quiet = call_once(self, HINTED if tone == "plain" else SAID, self.hush)

    def hush(self) -> None:
        """Remove the note and show the facts again."""
        self.said = ("", "plain")
        self.set_class(bool(self.mode), "-said")

    def watch_mode(self) -> None:
        """Stay visible on a small terminal while the screen is not live."""
        self.set_class(bool(self.mode or self.said[0]), "-said")

    def render(self) -> Content:
        """The line."""
        said, tone = self.said
        if said:
            mode = f"{self.mode} · " if self.mode else ""
            room = max(0, self.size.width - 2 - len(mode))
            return Content.assemble((mode, TONES["warn"]), ("» ", TONES["key"]), (short(said, room), TONES[tone]))
        facts = " · ".join(self.facts)
        sign = ("● ", TONES["bad" if self.fault else "warn" if self.behind else "ok"])
        room = self.size.width - cell_len(facts) - 5
        if room < 12 or not self.address:
            return Content.assemble(sign, short(facts, max(0, self.size.width - 2)))
        return Content.assemble(sign, short_middle(self.address, room), " · ", facts)
