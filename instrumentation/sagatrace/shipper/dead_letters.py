"""Dead letters: events that the store refused, and lines that are not events, in a file of the outbox.

Each line of the file is one letter. It has the time and the reason, with the event and its `replace` flag, or with the
text of a line that is not an event. A process changes the file only while it holds the file's lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from sagatrace.errors import EventError, OutboxFullError
from sagatrace.event import encode_event
from sagatrace.files import open_regular, sync_directory
from sagatrace.segments import REFUSED, seal
from sagatrace.shipper.lock import is_at
from sagatrace.shipper.segment import Line, read_line
from sagatrace.timestamps import utc_timestamp

__all__ = ["DEAD_LETTERS", "DeadLetters", "Resent", "acknowledge_refused", "resend"]

DEAD_LETTERS: Final = "dead-letters.jsonl"
_RESENT: Final = "dead-letters.resent"  # letters to send again, until their segment is complete
_LEFT: Final = "dead-letters.left"  # letters that stay, until this file replaces the old one
_HEADS: Final = (b'{"event":', b'{"replace":true,"event":')


class _Letter(msgspec.Struct):
    """The part of a dead letter that is sent again."""

    event: msgspec.Raw
    replace: bool = False


_LETTERS: Final = msgspec.json.Decoder(_Letter)


class DeadLetters:
    """The dead letters of one outbox. Only `resend` and users remove letters."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / DEAD_LETTERS

    def add(self, what: Line | bytes, reason: str) -> None:
        """Write an event, or the text of a line that is not an event, completely or not at all. Raises OSError."""
        kept: dict[str, Any]
        if isinstance(what, bytes):
            kept = {"text": what.decode("utf-8", "backslashreplace")}
        else:
            kept = {"replace": True} if what.replace else {}
            kept["event"] = msgspec.Raw(encode_event(what.event))
        line = msgspec.json.encode({"at": utc_timestamp(), "reason": reason, **kept}) + b"\n"
        with _locked(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":  # a killed writer left half a line
                line = b"\n" + line
            try:
                # After a short write the next one raises the error with its cause.
                left = memoryview(line)
                while left:
                    left = left[os.write(file, left) :]
            except OSError as error:
                os.ftruncate(file, size)  # half a line would damage the next one
                raise OSError(error.errno, error.strerror, str(self.path)) from error

    def sync(self) -> None:
        """Write the letters through to the disk, before their segment is removed. Raises OSError."""
        try:
            file = open_regular(self.path)
        except FileNotFoundError:  # all letters were sent again or removed meanwhile
            return
        try:
            os.fsync(file)
        finally:
            os.close(file)
        sync_directory(self.path.parent)


@dataclass(frozen=True, slots=True)
class Resent:
    """The number of events put back into the outbox, and of letters that stay because they are not events."""

    events: int
    left: int


def resend(directory: Path, room: int) -> Resent:
    """Put the dead letters back into the outbox. Letters that are not events stay in their file.

    A letter leaves the file after its event is safe in the outbox. A kill in between sends the event twice, which is
    harmless because events have ids.

    Args:
        directory: the outbox.
        room: the most bytes that the letters may take.

    Raises:
        OutboxFullError: the letters take more bytes.
        OSError: the files cannot be read or written.
    """
    path = directory / DEAD_LETTERS
    try:
        with _locked(path, os.O_RDONLY) as file, os.fdopen(os.dup(file), "rb") as letters:
            size = os.fstat(file).st_size
            if size > room:
                raise OutboxFullError(f"{size:,} bytes of dead letters do not fit into the outbox: deliver it first")
            try:
                return _divide(directory, letters)
            finally:
                for name in (_RESENT, _LEFT):
                    (directory / name).unlink(missing_ok=True)
    except FileNotFoundError:
        return Resent(events=0, left=0)


def acknowledge_refused(directory: Path) -> int:
    """Reset the count of events that a full outbox refused. Return the count. Raises OSError."""
    acknowledged = directory / f"{REFUSED}.acknowledged"
    # A writer with the file open at this moment counts in the removed file, so one refusal may be lost.
    with suppress(FileNotFoundError):
        (directory / REFUSED).rename(acknowledged)
    try:
        count = acknowledged.stat().st_size
    except FileNotFoundError:
        return 0
    acknowledged.unlink()
    return count


def _divide(directory: Path, letters: BinaryIO) -> Resent:
    """Write events to a segment and other letters to a new file. Both reach the disk before they are used."""
    events = left = 0
    with _created(directory / _RESENT) as segment, _created(directory / _LEFT) as rest:
        for text in letters:
            if (line := _line_of(text)) is not None:
                segment.write(line)
                events += 1
            elif text.strip():
                rest.write(text if text.endswith(b"\n") else text + b"\n")
                left += 1
    if events:
        seal(directory, _RESENT)
        sync_directory(directory)
        if left:
            (directory / _LEFT).replace(directory / DEAD_LETTERS)
        else:
            (directory / DEAD_LETTERS).unlink()
        sync_directory(directory)
    return Resent(events, left)


def _line_of(letter: bytes) -> bytes | None:
    """Return the letter's event as a line of the outbox; None without an event."""
    try:
        read = _LETTERS.decode(letter)
        line = _HEADS[read.replace] + bytes(read.event) + b"}\n"
        read_line(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EventError):
        return None
    return line


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    """Open the file at the path and hold its lock. Open again if the file was replaced before it was locked."""
    while True:
        file = open_regular(path, flags)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file, path):
                yield file
                return
        finally:
            os.close(file)


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    """Create a file, which is on the disk when the block ends."""
    with os.fdopen(open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
