"""The file of a SQLite store: its creation, its kind, and whether it was replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["create_private", "identity_of", "is_special"]


def create_private(path: Path) -> None:
    """Create an empty file that only its user may use, unless it exists. Follow links. Raises OSError."""
    try:
        # An existing file is not opened: closing it would drop this process's SQLite locks on it.
        file = os.open(path.resolve(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    os.close(file)


def is_special(path: Path) -> bool:
    """Return whether there is a pipe, a socket or a device at the path, or a link to one."""
    try:
        mode = path.stat().st_mode
    except OSError:  # opening the file raises a better error
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def identity_of(path: str) -> str:
    """Return device and inode of the current file at the path; empty without a file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - every call does this, and Path.stat is twice as slow
    except OSError:
        return ""
    return f"{status.st_dev}-{status.st_ino}"
