"""Stores that fail in a chosen way, behind the protocol every store has; and reading back what one holds."""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import psutil

from sagatrace.events import TraceEvent
from sagatrace.stores import FetchedTrace
from sagatrace.stores.memory import MemoryStore

Plan = Callable[[list[TraceEvent]], Exception | None]


class FaultyStore(MemoryStore):
    """Asks its plan about each call: an exception is raised instead of storing. Notes when it was called."""

    def __init__(self, plan: Plan, *, delay: float = 0.0) -> None:
        super().__init__()
        self.plan = plan
        self.delay = delay
        self.calls: list[tuple[float, list[TraceEvent]]] = []

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        listed = list(events)
        self.calls.append((time.monotonic(), listed))
        if self.delay:
            threading.Event().wait(self.delay)
        error = self.plan(listed)
        if error is not None:
            raise error
        return super().append(listed, replace=replace)

    def ids(self, trace_id: str) -> list[str]:
        return ids(self.fetch_trace(trace_id))


def in_child(work: Callable[[], object], *, room: int | None = None) -> int:
    """Run it in a forked child, as a work-horse does, and give the status it ended with.

    With `room` no file there may grow past so many bytes: a write is cut, then refused, as on a full disk.
    """
    child = os.fork()
    if child == 0:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            if room is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            work()
        except BaseException:  # noqa: BLE001 - a child must not go on as a second test session
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ids(found: FetchedTrace) -> list[str]:
    return sorted(event.id for event in found.events)


def stored(path: Path) -> list[tuple[str, str]]:
    """Every (trace id, event id) of an SQLite store, as often as it is there; none while it is being made."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'event'").fetchone():
            return []
        return sorted(connection.execute("SELECT trace_id, id FROM event"))


def shippers(outbox: Path) -> list[psutil.Process]:
    """The processes that deliver this outbox."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(outbox) in (process.info["cmdline"] or []) and process.info["status"] != "zombie"
    ]
