"""Locks that the kernel drops when their holder dies, however it dies.

In an outbox the file `shipper.lock` is held by the one process that delivers it, and `users.lock`, shared, by
every process that wants it delivered: the shipper ends when it could have that one for itself.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

__all__ = ["SHIPPER_LOCK", "USERS_LOCK", "is_held", "try_lock"]

SHIPPER_LOCK: Final = "shipper.lock"
USERS_LOCK: Final = "users.lock"


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock until closed, also by forked children; None when another has it. OSError."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file


def is_held(path: Path, *, by_any: bool = False) -> bool:
    """Whether somebody has the lock for himself, or, `by_any`, at all. Looking takes it for an instant. OSError."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if by_any else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
