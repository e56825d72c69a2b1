"""Reads a sealed segment in slices."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.events import UNREADABLE, TraceEvent, parse_timestamp, require_text

__all__ = ["Line", "Segment", "Slice", "read_line"]

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
