"""Writers and shippers die and race at random: in the end the store holds exactly what was emitted, once each."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults import stored
from sagatrace import TraceContext, Tracer
from sagatrace.outbox import ACTIVE, REFUSED, Outbox, seal, sealed_segments
from sagatrace.ship import DEAD_LETTERS, Shipper
from sagatrace.stores.sqlite import SqliteStore


def forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def follow(directory: Path, database: Path) -> None:
    Shipper(directory, SqliteStore(database)).follow(threading.Event())


def deliver_the_rest(directory: Path, database: Path) -> int:
    store = SqliteStore(database)
    shipper = Shipper(directory, store)
    shipment = shipper.run_once()
    assert shipment.fault is None
    shipper.close()
    store.close()
    return shipment.delivered


def test_a_shipper_killed_two_hundred_times_loses_and_doubles_nothing(tmp_path: Path) -> None:
    directory, database = tmp_path / "outbox", tmp_path / "traces.db"
    tracer = Tracer(Outbox(directory))
    chance = random.Random(20251222)
    emitted: list[tuple[str, str]] = []
    midway = 0
    pause = threading.Event()

    def emit() -> None:
        trace_id = f"T{chance.randrange(40)}"
        event = tracer.emit("ai:decision", TraceContext(trace_id), data={"note": "x" * chance.randrange(200)})
        assert event is not None
        emitted.append((trace_id, event.id))

    for number in range(200):
        for _ in range(50):
            emit()
        shipper = forked(lambda: follow(directory, database))
        deadline = time.monotonic() + chance.uniform(0.0, 0.03)
        while time.monotonic() < deadline:
            emit()
            pause.wait(0.001)
        # However slow the machine: one in ten is let catch up before it is killed.
        deadline = time.monotonic() + 30
        while number % 10 == 9 and (sealed_segments(directory) or (directory / ACTIVE).exists()):
            assert time.monotonic() < deadline, "a shipper that delivers nothing"
            pause.wait(0.001)
        os.kill(shipper, signal.SIGKILL)
        os.waitpid(shipper, 0)
        midway += bool(sealed_segments(directory))
    before = stored(database)
    rest = deliver_the_rest(directory, database)
    print(f"{len(emitted)} events; {midway} of 200 were killed with a segment half delivered; {rest} came at the end")
    assert 20 < midway < 200
    assert len(before) > 1000
    assert stored(database) == sorted(emitted)
    assert sealed_segments(directory) == []
    assert not (directory / DEAD_LETTERS).exists()


def test_eight_processes_write_while_one_delivers(tmp_path: Path) -> None:
    directory, database = tmp_path / "outbox", tmp_path / "traces.db"
    SqliteStore(database).append([])

    def write(writer: int) -> None:
        tracer = Tracer(Outbox(directory))
        for number in range(1000):
            # Some longer than a page of memory, which the kernel copies piece by piece.
            data = {"note": "x" * (20_000 if number % 50 == 0 else 100)}
            assert tracer.emit("ai:decision", TraceContext(f"T{number % 7}"), event_id=f"{writer}-{number}", data=data)

    shipper = forked(lambda: follow(directory, database))
    writers = [forked(lambda writer=writer: write(writer)) for writer in range(8)]
    for writer in writers:
        seal(directory)
        assert os.waitpid(writer, 0)[1] == 0
    os.kill(shipper, signal.SIGKILL)
    os.waitpid(shipper, 0)
    during = len(stored(database))
    deliver_the_rest(directory, database)
    print(f"{during} of 8000 events were delivered while they were written")
    assert stored(database) == sorted((f"T{number % 7}", f"{w}-{number}") for w in range(8) for number in range(1000))
    assert not (directory / DEAD_LETTERS).exists()


def test_writers_killed_at_any_moment_lose_nothing_that_was_told_kept(tmp_path: Path) -> None:
    """Each writer notes what it was told is kept; what a write cut short by the kill left is set aside, not lost."""
    directory, database = tmp_path / "outbox", tmp_path / "traces.db"
    chance = random.Random(7)
    notes = tmp_path / "notes"
    note = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(writer: int) -> None:
        tracer = Tracer(Outbox(directory))
        for number in range(100_000):
            if tracer.emit("ai:decision", TraceContext("T"), event_id=f"{writer}-{number}", data={"x": "x" * 9000}):
                os.write(note, f"{writer}-{number}\n".encode())

    for writer in range(60):
        child = forked(lambda writer=writer: write(writer))
        threading.Event().wait(chance.uniform(0.001, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.close(note)
    deliver_the_rest(directory, database)
    told = set(notes.read_text().split())
    kept = [event_id for _, event_id in stored(database)]
    assert len(kept) == len(set(kept))
    assert told <= set(kept)
    assert len(set(kept) - told) <= 60
    assert len(told) > 500
    print(f"{len(told)} told, {len(kept)} kept")
    assert not (directory / REFUSED).exists()


def test_shippers_that_start_together_agree_on_one(tmp_path: Path, until: Callable[..., Any]) -> None:
    directory, database = tmp_path / "outbox", tmp_path / "traces.db"
    tracer = Tracer(Outbox(directory))
    for number in range(2000):
        tracer.emit("ai:decision", TraceContext(f"T{number % 9}"), event_id=f"{number:04d}")
    running = {forked(lambda: follow(directory, database)) for _ in range(6)}

    def one_is_left() -> bool:
        running.difference_update([pid for pid in running if os.waitpid(pid, os.WNOHANG)[0]])
        return len(running) == 1

    until(one_is_left, "five shippers that leave it to the sixth")
    until(lambda: len(stored(database)) == 2000, "all events")
    (last,) = running
    os.kill(last, signal.SIGKILL)
    os.waitpid(last, 0)
