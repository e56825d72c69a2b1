"""Stores that fail in a chosen way, kills of forked children, and the content of a store."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, Final

import psutil

import sagatrace
from sagatrace.event import TraceEvent
from sagatrace.segments import ACTIVE, sealed_segments
from sagatrace.stores import FetchedTrace
from sagatrace.stores.memory import MemoryStore

_SOURCE: Final = str(Path(sagatrace.__file__).parent) + os.sep

Plan = Callable[[list[TraceEvent]], Exception | None]


class FaultyStore(MemoryStore):
    """A store with a plan: for each call it may return an exception to raise. It records the times of its calls."""

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
    """Run the work in a forked child, like a work-horse, and return its exit status.

    With `room`, no file may grow beyond so many bytes. A write is cut, and the next refused, like on a full disk.
    """
    child = os.fork()
    if child == 0:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            if room is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            work()
        except BaseException:  # noqa: BLE001 - a child must not continue as a second test session
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(lines: int | None, work: Callable[[], object]) -> int:
    """Run the work in a forked child, and kill it after its threads ran so many lines of sagatrace. Return its id.

    Without `lines` the caller must kill it. Kills by line number reach every place of the code, on a machine of any
    speed.
    """
    child = os.fork()
    if child == 0:
        try:
            if lines is not None:
                _trace_lines(lines)
            work()
        finally:
            os._exit(1)
    return child


def died_or_idle(child: int, directory: Path) -> bool:
    """Wait until the shipper is killed, or kill it after it delivered all. Return whether it delivered all."""
    while not os.waitpid(child, os.WNOHANG)[0]:
        if not _waiting(directory):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        threading.Event().wait(0.001)
    return not _waiting(directory)


def _waiting(directory: Path) -> bool:
    # The active file first: in the other order a file sealed in between would be missed.
    return (directory / ACTIVE).exists() or bool(sealed_segments(directory))


def lines_of(work: Callable[[], object]) -> int:
    """Return the number of lines of sagatrace that the work runs in a forked child."""
    reader, writer = os.pipe()

    def report() -> None:
        count = _trace_lines(None)
        work()
        os.write(writer, str(next(count)).encode())

    status = in_child(report)
    with os.fdopen(reader, "rb") as read:
        os.close(writer)
        assert status == 0
        return int(read.read())


def _trace_lines(last: int | None) -> Iterator[int]:
    """Count the lines that this process runs from now on, and kill it at the last one."""
    count = itertools.count(1)

    def traced(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(_SOURCE):
            return None
        if event == "line" and next(count) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return traced

    threading.settrace(traced)
    sys.settrace(traced)
    return count


def ids(found: FetchedTrace) -> list[str]:
    return sorted(event.id for event in found.events)


def stored(path: Path) -> list[tuple[str, str]]:
    """Return each (trace id, event id) of an SQLite store, with repetitions; none while the store is created."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'event'").fetchone():
            return []
        return sorted(connection.execute("SELECT trace_id, id FROM event"))


def shippers(outbox: Path) -> list[psutil.Process]:
    """Return the processes that deliver this outbox."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(outbox) in (process.info["cmdline"] or []) and process.info["status"] != "zombie"
    ]
