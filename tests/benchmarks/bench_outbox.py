"""The cost of an event for its emitter, in every state of the store, and the rate of a shipper.

    python tests/benchmarks/bench_outbox.py

Promises: emit under 0.1 ms at the median, the same with the store up, slow and down. For the shipper, events a
second in batches beside one call for each event, into an SQLite file and into a store 5 ms away. The price of surviving
a loss of power: an emit with SAGATRACE_FSYNC beside one without, and the commits of a shipper with fsync beside those
without, in turns. TMPDIR decides on which disk.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sagatrace import TraceContext, Tracer
from sagatrace.errors import StoreUnavailableError
from sagatrace.event import TraceEvent
from sagatrace.outbox import Outbox
from sagatrace.shipper.shipper import Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stores import EventStore
from sagatrace.stores.memory import MemoryStore
from sagatrace.stores.sqlite import SqliteStore

ROUNDS = 5000
PER_TRACE = 20
DATA = {"job_name": "credit-check", "loan_id": "L123", "note": "x" * 90}


class Distant(MemoryStore):
    """A store whose calls take a given time, and may then fail."""

    def __init__(self, seconds: float, *, down: bool = False) -> None:
        super().__init__()
        self._seconds = seconds
        self._down = down

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        threading.Event().wait(self._seconds)
        if self._down:
            raise StoreUnavailableError("connection refused")
        return super().append(events, replace=replace)


def follow(directory: Path, store: EventStore) -> None:
    Shipper(directory, store).follow(threading.Event())


def emitted(tracer: Tracer, rounds: int = ROUNDS) -> list[float]:
    """Return the milliseconds of each emit, at a thousand a second, like jobs on a busy host."""
    times = []
    pause = threading.Event()
    for number in range(rounds):
        trace = TraceContext(f"T{number // PER_TRACE}")
        began = time.perf_counter()
        tracer.emit("stage:credit:completed", trace, data=DATA)
        times.append((time.perf_counter() - began) * 1000)
        if number % 10 == 9:
            pause.wait(0.01)
    return sorted(times)


def show(name: str, times: list[float]) -> None:
    p99 = times[int(len(times) * 0.99)]
    print(f"{name:52} median {statistics.median(times):7.4f} ms   p99 {p99:7.4f} ms   worst {times[-1]:8.3f} ms")


def emit_beside(name: str, make_store: Callable[[Path], EventStore]) -> None:
    with tempfile.TemporaryDirectory() as name_of_directory:
        directory = Path(name_of_directory) / "outbox"
        shipper = multiprocessing.get_context("fork").Process(
            target=follow, args=(directory, make_store(Path(name_of_directory)))
        )
        shipper.start()
        try:
            tracer = Tracer(Outbox(directory))
            show(f"emit, outbox, {name}", emitted(tracer))
            assert not tracer.lost, tracer.lost
            waiting = describe_outbox(directory)
            print(f"{'':52} {waiting.size:,} bytes wait in {waiting.segments} segments")
        finally:
            shipper.kill()
            shipper.join()


def ship(name: str, store: EventStore, events: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tracer = Tracer(Outbox(Path(directory)))
        kept = [
            tracer.emit("stage:credit:completed", TraceContext(f"T{n // PER_TRACE}"), data=DATA) for n in range(events)
        ]
        shipper = Shipper(Path(directory), store)
        began = time.perf_counter()
        assert shipper.run_once().delivered == events
        batched = events / (time.perf_counter() - began)
        shipper.close()
    singles = [event for event in kept if event is not None][: max(200, events // 10)]
    other = Tracer(store)  # so that these are new to it
    again = [other.emit("stage:credit:started", TraceContext(event.trace_id), data=DATA) for event in singles[:1]]
    assert again[0] is not None
    began = time.perf_counter()
    for event in singles:
        other.emit("stage:credit:started", TraceContext(event.trace_id), data=DATA)
    alone = len(singles) / (time.perf_counter() - began)
    print(f"{'ship, ' + name:52} {batched:9,.0f} events/s   one call each {alone:9,.0f} events/s")


def fsync_beside_none(rounds: int = 200) -> None:
    """Emit into an outbox with fsync and one without, in turns. Print both times and their ratio."""
    with tempfile.TemporaryDirectory() as directory:
        tracers = [Tracer(Outbox(Path(directory) / str(fsync), fsync=fsync)) for fsync in (False, True)]
        times: list[list[float]] = [[], []]
        for number in range(rounds * 2):
            times[number % 2] += emitted(tracers[number % 2], 10)
    plain, synced = (sorted(one) for one in times)
    show("emit, outbox, SAGATRACE_FSYNC=off", plain)
    show("emit, outbox, SAGATRACE_FSYNC=on", synced)
    print(f"{'':52} ratio of medians {statistics.median(synced) / statistics.median(plain):.1f}")


def durable_beside_not(rounds: int = 5, events: int = 20_000) -> None:
    """Ship the same events into SQLite files with and without fsync of each commit, in turns."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds * 2):
        durable = number % 2 == 1
        with tempfile.TemporaryDirectory() as directory:
            tracer = Tracer(Outbox(Path(directory) / "outbox"))
            for n in range(events):
                tracer.emit("stage:credit:completed", TraceContext(f"T{n // PER_TRACE}"), data=DATA)
            store = SqliteStore(Path(directory) / "traces.db", durable=durable)
            shipper = Shipper(Path(directory) / "outbox", store)
            began = time.perf_counter()
            assert shipper.run_once().delivered == events
            seconds[durable].append(time.perf_counter() - began)
            shipper.close()
            store.close()
    plain, synced = (statistics.median(seconds[durable]) for durable in (False, True))
    print(f"{'ship, SQLite, commits with fsync':52} {events / synced:9,.0f} events/s   without {events / plain:9,.0f}")
    print(f"{'':52} ratio of times {synced / plain:.2f}")


def main() -> None:
    fsync_beside_none()
    durable_beside_not()
    emit_beside("store up", lambda directory: SqliteStore(directory / "traces.db"))
    emit_beside("store slow (500 ms)", lambda _: Distant(0.5))
    emit_beside("store down", lambda _: Distant(0.0, down=True))
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory) / "traces.db")
        show("emit, SQLite directly, connection open", emitted(Tracer(store)))
        ship("SQLite", store, 20_000)
        store.close()
    ship("a store 5 ms away", Distant(0.005), 20_000)


if __name__ == "__main__":
    main()
