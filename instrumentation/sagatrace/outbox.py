"""The outbox: a local directory that keeps events until a shipper has brought them to the store.

Any number of processes append to `events.jsonl`, each event with one write to a file opened for appending: it
outlives the process however that ends, and lines never mix. A shipper, a process of its own (`sagatrace.ship`),
*seals* that file by renaming it, delivers the sealed segment and removes it. So that no event is lost in
between, a writer looks once more after it wrote: if the file has meanwhile been sealed, the shipper may not have
seen the line, and it is written again into the new file. The event's id makes the second copy harmless. Nobody
holds a lock, no file stays open, and nothing is kept in the process that a fork could break.

Bounded: an outbox that holds `max_bytes` refuses new events, since those it has are promised to be kept. Its last
tenth takes only events that end, retry or undo something: the end of a story half told is worth more than the
beginning of another. What it refuses is counted in the file `refused`.

An outbox is for one store. Who appends for a store notes its label in the link `store`, so that no shipper brings
the events to another.

The directory must be on a local disk (appends to NFS do not keep lines whole); it survives the death of every
process, not the loss of power.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NoReturn

import platformdirs

from sagatrace.errors import OutboxFullError, OutboxMismatchError
from sagatrace.events import CLOSING_PHASES, TraceEvent, encode_event, split_event_type
from sagatrace.settings import Settings
from sagatrace.stores import open_store

__all__ = [
    "ACTIVE",
    "REFUSED",
    "SEALED",
    "STORE",
    "Outbox",
    "claim",
    "outbox_directory",
    "require_label",
    "seal",
    "sealed_segments",
]

ACTIVE: Final = "events.jsonl"  # what is being appended to
SEALED: Final = "sealed-"  # how the names of segments begin that nobody appends to any more
REFUSED: Final = "refused"  # one byte for each event refused
STORE: Final = "store"  # a symbolic link to the label: made at once or not at all, and on a full disk too
_MAX_SEGMENT: Final = 1 << 20  # what a shipper that was killed sends again at most
_MAX_REFUSED: Final = 1 << 20
_ATTEMPTS: Final = 20  # a file is sealed some times a second and written in microseconds: two are never needed
_LATE: Final = CLOSING_PHASES.keys() | {"compensating", "retrying"}  # what the last tenth is kept for


class Outbox:
    """Appends events to the directory, which is made on first use. Safe from threads, processes and forks.

    `store` is the label of the store that they are for; without it whoever ships them decides.
    """

    def __init__(self, directory: Path, *, max_bytes: int = 256 << 20, store: str | None = None) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._store = store
        self._claimed = False
        self._segment_bytes = min(_MAX_SEGMENT, max(1, max_bytes // 64))

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Keep the events, together, and say how many.

        Raises OutboxFullError, OutboxMismatchError, or OSError for a disk that will not.
        `replace` tells the store to write over an event of the same id, where it would keep the first.
        """
        listed = list(events)
        if not listed:
            return 0
        head = b'\n{"replace":true,"event":' if replace else b'\n{"event":'
        # A line end before each line as well: so a line that a full disk or a death cut short spoils only itself.
        block = b"".join(head + encode_event(event) + b"}\n" for event in listed)
        if len(block) > self.max_bytes // 10:
            self._refuse(len(listed), f"an event of {len(block):,} bytes is too large for the outbox {self.directory}")
        late = all(split_event_type(event.event_type)[1] in _LATE for event in listed)
        # A new file is looked at too: whoever seals (each worker at its end) must not undo the bound.
        fresh = not _size(self.directory / ACTIVE)
        if self._store is not None and (fresh or not self._claimed):
            claim(self.directory, self._store)
            self._claimed = True
        if fresh:
            self._require_room(late, len(listed))
        for _ in range(_ATTEMPTS):
            if self._write(block, late, len(listed)):
                return len(listed)
        raise OSError(errno.EAGAIN, f"sealed {_ATTEMPTS} times while one event was written", str(self.directory))

    def close(self) -> None:
        """Nothing to let go of: no file stays open."""

    def _write(self, block: bytes, late: bool, count: int) -> bool:
        """Append the block; False when it has to be written again, as the file was sealed before or meanwhile."""
        path = self.directory / ACTIVE
        file = _open(path)
        try:
            status = os.fstat(file)
            if status.st_size >= self._segment_bytes and self._rotated(late, count):
                return False
            if (written := os.write(file, block)) < len(block):
                raise OSError(errno.ENOSPC, f"disk full after {written} of {len(block)} bytes", str(path))
            return _is_at(path, status)
        finally:
            os.close(file)

    def _rotated(self, late: bool, count: int) -> bool:
        """Seal the full file, unless what is left of the bound is too little. Raises OutboxFullError."""
        # In the reserve the file just grows: a new one would let in events that the reserve is not for.
        return self._require_room(late, count) and seal(self.directory) is not None

    def _require_room(self, late: bool, count: int) -> bool:
        """Whether there is more than the reserve. Raises OutboxFullError without room for such events."""
        used = sum(_size(path) for path in sealed_segments(self.directory)) + _size(self.directory / ACTIVE)
        reserve = self.max_bytes - self.max_bytes // 10
        if used >= (self.max_bytes if late else reserve):
            self._refuse(
                count,
                f"the outbox {self.directory} holds {used:,} of {self.max_bytes:,} bytes and refuses new events: "
                f"see `sagatrace doctor` for why nothing drains it, or raise SAGATRACE_OUTBOX_MB",
            )
        return used < reserve

    def _refuse(self, count: int, why: str) -> NoReturn:
        file = _open(self.directory / REFUSED)
        try:
            if os.fstat(file).st_size < _MAX_REFUSED:
                os.write(file, b"." * count)
        finally:
            os.close(file)
        raise OutboxFullError(why)


