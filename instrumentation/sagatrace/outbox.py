"""The outbox: a local directory that keeps events until a shipper has brought them to the store.

Any number of processes append to `events.jsonl`, each event with one write to a file opened for appending: it
outlives the process however that ends, and lines never mix. A shipper, a process of its own (`sagatrace.shipper`),
*seals* that file by renaming it, delivers the sealed segment and removes it. So that no event is lost in
between, a writer looks once more after it wrote: if the file has meanwhile been sealed, the shipper may not have
seen the line, and it is written again into the new file. The event's id makes the second copy harmless. Nobody
holds a lock, no file stays open, and nothing is kept in the process that a fork could break.

Bounded: an outbox that holds `max_bytes` refuses new events, since those it has are promised to be kept. Its last
tenth takes only events that end, retry or undo something: the end of a story half told is worth more than the
beginning of another. What it refuses is counted in the file `refused`.

An outbox is for one store. Who appends for a store notes its label in the link `store`, so that no shipper brings
the events to another.

The directory must be on a local disk (appends to NFS do not keep lines whole). Events survive the death of every
process; a loss of power only with SAGATRACE_FSYNC.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import platformdirs

from sagatrace.errors import OutboxFullError, OutboxMismatchError
from sagatrace.events import CLOSING_PHASES, LONGEST, TraceEvent, encode_event, split_event_type, utc_timestamp
from sagatrace.files import is_regular, make_directory, open_regular, sync_directory
from sagatrace.settings import Settings
from sagatrace.stores import open_store

__all__ = [
    "ACTIVE",
    "REFUSED",
    "SEALED",
    "STORE",
    "Draft",
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
_HEADS: Final = (b'\n{"event":', b'\n{"replace":true,"event":')
_TAIL: Final = b"}\n"
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # no wait for a pipe's reader
_LATE: Final = CLOSING_PHASES.keys() | {"compensating", "retrying"}  # what the last tenth is kept for


class Outbox:
    """Appends events to the directory, which is made on first use. Safe from threads, processes and forks.

    `store` is the label of the store that they are for; without it the shipper decides. With `fsync` an event is on
    the disk when `append` returns, and survives a loss of power.
    """

    def __init__(
        self, directory: Path, *, max_bytes: int = 256 << 20, store: str | None = None, fsync: bool = False
    ) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._path = os.fspath(directory)
        self._active = os.fspath(directory / ACTIVE)
        self._label = os.fspath(directory / STORE)
        self._store = store
        self._fsync = fsync
        self._claimed = False
        self._segment_bytes = min(_MAX_SEGMENT, max(1, max_bytes // 64))

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Keep the events, together, and say how many.

        Raises OutboxFullError, OutboxMismatchError, or OSError for a disk that will not.
        `replace` tells the store to write over an event of the same id, where it would keep the first.
        """
        listed = list(events)
        if listed:
            head = _HEADS[replace]
            # A line end before each line as well: so a line that a full disk or a death cut short spoils only itself.
            block = b"".join([head + encode_event(event) + _TAIL for event in listed])
            try:
                self._keep(block, listed)
            except OutboxFullError:
                self._count_refused(len(listed))
                raise
        return len(listed)

    def draft(self, fields: Mapping[str, Any], *, replace: bool = False) -> Draft:
        """The event of these fields as it will be written, but for its time. Raises one of `UNWRITABLE`."""
        if len(fields["trace_id"]) > LONGEST:
            raise ValueError("trace_id")
        head = _HEADS[replace] + msgspec.json.encode(fields)[:-1] + b',"timestamp":"'
        return Draft(self, fields["span_id"], fields["event_type"], head)

    def close(self) -> None:
        """Nothing to let go of: no file stays open."""

    def _keep(self, block: bytes, events: Sequence[TraceEvent]) -> None:
        if len(block) > self.max_bytes // 10:
            raise OutboxFullError(f"an event of {len(block):,} bytes is too large for the outbox {self.directory}")
        for attempt in range(_ATTEMPTS):
            if self._write(block, events, attempt > 0):
                return
        raise OSError(errno.EAGAIN, f"sealed {_ATTEMPTS} times while one event was written", str(self.directory))

    def _write(self, block: bytes, events: Sequence[TraceEvent | Draft], again: bool = False) -> bool:
        """Append the block; False when it has to be written again, as the file was sealed before or meanwhile."""
        # Few steps, and paths as plain text: each page that a work-horse touches first is copied for it. Not kept open:
        # a file's number would outlive `os.closerange` in a job, and then mean another file.
        try:
            file = os.open(self._active, _APPEND, 0o600)
        except FileNotFoundError:
            make_directory(self.directory, fsync=self._fsync)
            file = os.open(self._active, _APPEND, 0o600)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", self._active)
            if not again and not (self._claimed and status.st_size):
                self._begin(fresh=not status.st_size, events=events)
            elif status.st_size >= self._segment_bytes and self._rotated(events):
                return False
            if (written := os.write(file, block)) < len(block):
                raise OSError(errno.ENOSPC, f"disk full after {written} of {len(block)} bytes", self._active)
            if self._fsync:
                self._sync(file, fresh=not status.st_size)
            now = os.stat(self._active)  # noqa: PTH116 - see above
            return now.st_ino == status.st_ino and now.st_dev == status.st_dev
        except FileNotFoundError:
            return False
        finally:
            os.close(file)

    def _sync(self, file: int, *, fresh: bool) -> None:
        """Bring the file to the disk, and with a new one its name, and the name that the one before it got."""
        os.fsync(file)
        if fresh:
            sync_directory(self._path)

    def _begin(self, *, fresh: bool, events: Sequence[TraceEvent | Draft]) -> None:
        """Look at a file that is new, or new to this process. Raises OutboxFullError, OutboxMismatchError."""
        if self._store is not None and _label_at(self._label) != self._store:
            claim(self.directory, self._store)
        self._claimed = True
        if fresh:  # as well: whoever seals (each worker at its end) must not undo the bound
            self._require_room(events)

    def _rotated(self, events: Sequence[TraceEvent | Draft]) -> bool:
        """Seal the full file, unless what is left of the bound is too little. Raises OutboxFullError."""
        # In the reserve the file just grows: a new one would let in events that the reserve is not for.
        return self._require_room(events) and seal(self.directory) is not None

    def _require_room(self, events: Sequence[TraceEvent | Draft]) -> bool:
        """Whether there is more than the reserve. Raises OutboxFullError without room for such events."""
        late = all(split_event_type(event.event_type)[1] in _LATE for event in events)
        used = self._used()
        reserve = self.max_bytes - self.max_bytes // 10
        if used >= (self.max_bytes if late else reserve):
            raise OutboxFullError(
                f"the outbox {self.directory} holds {used:,} of {self.max_bytes:,} bytes and refuses new events: "
                f"see `sagatrace doctor` for why nothing drains it, or raise SAGATRACE_OUTBOX_MB",
            )
        return used < reserve

    def _used(self) -> int:
        used = 0
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name == ACTIVE or entry.name.startswith(SEALED):
                    with suppress(FileNotFoundError):  # delivered meanwhile
                        used += entry.stat().st_size
        return used

    def _count_refused(self, count: int) -> None:
        make_directory(self.directory)
        file = open_regular(self.directory / REFUSED, _APPEND)
        try:
            if os.fstat(file).st_size < _MAX_REFUSED:
                os.write(file, b"." * count)
        finally:
            os.close(file)


