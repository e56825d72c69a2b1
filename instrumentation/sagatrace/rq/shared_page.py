"""Memory that a worker shares with its work-horse, which inherits it."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["SharedPage"]

_SIZE: Final = 1 << 17  # bytes: JSON may take six for each character that `error_data` keeps


class SharedPage:
    """Shared memory with a flag that the end of the execution is recorded, and a note of the work-horse."""

    def __init__(self) -> None:
        # Byte 0: whether the end is recorded. Bytes 1 to 4: the length of the work-horse's note, which follows.
        self._page = mmap.mmap(-1, _SIZE)

    def clear(self) -> None:
        """Forget the previous execution."""
        self._page[:5] = bytes(5)

    def mark_end(self) -> None:
        """Mark that the end is recorded."""
        self._page[0] = 1

    @property
    def has_end(self) -> bool:
        """Whether the end is recorded."""
        return bool(self._page[0])

    def write(self, note: Mapping[str, Any]) -> None:
        """Write the note, unless it is too long. If the work-horse is killed meanwhile, there is none."""
        text = msgspec.json.encode(note)
        if len(text) <= _SIZE - 5:
            self._page[1:5] = bytes(4)
            self._page[5 : 5 + len(text)] = text
            self._page[1:5] = len(text).to_bytes(4)

    def read(self) -> dict[str, Any]:
        """Return the note; empty if there is none."""
        size = int.from_bytes(self._page[1:5])
        return dict(msgspec.json.decode(self._page[5 : 5 + size])) if size else {}
