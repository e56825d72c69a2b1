"""Writers and shippers die and race at random: in the end the store holds each emitted event once."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults import died_or_idle, killed_after, lines_of, stored
from sagatrace import TraceContext, Tracer
from sagatrace.outbox import Outbox
from sagatrace.segments import REFUSED, seal, sealed_segments
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper
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
    delivered = 0
    while True:
        shipment = shipper.run_once()
        assert shipment.fault is None
        delivered += shipment.delivered
        if not (waiting := sealed_segments(directory)):
            break
        for segment in waiting:  # its last line is cut: only after a while is it clear that no writer completes it
            os.utime(segment, (0, 0))
    shipper.close()
    store.close()
    return delivered


def test_shippers_that_are_killed_lose_and_double_nothing(tmp_path: Path, heavy: bool) -> None:
    directory, database = tmp_path / "outbox", tmp_path / "traces.db"
    tracer = Tracer(Outbox(directory))
    chance = random.Random(20251222)
    emitted: list[tuple[str, str]] = []
    kills = 200 if heavy else 24
    pause = threading.Event()

    def emit(count: int = 1) -> None:
        for _ in range(count):
            trace_id = f"T{chance.randrange(40)}"
            event = tracer.emit("ai:decision", TraceContext(trace_id), data={"note": "x" * chance.randrange(200)})
            assert event is not None
            emitted.append((trace_id, event.id))

    emit(50)
    whole = lines_of(lambda: deliver_the_rest(directory, database))
    midway = 0
    for number in range(kills):
        emit(50)
        # Every fourth may deliver all before it is killed.
        last = None if number % 4 == 1 else chance.randint(1, whole)
        shipper = killed_after(last, lambda: follow(directory, database))
        for _ in range(30):
            emit()
            pause.wait(0.001)
        midway += not died_or_idle(shipper, directory)
    before = stored(database)
    rest = deliver_the_rest(directory, database)
    print(f"{len(emitted)} events; {midway} of {kills} were killed with a segment left; {rest} came at the end")
    assert kills // 4 <= midway <= kills - kills // 4
    assert len(before) > 50 * (kills // 4)
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


def test_writers_killed_at_any_moment_lose_no_acknowledged_event(
    tmp_path: Path, until: Callable[..., Any], heavy: bool
) -> None:
    """Each writer notes its acknowledged events. A line that the kill cut is not one of them."""
    directory, database = tmp_path / "outbox", tmp_path / "traces.db"
    chance = random.Random(7)
    notes = tmp_path / "notes"
    note = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(writer: int) -> None:
        tracer = Tracer(Outbox(directory))
        for number in range(100_000):
            if tracer.emit("ai:decision", TraceContext("T"), event_id=f"{writer}-{number}", data={"x": "x" * 9000}):
                os.write(note, f"{writer}-{number}\n".encode())

    def noted() -> int:
        return notes.read_bytes().count(b"\n")

    writers = 60 if heavy else 20
    asked = 0
    for writer in range(writers):
        before, least = noted(), chance.randint(1, 20)
        asked += least
        child = forked(lambda writer=writer: write(writer))
        until(lambda before=before, least=least: noted() >= before + least, "the events a writer is let write")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.close(note)
    deliver_the_rest(directory, database)
    acknowledged = set(notes.read_text().split())
    kept = [event_id for _, event_id in stored(database)]
    assert len(kept) == len(set(kept))
    assert acknowledged <= set(kept)
    assert len(set(kept) - acknowledged) <= writers
    assert len(acknowledged) >= asked
    print(f"{len(acknowledged)} acknowledged, {len(kept)} kept")
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