class Draft(NamedTuple):
    """An event of the outbox's that lacks only its time: keeping it costs a fraction of making it."""

    outbox: Outbox
    span_id: str
    event_type: str
    head: bytes

    def keep(self, timestamp: str | None = None) -> bool:
        """Keep the event as one of now, or of `timestamp`; False where it was not, for whatever reason, or may be lost.

        `Outbox.append` mends that, or says and counts what is in the way.
        """
        try:
            return self.outbox._write(self.head + (timestamp or utc_timestamp()).encode() + b'"}}\n', (self,))  # noqa: SLF001 - its own
        except (OSError, OutboxFullError, OutboxMismatchError):
            return False


def seal(directory: Path, name: str = ACTIVE) -> Path | None:
    """Rename the file being appended to, or another of lines, so that it is delivered; None when there is none."""
    # Names sort by age, and never meet: renaming onto another segment would lose it.
    sealed = directory / f"{SEALED}{time.time_ns():020d}-{os.getpid()}-{os.urandom(4).hex()}.jsonl"
    try:
        if not is_regular(directory / name):
            return None
        (directory / name).rename(sealed)
    except FileNotFoundError:
        return None
    return sealed


def sealed_segments(directory: Path) -> list[Path]:
    """Return the segments that wait for delivery, oldest first. Anything that is not a regular file is left out."""
    try:
        with os.scandir(directory) as entries:
            ours = (entry for entry in entries if entry.name.startswith(SEALED))
            return sorted(directory / entry.name for entry in ours if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []


def claim(directory: Path, label: str) -> None:
    """Note that the outbox is for the store of this label. Raises OutboxMismatchError, OSError."""
    if _label_at(directory / STORE) is None:
        make_directory(directory)
        with suppress(FileExistsError):  # another process was faster: it may be for another store
            (directory / STORE).symlink_to(label)
    require_label(directory, label)


def require_label(directory: Path, label: str) -> None:
    """Raises OutboxMismatchError for an outbox that keeps events for another store, OSError."""
    known = _label_at(directory / STORE)
    if known not in (None, label):
        raise OutboxMismatchError(
            f"the outbox {directory} keeps events for {known}, not for {label}: set SAGATRACE_STORE or --store "
            f"to {known}, or SAGATRACE_OUTBOX to another directory; once empty, {directory / STORE} can be removed"
        )


def _label_at(path: Path | str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - a Path would lose slashes of the label
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
