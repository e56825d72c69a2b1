"""What goes down the wire: only the cells that differ from what the terminal already shows.

Textual sends every row it repaints with all of its styles, about 11 kB for a scroll by one row. A driver is the public
place to stand between the two (`App(driver_class=…)`): this one reads the frames, which are positions, styles and
text, into a grid, and sends the difference. What is no part of a frame passes unchanged.

In the other direction it hands to Textual only what Textual's parser can read (`terminal_input`).
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import TYPE_CHECKING, Any, Final

from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from sagatrace_tui.terminal.detect import ASK_BACKGROUND, Terminal, clipboard_envelopes, detect, is_light
from sagatrace_tui.terminal.grid import Grid
from sagatrace_tui.terminal.input_pump import InputPump

if TYPE_CHECKING:
    from textual.app import App

__all__ = ["Wire"]

_TOKEN: Final = re.compile(
    "\x1b\\[(?P<row>\\d+);(?P<column>\\d+)H"
    "|\x1b\\[(?P<style>[0-9;]*)m"
    "|(?P<sync>\x1b\\[\\?2026[hl])"
    "|(?P<other>\x1b\\[[0-9;:?<=>]*[ -/]*[@-~]|\x1b[\\]P][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b[^\\[\\]P]"
    "|[\x00-\x1a\x1c-\x1f\x7f])"
    "|(?P<text>[^\x00-\x1f\x7f]+)"
)
_CLIPBOARD: Final = "\x1b]52;"
_PROMPT: Final = 2.0
"""Seconds in which a terminal must answer what its background is: what comes later answers another program."""
log: Final = logging.getLogger("sagatrace")


class Wire(LinuxDriver):
    """A driver that draws by difference, keeps to the terminal's characters, and wraps the clipboard where needed.

    `faults` counts input that the parser could not read although it was well-formed.
    """

    class Background(Message):
        """The terminal said whether its background is light."""

        def __init__(self, light: bool) -> None:
            super().__init__()
            self.light = light

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._for = app
        known = getattr(app, "terminal", None)
        self._terminal = known if isinstance(known, Terminal) else detect(os.environ)
        known = self._terminal
        self._grid = Grid(0, 0, bce=known.bce, ascii_only=known.ascii_only, few_signs=known.few_signs)
        self._asked_at: float | None = None
        self.faults = 0
        if hasattr(app, "wire"):
            setattr(app, "wire", self)  # noqa: B010 - only our own apps have it
        self._row = self._column = 0
        self._style = ""
        self._pending: list[str] = []
        self._is_frame = False
        self._synced = False

    def write(self, data: str) -> None:
        """Take a piece of a frame, to be sent with `flush`; or send at once what is none."""
        if data.startswith(_CLIPBOARD):
            for envelope in clipboard_envelopes(data, self._terminal):
                super().write(envelope)
            if self._terminal.multiplexer == "either":  # GNU screen has drawn the end of a long one
                self.forget()
            return
        if not self._is_frame and not _begins_frame(data):
            super().write(data)
            return
        size = self._for.size
        if (size.width, size.height) != (self._grid.width, self._grid.height):
            self._grid.resize(size.width, size.height)
        self._is_frame = True
        self._take(data)
        if "\x1b[?2026l" in data:
            self._send()

    def flush(self) -> None:
        """Send what of the frame is new."""
        self._send()
        super().flush()

    def start_application_mode(self) -> None:
        """Nothing is known of what a terminal shows that was someone else's until now."""
        self.forget()
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual leaves it untyped
        if self._terminal.asks_background and self.input_tty:
            self._asked_at = time.monotonic()
            super().write(ASK_BACKGROUND)
            super().flush()

    def hold_mouse(self, hold: bool) -> None:
        """Have the terminal report the mouse, or leave it to the terminal, which then selects text with it."""
        for mode in (1000, 1003, 1015, 1006):
            super().write(f"\x1b[?{mode}{'h' if hold else 'l'}")
        super().flush()

    def run_input_thread(self) -> None:
        """Have Textual read what is well-formed of the input, until the end."""
        with InputPump(self.fileno, self._answered) as pump:
            terminal, self.fileno = self.fileno, pump.outlet
            try:
                while not self.exit_event.is_set():
                    self._read_on()
            finally:
                self.fileno = terminal

    def _read_on(self) -> None:
        try:
            super().run_input_thread()
        except Exception as error:  # noqa: BLE001 - a key that cannot be read is no reason to take the screen away
            self.faults += 1
            log.info("a key could not be read: %r", error)

    def _answered(self, reply: str) -> None:
        light = is_light(reply)
        if light is not None and self._asked_at is not None and time.monotonic() - self._asked_at < _PROMPT:
            self._asked_at = None
            self._for.post_message(self.Background(light))

    def stop_application_mode(self) -> None:
        """What was not sent yet is not worth sending."""
        self._is_frame = False
        self._pending.clear()
        super().stop_application_mode()

    def forget(self) -> None:
        """Take for unknown what the terminal shows, so that the next frame is sent whole."""
        self._grid.forget()

    def _take(self, data: str) -> None:
        grid = self._grid
        for match in _TOKEN.finditer(data):
            kind = match.lastgroup
            if kind == "text":
                self._column = grid.put(self._row, self._column, match["text"], self._style)
            elif kind == "style":
                style = match["style"]
                self._style = "" if style in ("", "0") else style
            elif kind == "column":
                self._row, self._column = int(match["row"]) - 1, int(match["column"]) - 1
            elif kind == "sync":
                self._synced = True
            elif match["other"] != "\n":
                self._pending.append(match["other"])

    def _send(self) -> None:
        if not self._is_frame:
            return
        self._is_frame = False
        body = "".join(self._pending) + self._grid.difference()
        self._pending.clear()
        if not body:
            return
        super().write(f"\x1b[?2026h{body}\x1b[?2026l" if self._synced else body)


def _begins_frame(data: str) -> bool:
    match = _TOKEN.match(data)
    return match is not None and match.lastgroup in ("column", "style", "text", "sync")
