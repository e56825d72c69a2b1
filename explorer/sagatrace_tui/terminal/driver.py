"""Textual's driver for our apps: it sends only the cells that changed, and passes on only well-formed input.

Textual sends every row that it repaints with all styles: about 11 kB for a scroll by one row. A driver is Textual's
public hook for output (`App(driver_class=…)`). This one reads each frame (positions, styles and text) into a grid, and
sends the difference to the terminal. Output outside of frames passes unchanged.

Input passes `input_filter`, so that Textual's parser never sees a malformed sequence.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from textual import events
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from sagatrace.shown import logger
from sagatrace_tui.terminal.detect import ASK_BACKGROUND, Terminal, clipboard_envelopes, detect, is_light
from sagatrace_tui.terminal.grid import Grid
from sagatrace_tui.terminal.input_pump import InputPump
from sagatrace_tui.terminal.signals import last_resort
from sagatrace_tui.terminal.type_ahead import TypeAhead
from sagatrace_tui.timers import call_once

if TYPE_CHECKING:
    from textual.app import App

__all__ = ["TerminalDriver"]

_TOKEN: Final = re.compile(
    "\x1b\\[(?P<row>\\d+);(?P<column>\\d+)H"
    "|\x1b\\[(?P<style>[0-9;]*)m"
    "|(?P<sync>\x1b\\[\\?2026[hl])"
    "|(?P<other>\x1b\\[[0-9;:?<=>]*[ -/]*[@-~]|\x1b[\\]P][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b[^\\[\\]P]"
    "|[\x00-\x1a\x1c-\x1f\x7f])"
    "|(?P<text>[^\x00-\x1f\x7f]+)"
)
_CLIPBOARD: Final = "\x1b]52;"
_ERASE: Final = "\x1b[m\x1b[H\x1b[J"
"""A terminal without an alternate screen, such as GNU screen, would leave the last frame, and the prompt inside it."""
_PROMPT: Final = 2.0
"""Seconds to wait for the answer about the background. A later answer belongs to another program's question."""
_AGAIN: Final = 0.1
"""Seconds until a frame is tried again for a terminal that does not read."""
log: Final = logger("sagatrace")


