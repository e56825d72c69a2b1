"""The state of an outbox: its waiting events, the age of the oldest, and its shipper."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.files import is_regular, open_regular
from sagatrace.segments import ACTIVE, REFUSED, sealed_segments
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.lock import SHIPPER_LOCK, is_held
from sagatrace.shipper.segment import bounded_lines, read_line, strange_files

__all__ = ["OutboxState", "ShipperState", "describe_outbox", "last_delivery"]

_LONGEST: Final = 1 << 20  # bytes of a line that are read; the age of a larger event is not needed


class ShipperState(msgspec.Struct, frozen=True):
    """A running shipper: its counts since its start, its current fault, and why it looks for no lost jobs.

    `delivered_at` is when it or an earlier shipper last delivered an event, in seconds since 1970.
    """

    pid: int
    delivered: int
    set_aside: int
    fault: str | None
    lost_jobs: str | None = None
    delivered_at: float | None = None


@dataclass(frozen=True, slots=True)
class OutboxState:
    """The waiting events and the losses of an outbox.

    Attributes:
        directory: The outbox.
        segments: The number of files with waiting events.
        size: Their bytes.
        oldest: The age of the oldest event in seconds; None without events.
        dead_letters: The number of dead letters.
        refused: The number of events that the full outbox refused.
        strange: Directories, pipes and links with the name of a file of the outbox. They are skipped.
        shipper: The running shipper; None without one.
        refusal: The reason of the newest dead letter.
        delivered_at: The time of the last delivery in seconds since 1970; None if none is known.
    """

    directory: Path
    segments: int
    size: int
    oldest: float | None
    dead_letters: int
    refused: int
    strange: list[Path]
    shipper: ShipperState | None
    refusal: str | None = None
    delivered_at: float | None = None


class _Letter(msgspec.Struct):
    reason: str = ""


def describe_outbox(directory: Path, *, now: float | None = None) -> OutboxState:
    """Return the state of an outbox without a change to it. A missing directory is empty. Raises OSError."""
    waiting = [path for path in [*sealed_segments(directory), directory / ACTIVE] if is_regular(path) and _size(path)]
    letters = deque(enumerate(_lines(directory / DEAD_LETTERS), start=1), maxlen=1)
    count, newest = letters[0] if letters else (0, b"")
    begun = next(filter(None, map(_begun, waiting)), None)
    is_running = is_held(directory / SHIPPER_LOCK)
    written = _written(directory / SHIPPER_LOCK)
    return OutboxState(
        directory=directory,
        segments=len(waiting),
        size=sum(map(_size, waiting)),
        oldest=None if begun is None else (time.time() if now is None else now) - begun,
        dead_letters=count,
        refusal=_reason(newest),
        strange=strange_files(directory),
        refused=_size(directory / REFUSED),
        # While a shipper writes its state, the file is not JSON.
        shipper=(written or ShipperState(pid=0, delivered=0, set_aside=0, fault=None)) if is_running else None,
        delivered_at=None if written is None else written.delivered_at,
    )


def last_delivery(directory: Path) -> float | None:
    """Return when an event of this outbox was last delivered, in seconds since 1970; None if it is not known."""
    written = _written(directory / SHIPPER_LOCK)
    return None if written is None else written.delivered_at


def _written(lock: Path) -> ShipperState | None:
    """Return the state that the running shipper, or else the last one, wrote. Raises OSError."""
    try:
        with os.fdopen(open_regular(lock), "rb") as file:
            return msgspec.json.decode(file.read(_LONGEST), type=ShipperState)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _reason(letter: bytes) -> str | None:
    try:
        return msgspec.json.decode(letter, type=_Letter).reason or None
    except msgspec.MsgspecError:  # the shipper is writing it now
        return None


def _begun(segment: Path) -> float | None:
    """Return the time of the first readable event of a segment, in seconds since 1970."""
    for line in _lines(segment):
        try:
            return read_line(line).event.micros / 1e6
        except EventError:
            continue
    return None


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            yield from filter(None, (text.strip() for text, _ in bounded_lines(file, _LONGEST)))
    except FileNotFoundError:  # delivered meanwhile
        return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
