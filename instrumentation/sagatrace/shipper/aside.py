"""Events that a shipper sets aside. Each is on the disk as a dead letter before its segment is removed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sagatrace.shipper.dead_letters import DeadLetters
from sagatrace.shipper.segment import Line, Segment
from sagatrace.shown import logger

__all__ = ["Aside"]

log: Final = logger("sagatrace.shipper")

_MAX_NAMED: Final = 1000  # dead letters that one shipper names in its log; the file has all


class Aside:
    """Events and lines to write as dead letters, and the segments to keep until these are written."""

    def __init__(self, directory: Path) -> None:
        self._letters = DeadLetters(directory)
        self._pending: deque[tuple[Segment, Line | bytes, str]] = deque()
        self._owing: list[Path] = []  # segments that are delivered except for pending letters
        self._unsynced = False  # whether letters were written that may not be on the disk yet
        self.count = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, segment: Segment, letters: Iterable[tuple[Line | bytes, str]]) -> None:
        """Add events and lines of the segment that no store accepts, with the reasons."""
        self._pending.extend((segment, what, reason) for what, reason in letters)

    def write(self) -> OSError | None:
        """Write the letters, then remove the segments that waited for them.

        Returns the error if the disk does not accept a letter. Such letters stay in their segments.
        """
        try:
            while self._pending:
                _, what, reason = self._pending[0]
                self._letters.add(what, reason)
                self._pending.popleft()
                self._unsynced = True
                self._count(what, reason)
            if self._unsynced:
                self._letters.sync()
                self._unsynced = False
        except OSError as error:
            return error
        while self._owing:
            self._owing[0].unlink(missing_ok=True)
            self._owing.pop(0)
        return None

    def finish(self, segment: Segment) -> None:
        """Remove the segment, which was read to its end. Keep it while a letter from it is not on the disk."""
        if self._unsynced or any(pending is segment for pending, _, _ in self._pending):
            segment.close()
            self._owing.append(segment.path)
        else:
            segment.remove()

    def waits_for(self, path: Path) -> bool:
        """Return whether the segment is delivered except for letters that are not written yet."""
        return path in self._owing

    def clear(self) -> None:
        """Forget all letters. Their segments still exist and are read again."""
        self._pending.clear()
        self._owing.clear()
        self._unsynced = False

    def _count(self, what: Line | bytes, reason: str) -> None:
        self.count += 1
        if self.count <= _MAX_NAMED:
            name = "a line" if isinstance(what, bytes) else f"event {what.event.id} of trace {what.event.trace_id}"
            log.error("%s is set aside in %s: %s", name, self._letters.path, reason)
