"""Close every connection before this process forks. The next use opens it again.

A child that inherits a connection shares its sockets, file locks and thread locks with the parent. It hangs, or loses
the events that it writes.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final, Protocol

__all__ = ["closed_across_forks"]


class _Connected(Protocol):
    @property
    def lock(self) -> threading.RLock:
        """The lock to hold while the connection is used."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


_stores: Final[weakref.WeakSet[_Connected]] = weakref.WeakSet()
_one_fork: Final = threading.Lock()  # several threads may fork; each must release only its own locks
_held: Final[list[_Connected]] = []


def closed_across_forks(store: _Connected) -> None:
    """Close the store before every later fork, while the object exists. Its lock is held during the fork."""
    _stores.add(store)


def _before_fork() -> None:
    _one_fork.acquire()
    for store in list(_stores):
        store.lock.acquire()
        _held.append(store)
        store.close()


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()
    _one_fork.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
