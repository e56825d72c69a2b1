"""Read a sealed segment in slices."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent
from sagatrace.files import open_regular
from sagatrace.segments import ACTIVE, REFUSED, SEALED
from sagatrace.settings import Settings
from sagatrace.stores.codec import require_text
from sagatrace.timestamps import parse_timestamp

__all__ = ["Line", "Segment", "Slice", "bounded_lines", "is_cut", "read_line", "strange_files"]

_SLICE_LINES: Final = 1000
_SLICE_BYTES: Final = 1 << 20
_PLAIN: Final = (ACTIVE, REFUSED)
_BEGINNING: Final = 1000  # bytes kept of a line that is too long
_CHUNK: Final = 1 << 20
_SETTLED: Final = 1.0  # seconds after the last write when an unfinished line counts as abandoned


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
    """Return whether the text is only the beginning of a line, because its writer was killed or the disk was full.

    Such a write was never acknowledged, so no acknowledged event is lost.
    """
    # A number cut after its sign, point or exponent is not a number. With a digit added it is one.
    return any("truncated" in str(_error_of(candidate)) for candidate in (text, text + b"0"))


def _error_of(text: bytes) -> Exception | None:
    try:
        _LINES.decode(text)
    except UNREADABLE as error:
        return error
    return None


def bounded_lines(file: BinaryIO, longest: int) -> Iterator[tuple[bytes, int]]:
    """Yield each line with its length in bytes. Yield only the beginning of a line longer than `longest` bytes."""
    while text := file.readline(longest + 1):
        size = len(text)
        if size > longest and not text.endswith(b"\n"):
            text = text[:_BEGINNING]
            while more := file.readline(_CHUNK):
                size += len(more)
                if more.endswith(b"\n"):
                    break
        yield text, size


def _longest_event() -> int:
    """Return the bytes of the largest event that an outbox of this environment's or the default size accepts."""
    default = Settings(store="").outbox_mb
    return int(max(default, Settings.from_env().outbox_mb) * 2**20) // 10


def strange_files(directory: Path) -> list[Path]:
    """Return the paths with a name of the outbox's files that are not regular files. Raises OSError."""
    try:
        with os.scandir(directory) as entries:
            ours = (entry for entry in entries if entry.name.startswith(SEALED) or entry.name in _PLAIN)
            return sorted(directory / entry.name for entry in ours if not entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []


@dataclass(slots=True)
class Slice:
    """A part of a segment in memory: its lines, and its broken lines with the reasons."""

    lines: list[Line] = field(default_factory=list)
    broken: list[tuple[bytes, str]] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether to deliver this slice before reading more."""
        return len(self.lines) >= _SLICE_LINES or self.size >= _SLICE_BYTES


class Segment:
    """A sealed file, read once from start to end. `cut` counts unfinished lines. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut = 0
        self._longest = _longest_event()
        self._file: BinaryIO = os.fdopen(open_regular(path), "rb")

    def next_slice(self) -> Slice | None:
        """Return the next lines; None at the end. An empty slice means that the last line is still being written."""
        read = Slice()
        for text, size in bounded_lines(self._file, self._longest):
            if not self._take(text, size, read):
                self._file.seek(-size, os.SEEK_CUR)
                return read
            read.size += len(text)
            if read.full:
                return read
        return read if read.lines or read.broken else None

    def _take(self, text: bytes, size: int, read: Slice) -> bool:
        """Add the line to the slice. Return False if its writer may still be writing it."""
        stripped = text.strip()
        if not stripped:
            return True
        if size > len(text):
            read.broken.append((text, f"a line of {size:,} bytes, longer than any event; this is its beginning"))
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
        """Delete the file, after the store has all its events."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _settled(self) -> bool:
        return abs(time.time() - os.fstat(self._file.fileno()).st_mtime) > _SETTLED