def seal(directory: Path) -> Path | None:
    """Rename the file being appended to, so that it can be delivered; None when there is none."""
    # Names sort by age, and never meet: renaming onto another segment would lose it.
    sealed = directory / f"{SEALED}{time.time_ns():020d}-{os.getpid()}-{os.urandom(4).hex()}.jsonl"
    try:
        (directory / ACTIVE).rename(sealed)
    except FileNotFoundError:
        return None
    return sealed


def sealed_segments(directory: Path) -> list[Path]:
    """The segments that wait for delivery, oldest first."""
    try:
        with os.scandir(directory) as entries:
            return sorted(directory / entry.name for entry in entries if entry.name.startswith(SEALED))
    except FileNotFoundError:
        return []


def claim(directory: Path, label: str) -> None:
    """Note that the outbox is for the store of this label. Raises OutboxMismatchError, OSError."""
    if _label_of(directory) is None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster: it may be for another store
            (directory / STORE).symlink_to(label)
    require_label(directory, label)


def require_label(directory: Path, label: str) -> None:
    """Raises OutboxMismatchError for an outbox that keeps events for another store, OSError."""
    known = _label_of(directory)
    if known not in (None, label):
        raise OutboxMismatchError(
            f"the outbox {directory} keeps events for {known}, not for {label}: set SAGATRACE_STORE or --store "
            f"to {known}, or SAGATRACE_OUTBOX to another directory; once empty, {directory / STORE} can be removed"
        )


def _label_of(directory: Path) -> str | None:
    try:
        return os.readlink(directory / STORE)  # noqa: PTH115 - a Path would lose slashes of the label
    except FileNotFoundError:
        return None


def outbox_directory(settings: Settings, *, in_worker: bool = False) -> Path | None:
    """Where events wait for the store of these settings; None when they are written to it directly.

    A local SQLite file is as durable as an outbox, and in a process that lives on as fast (6 µs beside 8), so it
    gets one only in a worker, whose forked children would have to open it anew for each job (1 ms). Then it lies
    beside the file. Raises StoreError.
    """
    if settings.outbox == "off" or settings.store == "memory:":
        return None
    if settings.outbox != "auto":
        return Path(settings.outbox).expanduser().absolute()
    if settings.store.startswith("sqlite:"):
        from sagatrace.stores.sqlite import path_from_url

        path = path_from_url(settings.store)
        directory = path.with_name(path.name + "-outbox")
        return directory if in_worker or directory in drained else None
    name = sha256(open_store(settings.store).label.encode()).hexdigest()[:16]
    return Path(platformdirs.user_state_dir("sagatrace", appauthor=False)) / "outbox" / name


drained: Final[set[Path]] = set()
"""Outboxes beside SQLite files for which this process, or the one it was forked from, has seen to a shipper."""


def _open(path: Path) -> int:
    """A file to append to, only the user's own. It is closed again after one write.

    A number of a file kept open would outlive `os.closerange` in a job, and then mean another file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _is_at(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), status)
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # delivered meanwhile
        return 0
