"""The file of a SQLite store: its creation, its kind, and whether it was replaced."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from sagatrace.interruptions import Tolerated

__all__ = ["create_private", "identity_of", "is_special"]

_UNUSABLE: Final = Tolerated(OSError)  # opening the file raises a better error


def create_private(path: Path) -> None:
    """Create an empty file that only its user may use, unless it exists. Follow links. Raises OSError.

    The file is closed before it gets its name. A close drops all locks of this process on a file, and another thread
    may use the file as soon as it has its name. Without its locks SQLite damages the store.
    """
    target = path.resolve()
    if target.exists():
        return
    file, name = tempfile.mkstemp(prefix=".sagatrace-", dir=target.parent)  # mode 0600
    os.close(file)
    try:
        os.link(name, target)
    except FileExistsError:
        return  # another process created it
    except OSError:  # a file system without hard links: the file stays open until this process ends
        with Tolerated(FileExistsError):
            os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    finally:
        os.unlink(name)  # noqa: PTH108 - a text


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
