"""Files that sagatrace makes for itself: opened without waiting, and never taken for another kind of file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["is_regular", "open_regular"]

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


def is_regular(path: Path) -> bool:
    """Return whether there is a regular file at the path. Raises OSError when it cannot be looked at."""
    try:
        return stat.S_ISREG(path.stat(follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is not a regular file", str(path))
