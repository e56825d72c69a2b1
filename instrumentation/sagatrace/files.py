"""Open and create the files of sagatrace. Only their user may read them, and they must be regular files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from sagatrace.interruptions import Tolerated

__all__ = ["is_regular", "make_directory", "open_log", "open_regular", "sync_directory"]

# A link, a pipe without a reader or a socket, a directory.
_OTHER_KINDS: Final = (errno.ELOOP, errno.ENXIO, errno.EISDIR)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file and return its descriptor. With `os.O_CREAT` only its user may read a new file.

    Raises OSError, also for a link, a directory or a pipe. It never waits for the other end of a pipe.
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
    """Open a file to append to, which only its user may read. Raises OSError as `open_regular` does."""
    return os.fdopen(open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def make_directory(directory: Path, *, fsync: bool = False) -> None:
    """Create the directory and its missing parents, which only their user may use. Keep existing ones. Raises OSError.

    With `fsync` the new directories survive a loss of power.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileNotFoundError:
        if directory.parent == directory:
            raise
        make_directory(directory.parent, fsync=fsync)  # `parents=True` of pathlib uses the umask
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if directory.is_dir():
            return
        raise
    if fsync:
        sync_directory(directory.parent)


def sync_directory(directory: Path | str) -> None:
    """Flush the names of the directory's files to the disk. Raises OSError."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def is_regular(path: Path) -> bool:
    """Return whether there is a regular file at the path. Raises OSError if the path cannot be read."""
    with Tolerated(FileNotFoundError):
        # Not `Path.stat`: an error from a frame of another module makes `must_pass` load more.
        return stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode)  # noqa: PTH116
    return False


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is not a regular file", str(path))
