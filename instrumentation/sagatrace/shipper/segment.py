"""Reads a sealed segment in slices, and keeps what is no event in a file of its own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent, encode_event, parse_timestamp, utc_timestamp
from sagatrace.stores.codec import require_text

__all__ = ["DEAD_LETTERS", "DeadLetters", "Line", "Segment", "Slice", "read_line"]

DEAD_LETTERS: Final = "dead-letters.jsonl"
_SLICE_LINES: Final = 1000
_SLICE_BYTES: Final = 1 << 20
_SETTLED: Final = 1.0  # seconds after which nobody is still writing a line that lacks its end


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of the outbox."""

    event: TraceEvent
    replace: bool = False


_LINES: Final = msgspec.json.Decoder(Line)


def read_line(text: bytes) -> Line:
    """Decode one line. Raises EventError."""
    try:
        require_text(text)
        line = _LINES.decode(text)
    except UNREADABLE as error:
        raise EventError(str(error)) from error
    parse_timestamp(line.event.timestamp)
    return line


@dataclass(slots=True)
class Slice:
    """As much of a segment as is held in memory at once: its lines, and what is none with the reason."""

    lines: list[Line] = field(default_factory=list)
    broken: list[tuple[bytes, str]] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether to deliver this before reading on."""
        return len(self.lines) >= _SLICE_LINES or self.size >= _SLICE_BYTES


class Segment:
    """A sealed file, read once from its beginning to its end. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")

    def next_slice(self) -> Slice | None:
        """The next lines; None at the end. An empty slice: the end is still being written, so ask again later."""
        read = Slice()
        for text in iter(self._file.readline, b""):
            stripped = text.strip()
            if stripped:
                try:
                    read.lines.append(read_line(stripped))
                except EventError as error:
                    if not text.endswith(b"\n") and not self._settled():
                        self._file.seek(-len(text), os.SEEK_CUR)
                        return read
                    cut = "" if text.endswith(b"\n") else "cut short, its writer was not told that it is kept: "
                    read.broken.append((stripped, f"{cut}{error}"))
            read.size += len(text)
            if read.full:
                return read
        return read if read.lines or read.broken else None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete it: the store has everything."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _settled(self) -> bool:
        return abs(time.time() - os.fstat(self._file.fileno()).st_mtime) > _SETTLED


class DeadLetters:
    """What no store takes, with the reason: a file that nobody but its reader ever makes shorter."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / DEAD_LETTERS

    def add(self, what: TraceEvent | bytes, reason: str) -> None:
        """Set aside an event, or a line that is none, wholly or not at all. Raises OSError."""
        kept: dict[str, Any] = (
            {"event": msgspec.Raw(encode_event(what))}
            if isinstance(what, TraceEvent)
            else {"text": what.decode("utf-8", "backslashreplace")}
        )
        line = msgspec.json.encode({"at": utc_timestamp(), "reason": reason, **kept}) + b"\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        size = os.fstat(file).st_size
        try:
            # Past a write that was cut comes one that says what is in the way.
            left = memoryview(line)
            while left:
                left = left[os.write(file, left) :]
        except OSError as error:
            os.ftruncate(file, size)  # half a line would spoil the next one as well
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            os.close(file)
