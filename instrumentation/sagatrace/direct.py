"""Write events directly to a store: without an outbox, with recording off, or while the outbox is unusable."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

from sagatrace.event import TraceEvent
from sagatrace.interruptions import must_pass
from sagatrace.settings import Settings

if TYPE_CHECKING:
    from sagatrace.stores import EventStore

__all__ = ["DirectWriter", "opened_store"]

_MINUTE: Final = 60.0
_SHARE: Final = 0.25
"""Seconds that one write may take. The earlier writes of the last minute may together take as long."""


def opened_store(target: str, settings: Settings, max_wait: float) -> EventStore:
    """Return the store at a URL; for `off` a store that keeps nothing. Raises StoreError."""
    if target == "off":
        return cast("EventStore", _Off())
    from sagatrace.stores import open_store

    return open_store(target, max_wait=max_wait, durable=settings.fsync)


class DirectWriter:
    """Write to the environment's store while the outbox is unusable, for at most 0.5 s a minute in each process."""

    def __init__(self) -> None:
        self._store: EventStore | None = None
        self._writes: deque[tuple[float, float]] = deque()  # of the last minute, as (end, seconds)
        self._spent = 0.0

    def write(self, event: TraceEvent, replace: bool, fault: OSError) -> None:
        """Store the event. Raises the outbox's `fault` if this minute's time is used up, else the store's error."""
        began = time.monotonic()
        while self._writes and self._writes[0][0] < began - _MINUTE:
            self._spent -= self._writes.popleft()[1]
        if self._spent > _SHARE:
            raise fault
        penalty = 0.0
        try:
            if self._store is None:
                settings = Settings.from_env()
                self._store = opened_store(settings.store, settings, min(settings.max_wait, _SHARE))
            self._store.append([event], replace=replace)
        except Exception as error:
            if not must_pass(error):  # an interruption of the job is not an error of the store
                penalty = _MINUTE  # do not ask a failing store again within a minute
                error.add_note(f"and the outbox is unusable: {fault}")
            raise
        finally:
            ended = time.monotonic()
            self._writes.append((ended, ended - began + penalty))
            self._spent += self._writes[-1][1]

    def close(self) -> None:
        """Close the store's connections."""
        if self._store is not None:
            self._store.close()


class _Off:
    """A store that keeps nothing, for recording that is off."""

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:  # noqa: ARG002 - a store's
        """Keep no event. Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing."""
