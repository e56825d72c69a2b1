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

__all__ = ["Line", "Segment", "Slice", "is_cut", "read_line"]

_SLICE_LINES: Final = 1000
_SLICE_BYTES: Final = 1 << 20
_SETTLED: Final = 1.0  # seconds after which no process is still writing a line that lacks its end


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


def is_cut(text: bytes) -> bool:
    """Return whether the line is only the beginning of one: its writer was killed, or the disk was full.

    Such a write was never acknowledged, so nothing that was promised is lost with it.
    """
    # A number that is cut after its sign, point or exponent is no number: a digit makes it one.
    return any("truncated" in str(_error_of(candidate)) for candidate in (text, text + b"0"))


def _error_of(text: bytes) -> Exception | None:
    try:
        _LINES.decode(text)
    except UNREADABLE as error:
        return error
    return None


@dataclass(slots=True)
class Slice:
    """As much of a segment as is held in memory at once: its lines, and the broken ones with the reason."""

    lines: list[Line] = field(default_factory=list)
    broken: list[tuple[bytes, str]] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether to deliver this before reading on."""
        return len(self.lines) >= _SLICE_LINES or self.size >= _SLICE_BYTES


class Segment:
    """A sealed file, read once from its beginning to its end. `cut` counts unfinished lines. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut = 0
        self._file = path.open("rb")

    def next_slice(self) -> Slice | None:
        """Return the next lines, None at the end. After an empty slice the last line is still being written."""
        read = Slice()
        for text in iter(self._file.readline, b""):
            if not self._take(text, read):
                self._file.seek(-len(text), os.SEEK_CUR)
                return read
            read.size += len(text)
            if read.full:
                return read
        return read if read.lines or read.broken else None

    def _take(self, text: bytes, read: Slice) -> bool:
        """Add the line to the slice; False where it may still be written."""
        stripped = text.strip()
        if not stripped:
            return True
        try:
            read.lines.append(read_line(stripped))
        except EventError as error:
            if not text.endswith(b"\n"):
                if not self._settled():
                    return False
                self.cut += 1
            elif is_cut(stripped):
                self.cut += 1
            else:
                read.broken.append((stripped, str(error)))
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete it: the store has everything."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _settled(self) -> bool:
        return abs(time.time() - os.fstat(self._file.fileno()).st_mtime) > _SETTLED
