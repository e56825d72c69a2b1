"""Locks that the kernel releases when their holder dies, even by SIGKILL.

In an outbox, the one process that delivers it holds `shipper.lock`. Every process that uses the outbox holds
`users.lock`, shared. The shipper ends when it can get `users.lock` exclusively.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from sagatrace.files import open_regular

__all__ = ["SHIPPER_LOCK", "USERS_LOCK", "is_at", "is_held", "require_owner", "strangers", "try_lock"]

SHIPPER_LOCK: Final = "shipper.lock"
USERS_LOCK: Final = "users.lock"


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Take the lock. Return a descriptor that holds it until it is closed here and in forked children.

    Return None if another process has the lock. Raises OSError.
    """
    file = open_regular(path, os.O_RDWR | os.O_CREAT)
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
    """Return whether the lock is held (`by_any`: even shared). Takes it briefly. Raises OSError."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if by_any else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def is_at(lock: int, path: Path) -> bool:
    """Return whether the open lock is still the file at the path. A lock on a removed file has no effect.

    Raises OSError if the path cannot be read.
    """
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(lock), path.stat(follow_symlinks=False))
    return False


def require_owner(directory: Path) -> None:
    """Check that files of this process would not lock out the directory's user.

    A directory that root created for another user, such as a mounted volume, is accepted.

    Raises:
        PermissionError: the directory, or a file in it, belongs to another user.
        OSError: the directory cannot be read.
    """
    me, owner = os.geteuid(), directory.stat().st_uid
    if owner not in (me, 0):
        fault = f"the outbox belongs to {_user(owner)} and this process runs as {_user(me)}"
        raise PermissionError(errno.EACCES, f"{fault}: run the process as {_user(owner)}", str(directory))
    for path, uid in _owners(directory):
        if uid != me:
            fault = f"the file belongs to {_user(uid)} and this process runs as {_user(me)}"
            advice = f"run the process as {_user(uid)}, or change the owner of the file"
            raise PermissionError(errno.EACCES, f"{fault}: {advice}", str(path))


def strangers(directory: Path) -> list[tuple[Path, str, str]]:
    """Return the files that lock out the directory's user, as (path, owner, user); none without the directory.

    Raises OSError.
    """
    try:
        user, owners = directory.stat().st_uid, list(_owners(directory))
    except FileNotFoundError:
        return []
    if user == 0:  # root may have created it for another user
        user = max((uid for _, uid in owners), default=0)
    return [(path, _user(uid), _user(user)) for path, uid in owners if uid != user]


def _owners(directory: Path) -> Iterator[tuple[Path, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # delivered meanwhile
                yield directory / entry.name, entry.stat(follow_symlinks=False).st_uid


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
