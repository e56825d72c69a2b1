"""The files of an outbox: the active file for new events, and the sealed segments that wait for delivery."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from sagatrace.files import is_regular
from sagatrace.interruptions import Tolerated

__all__ = ["ACTIVE", "REFUSED", "SEALED", "seal", "sealed_segments"]

ACTIVE: Final = "events.jsonl"  # the active file, to which processes append
SEALED: Final = "sealed-"  # the prefix of a segment's name: no process appends to a segment
REFUSED: Final = "refused"  # one byte for each event refused


def seal(directory: Path, name: str = ACTIVE) -> Path | None:
    """Rename the active file, or another file of lines, to a segment. Return its path, or None without a file."""
    # Names sort by age and are unique: a rename onto another segment would lose that segment.
    sealed = directory / f"{SEALED}{time.time_ns():020d}-{os.getpid()}-{os.urandom(4).hex()}.jsonl"
    with Tolerated(FileNotFoundError):
        if is_regular(directory / name):
            (directory / name).rename(sealed)
            return sealed
    return None


def sealed_segments(directory: Path) -> list[Path]:
    """Return the segments that wait for delivery, oldest first. Only regular files count."""
    with Tolerated(FileNotFoundError):
        return sorted(path for path in directory.iterdir() if path.name.startswith(SEALED) and is_regular(path))
    return []
