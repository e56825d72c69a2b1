"""Files that sagatrace makes for itself: for their user alone, and never a pipe, a link or a directory instead."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["create_private", "is_regular", "make_directory", "open_log", "open_regular", "sync_directory"]

_OTHER_KINDS: Final = (
    errno.ELOOP,
    errno.ENXIO,
    errno.EISDIR,
)  # a link, a pipe without a reader or a socket, a directory


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file, with `os.O_CREAT` one that only its user may read, and return its descriptor.

    Raises OSError, also for a link, a directory or a pipe, for which a plain open might wait for ever.
    """
    try:
        file = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in _OTHER_KINDS:
            raise _not_regular(path) from error
        raise
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise _not_regular(path)


def open_log(path: Path) -> BinaryIO:
    """Open a file to append to, one that only its user may read. Raises OSError as `open_regular` does."""
    return os.fdopen(open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def create_private(path: Path) -> None:
    """Make an empty file that only its user may use, unless there is one, also where a link leads. Raises OSError."""
    try:
        # A file that is there is not opened: closing it would drop this process's SQLite locks on it.
        file = os.open(path.resolve(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    os.close(file)


def make_directory(directory: Path, *, fsync: bool = False) -> None:
    """Make the directory and its missing parents for their user alone; leave those that exist. Raises OSError.

    With `fsync` the new directories survive a loss of power.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileNotFoundError:
        if directory.parent == directory:
            raise
        make_directory(directory.parent, fsync=fsync)  # `parents=True` of pathlib would make them as the umask says
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if directory.is_dir():
            return
        raise
    if fsync:
        sync_directory(directory.parent)


def sync_directory(directory: Path | str) -> None:
    """Bring the names of the files in the directory to the disk. Raises OSError."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def is_regular(path: Path) -> bool:
    """Return whether there is a regular file at the path. Raises OSError when it cannot be looked at."""
    try:
        return stat.S_ISREG(path.stat(follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is not a regular file", str(path))
