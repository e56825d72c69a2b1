"""The outbox: a local directory that keeps events until a shipper has delivered them to the store.

Any number of processes append to `events.jsonl`. They write each event with one write in append mode. The event
survives the process even after SIGKILL, and lines never mix. A shipper (`sagatrace.shipper`) runs as a separate
process. It *seals* the file by renaming it, delivers the sealed segment and removes it. After each write a writer
checks whether the file was sealed meanwhile. If it was, the shipper may have missed the line, so the writer writes the
line again into the new file. The event's id makes the second copy harmless. Writers hold no lock and keep no file open.
They keep no state in the process that a fork could break.

An outbox is bounded (`sagatrace.outbox_bound`). Each store has its own outbox. It must be on a local disk, as lines
may mix on NFS. Events survive the death of every process. They survive a loss of power only with SAGATRACE_FSYNC.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from sagatrace.errors import OutboxFullError, SagatraceError
from sagatrace.event import TraceEvent, encode_event
from sagatrace.files import make_directory, sync_directory
from sagatrace.interruptions import Tolerated
from sagatrace.outbox_bound import count_refused, has_room_beside_reserve
from sagatrace.segments import ACTIVE, seal

__all__ = ["Outbox", "line_of"]

_MAX_SEGMENT: Final = 1 << 20  # bytes: at most this much is sent again after a shipper was killed
_ATTEMPTS: Final = 20  # two suffice: sealing happens a few times a second, a write takes microseconds
# O_NONBLOCK: an open of a FIFO must not wait for its other end.
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
_MISSING: Final = Tolerated(FileNotFoundError)


class Outbox:
    """Append events to a directory. Safe with threads, processes and forks.

    Args:
        directory: The directory. It is created on first use.
        max_bytes: The most bytes that the outbox holds.
        fsync: Write each event to the disk before `append` returns, so that it survives a loss of power.
    """

    def __init__(self, directory: Path, *, max_bytes: int = 256 << 20, fsync: bool = False) -> None:
        self.directory, self.max_bytes, self._fsync = directory, max_bytes, fsync
        self._active, self._root = os.fspath(directory / ACTIVE), Path("/").stat()
        self._segment_bytes = min(_MAX_SEGMENT, max(1, max_bytes // 64))

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Append all events in one write. Return their number.

        With `replace` the store overwrites an event of the same id. Without it the store keeps the first event. Raises
        OutboxFullError. Raises OSError if the directory cannot be used, and SagatraceError after a change of the root.
        """
        listed = list(events)
        try:
            self.write(b"".join([line_of(event, replace) for event in listed]), listed)
        except OutboxFullError:
            count_refused(self.directory, len(listed))
            raise
        return len(listed)

    def write(self, block: bytes, events: Sequence[TraceEvent]) -> None:
        """Append the lines of these events. Raises as `append` does."""
        if len(block) > self.max_bytes // 10:
            raise OutboxFullError(f"an event of {len(block):,} bytes is too large for the outbox {self.directory}")
        for attempt in range(_ATTEMPTS):
            if self._write(block, events, attempt):
                return
        raise OSError(errno.EAGAIN, f"the shipper renamed the file {_ATTEMPTS} times during one write", self._active)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _write(self, block: bytes, events: Sequence[TraceEvent], attempt: int) -> bool:
        """Append the block. Return False if it must be written again, because the file was sealed meanwhile."""
        file = self._open()
        try:
            before = os.fstat(file)
            if not stat.S_ISREG(before.st_mode) or before.st_uid != os.geteuid():
                raise PermissionError(errno.EACCES, "the path is not a regular file of this user", self._active)
            if before.st_mode & 0o600 != 0o600:  # a umask: this file would lock out its user and the shipper
                os.fchmod(file, 0o600)
            if not before.st_size and self.directory.stat().st_uid not in (os.geteuid(), 0):
                raise PermissionError(errno.EACCES, "the outbox belongs to another user", self.directory)
            if attempt == 0 and not 0 < before.st_size < self._segment_bytes:
                has_room = has_room_beside_reserve(self.directory, self.max_bytes, events)
                # In the reserve the file grows: a new file would accept events that the reserve excludes.
                if before.st_size and has_room and seal(self.directory):
                    return False
            if (written := os.write(file, block)) < len(block):
                raise OSError(errno.ENOSPC, f"disk full after {written} of {len(block)} bytes", self._active)
            if self._fsync:
                os.fsync(file)
                if not before.st_size:  # sync the names of the new file and of the last sealed file
                    sync_directory(self.directory)
        finally:
            os.close(file)
        with _MISSING:  # the file was sealed
            return os.path.samestat(before, os.stat(self._active))  # noqa: PTH116 - a work-horse pays for a Path
        return False

    def _open(self) -> int:
        # Do not keep the file open: after `os.closerange` in a job, its descriptor could belong to another file.
        with _MISSING:
            return os.open(self._active, _APPEND, 0o600)
        if not os.path.samestat(self._root, Path("/").stat()):  # no shipper would find an outbox there
            raise SagatraceError(f"the outbox {self.directory} is out of reach: the process has another root directory")
        make_directory(self.directory, fsync=self._fsync)
        return os.open(self._active, _APPEND, 0o600)


def line_of(event: TraceEvent, replace: bool) -> bytes:
    """Return the event as a line of the outbox."""
    # Begin with a line end: then a line that a full disk or a kill cut off does not damage this one.
    return (b'\n{"replace":true,"event":' if replace else b'\n{"event":') + encode_event(event) + b"}\n"
