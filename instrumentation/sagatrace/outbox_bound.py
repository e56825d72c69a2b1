"""The size limit of an outbox.

A full outbox refuses new events, because it must keep the events that it accepted. The last tenth of its size is a
reserve for late events. Late events end, retry or undo something, and matter more than new starts. Refused events are
counted in the file `refused`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sagatrace.errors import OutboxFullError
from sagatrace.event import TraceEvent
from sagatrace.files import make_directory, open_log
from sagatrace.interruptions import Tolerated
from sagatrace.phases import CLOSING_PHASES, split_event_type
from sagatrace.segments import ACTIVE, REFUSED, SEALED

__all__ = ["count_refused", "has_room_beside_reserve"]

_LATE: Final = CLOSING_PHASES.keys() | {"compensating", "retrying"}
_MAX_REFUSED: Final = 1 << 20  # the most events that are counted


def _are_late(events: Iterable[TraceEvent]) -> bool:
    """Return whether all events end, retry or undo something."""
    return all(split_event_type(event.event_type)[1] in _LATE for event in events)


def has_room_beside_reserve(directory: Path, max_bytes: int, events: Iterable[TraceEvent]) -> bool:
    """Return whether an outbox has more room than its reserve. Raises OutboxFullError if these events do not fit."""
    used, reserve = 0, max_bytes - max_bytes // 10
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name == ACTIVE or entry.name.startswith(SEALED):
                with Tolerated(FileNotFoundError):  # it was delivered meanwhile
                    used += entry.stat().st_size
    if used >= (max_bytes if _are_late(events) else reserve):
        raise OutboxFullError(
            f"the outbox {directory} holds {used:,} of {max_bytes:,} bytes and refuses new events: "
            f"`sagatrace doctor` shows why they are not delivered; SAGATRACE_OUTBOX_MB sets the limit"
        )
    return used < reserve


def count_refused(directory: Path, count: int) -> None:
    """Add to the count of refused events. Raises OSError."""
    make_directory(directory)
    with open_log(directory / REFUSED) as file:
        if file.tell() < _MAX_REFUSED:
            file.write(b"." * count)