class TerminalDriver(LinuxDriver):
    """Send frames as differences, in the terminal's characters, and copies in the multiplexer's wrapping.

    `faults` counts well-formed input that Textual's parser could not read.
    """

    class Background(Message):
        """The terminal answered whether its background is light."""

        def __init__(self, light: bool) -> None:
            super().__init__()
            self.light = light

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        assert sys.__stdout__ is not None  # noqa: S101 - the app starts only on a terminal
        self._file = sys.__stdout__  # Textual draws on standard error, which a user may send to a file
        self._for = app
        known = getattr(app, "terminal", None)
        self._terminal = known if isinstance(known, Terminal) else detect(os.environ)
        known = self._terminal
        self._mouse = self._mouse and known.holds_mouse
        self._grid = Grid(0, 0, bce=known.bce, ascii_only=known.ascii_only, few_signs=known.few_signs)
        self._asked_at: float | None = None
        self._type_ahead = TypeAhead(app, self._loop, self.exit_event)
        self._mode: tuple[int, list[Any]] | None = None  # the terminal, and its mode while the app has it
        self.faults = 0
        if hasattr(app, "terminal_driver"):
            setattr(app, "terminal_driver", self)  # noqa: B010 - only our own apps have it
        self._row = self._column = 0
        self._style = ""
        self._pending: list[str] = []
        self._is_frame = False
        self._synced = False
        self._is_late = False
        self._last_resort: threading.Timer | None = None

    def write(self, data: str) -> None:
        """Keep a piece of a frame until `flush`. Send any other data immediately."""
        if data.startswith(_CLIPBOARD):
            for envelope in clipboard_envelopes(data, self._terminal):
                super().write(envelope)
            if self._terminal.multiplexer == "either":  # GNU screen may have drawn the end of a long sequence
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
        """Send the changed cells of the frame."""
        self._send()
        super().flush()

    def start_application_mode(self) -> None:
        """Begin with an unknown screen, and ask for the background."""
        self.forget()
        terminal = self.fileno
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual leaves it untyped
        with suppress(termios.error):  # not a terminal, so it has no mode
            self._mode = terminal, termios.tcgetattr(terminal)
        if self._terminal.asks_background and self.input_tty:
            self._asked_at = time.monotonic()
            super().write(ASK_BACKGROUND)
            super().flush()

    # A signal may meet the middle of a frame, or of a write, whose lock another write would wait for. So both handlers
    # leave their work to the loop.
    def _sigtstp_application(self, *args: Any) -> None:
        self._leave_to_loop(super()._sigtstp_application, *args)

    def _sigcont_application(self, *args: Any) -> None:
        self._leave_to_loop(self._go_on, *args)

    def _leave_to_loop(self, call: Callable[..., object], *args: Any) -> None:
        if not self._loop.is_closed():  # the app has ended
            self._loop.call_soon_threadsafe(call, *args)

    def _go_on(self, *args: Any) -> None:
        """Resume after a stop with notice. After a stop without notice (SIGSTOP), only take the terminal again.

        Nothing left the screen then. Textual would start a second thread that reads the terminal, and would take the
        app's own mode of the terminal for the shell's.
        """
        if self._key_thread is None or not self._key_thread.is_alive():
            super()._sigcont_application(*args)
            return
        if self._mode is not None:  # a shell that had the terminal meanwhile has set its own
            with suppress(termios.error):  # the terminal is gone; reading it ends the app
                termios.tcsetattr(self._mode[0], termios.TCSANOW, self._mode[1])
        super().write("\x1b[?2004h")  # a shell ends bracketed paste too
        self.forget()
        self._for.refresh()

    def hold_mouse(self, hold: bool) -> None:
        """Let the terminal report the mouse, or let the mouse select text."""
        for mode in (1000, 1003, 1015, 1006):
            super().write(f"\x1b[?{mode}{'h' if hold else 'l'}")
        super().flush()
        self._mouse = hold  # also after Ctrl+Z

    def run_input_thread(self) -> None:
        """Let Textual read the well-formed input until the app ends."""
        with InputPump(self.fileno, self._answered, delays_escape=self._terminal.delays_escape) as pump:
            terminal, self.fileno = self.fileno, pump.outlet
            try:
                while not self.exit_event.is_set():
                    self._read_on()
            finally:
                self.fileno = terminal

    def _read_on(self) -> None:
        try:
            super().run_input_thread()
        except Exception as error:  # noqa: BLE001 - an unreadable key must not end the app
            self.faults += 1
            log.info("a key could not be read: %s", repr(error))

    def send_message(self, message: Message) -> None:
        """Send input to the app: a key or a paste only once the key before it was handled."""
        if not isinstance(message, events.Key | events.Paste) or self.exit_event.is_set():
            super().send_message(message)
            return
        key = message.key if isinstance(message, events.Key) else ""
        self._type_ahead.wait(key)
        super().send_message(message)
        self._type_ahead.sent(key)

    def _answered(self, reply: str) -> None:
        light = is_light(reply)
        if light is not None and self._asked_at is not None and time.monotonic() - self._asked_at < _PROMPT:
            self._asked_at = None
            self._for.post_message(self.Background(light))

    def stop_application_mode(self) -> None:
        """Leave the screen; drop output that was not sent yet."""
        self._is_frame = False
        self._pending.clear()
        self._last_resort = last_resort(self._for.return_code or 1)
        super().write(_ERASE)
        super().stop_application_mode()

    def close(self) -> None:
        """Send the rest. A terminal that does not read cannot hold up the end."""
        super().close()
        if self._last_resort is not None:
            self._last_resort.cancel()

    def forget(self) -> None:
        """Treat the screen as unknown, so that the next frame is sent whole."""
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
        """Send the changed cells. Wait if the terminal does not read: a full queue would stop the app."""
        if not self._is_frame:
            return
        self._is_frame = False
        if self._file is not None and not select.select([], [self._file], [], 0)[1]:
            if not self._is_late:
                self._is_late = True
                call_once(self._for, _AGAIN, self._send_late)
            return
        body = "".join(self._pending) + self._grid.difference()
        self._pending.clear()
        if not body:
            return
        super().write(f"\x1b[?2026h{body}\x1b[?2026l" if self._synced else body)

    def _send_late(self) -> None:
        self._is_late, self._is_frame = False, True
        self._send()


def _begins_frame(data: str) -> bool:
    match = _TOKEN.match(data)
    return match is not None and match.lastgroup in ("column", "style", "text", "sync")
