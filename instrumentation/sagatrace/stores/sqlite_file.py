"""The file of a SQLite store: its creation, its kind, and whether it was replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from sagatrace.interruptions import Tolerated

__all__ = ["create_private", "identity_of", "is_special"]

_UNUSABLE: Final = Tolerated(OSError)  # opening the file raises a better error


def create_private(path: Path) -> None:
    """Create an empty file that only its user may use, unless it exists. Follow links. Raises OSError."""
    with Tolerated(FileExistsError):
        # An existing file is not opened: closing it would drop this process's SQLite locks on it.
        os.close(os.open(path.resolve(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def is_special(path: Path) -> bool:
    """Return whether there is a pipe, a socket or a device at the path, or a link to one."""
    with _UNUSABLE:
        mode = path.stat().st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False


def identity_of(path: str) -> str:
    """Return device and inode of the current file at the path; empty without a file."""
    with _UNUSABLE:
        status = os.stat(path)  # noqa: PTH116 - every call does this, and Path.stat is twice as slow
        return f"{status.st_dev}-{status.st_ino}"
    return ""
