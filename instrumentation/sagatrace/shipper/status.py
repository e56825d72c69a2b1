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
    """A running shipper: its counts since its start, its fault, and why it does not search for lost jobs.

    `delivered_at` is the last delivery by any shipper of the outbox, in seconds since 1970.
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
        directory: the outbox.
        segments: the number of files with waiting events.
        size: the bytes of these files.
        oldest: the age of the oldest event in seconds; None without events.
        dead_letters: the number of dead letters.
        refused: the number of events that the full outbox refused.
        strange: directories, pipes and links with the name of an outbox file. The shipper skips them.
        shipper: the running shipper; None without one.
        refusal: the reason of the newest dead letter.
        delivered_at: the time of the last delivery in seconds since 1970; None if unknown.
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
    """Return the state of an outbox without changing it. A missing directory counts as empty. Raises OSError."""
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
    """Return the time of the last delivery from this outbox, in seconds since 1970; None if unknown."""
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
