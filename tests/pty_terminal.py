"""A terminal for programs: a real pseudo-terminal, and an emulator of its screen."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pyte

QUIET = 0.04  # seconds of silence after which the answer to a key counts as complete
_LIMIT = 120.0  # seconds that only end a hang
_UNFINISHED = re.compile(rb"\x1b(\[[0-9;:<=>?]*)?$")
_SYNC = re.compile(rb"\x1b\[\?2026[hl]|\x1b\[>[0-9;]*u|\x1b\[<u")  # pyte takes these for text


class PtyTerminal:
    """Runs a command in a pty with its own session. `raw` is its whole output."""

    def __init__(
        self, argv: Sequence[str], *, size: tuple[int, int] = (120, 40), env: Mapping[str, str | None] | None = None
    ) -> None:
        self.size = size
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self.ours, self.theirs = os.openpty()
        self.resize(*size)
        self.modes = termios.tcgetattr(self.theirs)
        basis = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "TMUX": None, "STY": None}
        basis |= {"COLUMNS": None, "LINES": None}  # they would be believed before the terminal
        wanted = {**os.environ, **basis, **(env or {})}
        self.raw = bytearray()
        self._begun = b""
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            argv,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={key: value for key, value in wanted.items() if value is not None},
            start_new_session=True,
            preexec_fn=self._take_terminal,
        )

    @staticmethod
    def _take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for end in ("ours", "theirs"):
            self.hang_up(end)

    def hang_up(self, end: str = "ours") -> None:
        """Close the pty, like a terminal that is gone."""
        descriptor = getattr(self, end)
        if descriptor >= 0:
            os.close(descriptor)
            setattr(self, end, -1)

    def resize(self, columns: int, lines: int) -> None:
        self.size = (columns, lines)
        self._screen.resize(lines, columns)
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def is_restored(self) -> bool:
        """Return whether the terminal's modes are the same as before the program."""
        return termios.tcgetattr(self.theirs) == self.modes

    @property
    def text(self) -> str:
        """Return the lines on the screen. The second cell of a wide character is empty."""
        return "\n".join("".join(cell.data for cell in row) for row in self.cells)

    @property
    def cells(self) -> list[list[Any]]:
        """Return the content of each cell, with its colours."""
        columns, lines = self.size
        return [[self._screen.buffer[y][x] for x in range(columns)] for y in range(lines)]

    def send(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self, quiet: float = QUIET, limit: float = 10.0) -> tuple[bytes, float]:
        """Return the output until it stops, and the seconds from the call to its end."""
        got, began = bytearray(), time.perf_counter()
        last = began
        while time.perf_counter() - began < limit:
            ready, _, _ = select.select([self.ours], [], [], quiet)
            if not ready:
                break
            try:
                data = os.read(self.ours, 1 << 16)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            last = time.perf_counter()
            got += data
        self.show(bytes(got))
        return bytes(got), last - began

    def show(self, got: bytes) -> None:
        """Let the emulator show the output, except an incomplete sequence at its end."""
        self.raw += got
        got = self._begun + got
        unfinished = _UNFINISHED.search(got)
        self._begun = unfinished[0] if unfinished else b""
        self._stream.feed(_SYNC.sub(b"", got[: len(got) - len(self._begun)]))

    def until(self, *texts: str, timeout: float = _LIMIT) -> str:
        """Wait until the screen shows all texts. Return the screen."""
        return self.until_true(lambda: all(text in self.text for text in texts), f"never shown: {texts}", timeout)

    def until_true(self, probe: Callable[[], object], never: str, timeout: float = _LIMIT) -> str:
        """Read until the probe is true. Return the screen. Fails with `never`."""
        deadline = time.monotonic() + timeout
        while not probe():
            assert time.monotonic() < deadline, f"{never}\n{self.text}"
            self.read(limit=1.0)
        return self.text

    def press(self, keys: str, *texts: str) -> str:
        """Send keys, and wait for the texts."""
        self.send(keys)
        return self.until(*texts)

    def wait(self, timeout: float = _LIMIT) -> int:
        """Return the exit status. Read meanwhile, so that the program does not block."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while (status := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"still running after {timeout:g} s:\n{self.text}"
            if self.ours >= 0:
                self.read(limit=0.2)
            pause.wait(0.02)
        if self.ours >= 0:
            self.read()
        return status
