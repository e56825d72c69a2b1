"""No connection crosses a fork: each is closed before this process forks, and opened again on next use.

A child that inherits one shares its sockets, file locks and threads' locks with its parent, and hangs or loses what
it writes.
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
        """Held by whoever uses the connection."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


_stores: Final[weakref.WeakSet[_Connected]] = weakref.WeakSet()
_one_fork: Final = threading.Lock()  # threads may fork at once: each must release what it took, and nothing else
_held: Final[list[_Connected]] = []


def closed_across_forks(store: _Connected) -> None:
    """Close the store before every fork from now on, for as long as it lives; its lock is held meanwhile."""
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
