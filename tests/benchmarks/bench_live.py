"""The delay of the app in a real terminal with a real Redis, from an event to the screen, and keys under load.

    python tests/benchmarks/bench_live.py [sagas] [load] [hanging]

`sagas`: a hundred concurrent sagas on real workers. The time from each event's timestamp until the list shows it, with
Redis and by polling, and whether the list equals the store at the end. `load`: a thousand events a second for 30 s into
the open trace: keys, memory, processor, and the time from an event's emission until it is drawn, for the first thousand
events and in the last second. `hanging`: the time of jobs with the mirror off, up, and accepting connections but never
answering.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from redis import Redis
from rq import Queue

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from pty_terminal import PtyTerminal
from sagatrace import TraceContext, trace_meta
from sagatrace.event import TraceEvent, new_event
from sagatrace.outbox import Outbox
from sagatrace.stores import EventStore, Search, open_store
from sagatrace_tui.demo.workers import worker_command, worker_environment
from servers import TcpRedis, until

HERE = Path(__file__).parent
SAGAS, WORKERS = 100, 4
RATE, SECONDS = 1000, 30
CURSOR = "▌".encode()
UP, DOWN = "\x1b[A", "\x1b[B"


@contextmanager
def workers(count: int, redis: TcpRedis, environment: dict[str, str], directory: Path) -> Iterator[None]:
    """Run so many `rq worker`s, with the shipper that the first one starts."""
    environment = environment | {"PYTHONPATH": str(HERE)}
    command = worker_command(redis.url, "--quiet", "bench")
    with (directory / "workers.log").open("ab") as log:
        running = [
            subprocess.Popen(command, env=environment, cwd=directory, stdout=log, stderr=log, process_group=0)
            for _ in range(count)
        ]
    try:
        yield
    finally:
        for process in running:
            below = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            for child in below:
                if child.is_running():
                    os.kill(child.pid, signal.SIGKILL)


@contextmanager
def app(
    store: EventStore, mirror: str, out: Path, *trace_id: str, size: tuple[int, int]
) -> Iterator[tuple[PtyTerminal, list[float]]]:
    """Run the app in a terminal that is read as fast as it writes, without an emulator."""
    command = [sys.executable, str(HERE / "live_app.py"), store.label, mirror, str(out), *trace_id]
    with PtyTerminal(command, size=size) as terminal:
        terminal.until("live (Redis)" if mirror else "polling every 1 s", timeout=30)
        over = threading.Event()
        cursors: list[float] = []
        reader = threading.Thread(target=_read, args=(terminal, over, cursors))
        reader.start()
        try:
            yield terminal, cursors
        finally:
            over.set()
            reader.join()


def _read(terminal: PtyTerminal, over: threading.Event, cursors: list[float]) -> None:
    """Read the output as fast as it is written, and note when it holds the cursor's sign."""
    while not over.is_set():
        if select.select([terminal.ours], [], [], 0.2)[0]:
            data = os.read(terminal.ours, 1 << 16)
            if CURSOR in data:
                cursors.append(time.monotonic())


def sagas(mirrored: bool) -> None:
    """Measure a hundred concurrent sagas by the list."""
    with TcpRedis() as redis, tempfile.TemporaryDirectory() as name, Redis.from_url(redis.url) as client:
        directory = Path(name)
        store = open_store(f"sqlite:///{directory}/traces.db")
        store.append([])
        mirror = redis.url if mirrored else ""
        environment = worker_environment(store.label, mirror)
        out = directory / "out"
        with (
            workers(WORKERS, redis, environment, directory),
            app(store, mirror, out, size=(120, SAGAS + 12)),
        ):
            until(lambda: len(client.smembers("rq:workers")) == WORKERS, "the workers")
            began = time.monotonic()
            queue = Queue("bench", connection=client)
            for number in range(SAGAS):
                meta = trace_meta(TraceContext.new(f"saga-{number:03}"))
                queue.enqueue("step_saga.step", 0, meta=meta)
            until(lambda: not queue.count and not queue.started_job_registry.count, "that all is done", 300)
            took = time.monotonic() - began
            stored = until(lambda: _settled(store), "that all is stored")
            time.sleep(3)
            _tell_latencies("with Redis" if mirrored else "by polling", stored, out, took)
        store.close()


def _settled(store: EventStore) -> list[TraceEvent]:
    """Return all events when no more arrive."""

    def read() -> list[TraceEvent]:
        hits = store.search(Search(limit=SAGAS))
        return [event for hit in hits for event in store.fetch_trace(hit.trace_id).events]

    before = read()
    time.sleep(1)
    return before if len(before) == len(read()) else []


def _tell_latencies(name: str, stored: list[TraceEvent], out: Path, took: float) -> None:
    shows: dict[str, list[tuple[int, float]]] = {}
    for line in out.read_text().splitlines():
        wall, _, kind, *rest = line.split()
        if kind == "row":
            shows.setdefault(rest[0], []).append((int(rest[1]), float(wall)))
    latencies, missing = [], 0
    for event in stored:
        at = event.micros
        seen = next((wall for latest, wall in shows.get(event.trace_id, ()) if latest >= at), None)
        if seen is None:
            missing += 1
        else:
            latencies.append((seen - at / 1e6) * 1000)
    latencies.sort()
    print(
        f"{SAGAS} concurrent sagas {name}: {len(stored):,} events in {took:.1f} s by {WORKERS} workers; "
        f"from emission to screen median {statistics.median(latencies):.0f} ms, "
        f"95th {_percentile(latencies, 95):.0f} ms, longest {latencies[-1]:.0f} ms; never shown: {missing}",
        flush=True,
    )


def load() -> None:
    """Measure a thousand events a second in the open trace, through an outbox and its shipper."""
    with TcpRedis() as redis, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        store = open_store(f"sqlite:///{directory}/traces.db")
        store.append([new_event(trace_id="load", span_id="root", event_type="workflow:load:started")])
        box, out = directory / "outbox", directory / "out"
        box.mkdir()
        environment = worker_environment(store.label, redis.url)
        shipping = [sys.executable, "-m", "sagatrace.shipper", str(box), "--follow"]
        with (directory / "ship.log").open("wb") as log:
            shipper = subprocess.Popen(shipping, env=environment, stdout=log, stderr=log)
        try:
            with app(store, redis.url, out, "load", size=(120, 40)) as (terminal, cursors):
                _press_under_load(terminal, cursors, box, store, out)
        finally:
            shipper.terminate()
            shipper.wait()
        store.close()


def _press_under_load(terminal: PtyTerminal, cursors: list[float], box: Path, store: EventStore, out: Path) -> None:
    process, pressed = psutil.Process(terminal.process.pid), list[float]()
    over, emitted = threading.Event(), list[float]()
    feeder = threading.Thread(target=_feed, args=(box, emitted, over))
    before, began = process.cpu_times(), time.monotonic()
    memory = list[float]()
    feeder.start()
    keys = 0
    while feeder.is_alive():
        time.sleep(0.11)
        keys += 1
        pressed.append(time.monotonic())
        terminal.send(DOWN if keys % 2 else UP)
        if keys % 9 == 0:
            memory.append(process.memory_info().rss / 1e6)
    took, after = time.monotonic() - began, process.cpu_times()
    over.set()
    used = after.user + after.system - before.user - before.system
    sent = 1 + len(emitted)
    until(lambda: _last(out, "drawn") == sent, f"all {sent} events on screen", 60)
    lines = [line.split() for line in out.read_text().splitlines()]
    drawn = [(float(line[1]), int(line[3])) for line in lines if line[2] == "drawn"]
    ages = _ages(emitted, drawn)
    moves = [float(line[1]) for line in lines if line[2] == "cursor"]
    answers = _answers(pressed, moves, cursors)
    print(
        f"{sent:,} events in {took:.0f} s into the open trace: keys median {statistics.median(answers):.1f} ms, "
        f"95th {_percentile(answers, 95):.1f} ms, longest {answers[-1]:.0f} ms ({len(answers)} of {len(pressed)}); "
        f"{100 * used / took:.0f} % of a core; {memory[0]:.0f} MB at first, {memory[-1]:.0f} MB at the end; "
        f"{len(drawn) / took:.1f} drawings a second; from emission to screen {_spread(ages[:RATE])} at the first "
        f"{RATE:,} events, {_spread(ages[-RATE:])} at the last",
        flush=True,
    )
    assert len(store.fetch_trace("load").events) == sent


def _ages(emitted: list[float], drawn: list[tuple[float, int]]) -> list[float]:
    """Return the seconds from each emission until the screen shows that many events."""
    ages = []
    place = 0
    for number, at in enumerate(emitted, start=2):  # the first event of the trace was there before
        while drawn[place][1] < number:
            place += 1
        ages.append(drawn[place][0] - at)
    return ages


def _spread(ages: list[float]) -> str:
    ordered = sorted(ages)
    return f"median {statistics.median(ordered):.2f} s, longest {ordered[-1]:.2f} s"


def _answers(pressed: list[float], moves: list[float], cursors: list[float]) -> list[float]:
    """Return the milliseconds from each key until the terminal has the cursor at its new place.

    Every key moves the cursor, so the app's moves are the keys in their order.
    """
    moves = [at for at in moves if at >= pressed[0]]
    assert len(moves) == len(pressed), (len(moves), len(pressed))
    answers = []
    for key, moved in zip(pressed, moves, strict=True):
        shown = next((at for at in cursors if at >= moved), None)
        if shown is not None:
            answers.append((shown - key) * 1000)
    return sorted(answers)


def _last(out: Path, kind: str) -> int:
    return next((int(line.split()[3]) for line in reversed(out.read_text().splitlines()) if f" {kind} " in line), 0)


def _feed(box: Path, emitted: list[float], over: threading.Event) -> None:
    """Emit spans, twenty in a stage, with different names, a thousand events a second."""
    outbox, began = Outbox(box), time.monotonic()
    for number, (span_id, event_type, parent) in enumerate(_told()):
        ahead = number / RATE - (time.monotonic() - began)
        if ahead > 0.005:
            time.sleep(ahead)
        data = {"job_id": span_id, "queue": "loans", "worker": "worker-1.host-7"}
        event = new_event(trace_id="load", span_id=span_id, event_type=event_type, parent_span_id=parent, data=data)
        outbox.append([event])
        emitted.append(time.monotonic())
    over.set()


def _told() -> Iterator[tuple[str, str, str]]:
    stage = "root"
    for number in range(RATE * SECONDS // 2):
        if number % 20 == 0:
            stage = f"stage-{number:06}"
            yield stage, f"stage:{number:06}:started", "root"
            yield stage, f"stage:{number:06}:completed", "root"
        else:
            yield f"job-{number:06}", f"job {number:06}:started", stage
            yield f"job-{number:06}", f"job {number:06}:completed", stage


def hanging() -> None:
    """Measure the same jobs with the mirror off, up, and accepting but never answering, in turns."""
    with TcpRedis() as redis, socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        mute = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        found: dict[str, list[float]] = {"off": [], "up": [], "hanging": []}
        for _ in range(3):
            for name, mirror in (("off", ""), ("up", redis.url), ("hanging", mute)):
                found[name] += _job_times(redis, mirror)
        base = statistics.median(found["off"])
        modes = "; ".join(
            f"{name} {statistics.median(times):.1f} ms (×{statistics.median(times) / base:.2f}), "
            f"95th {_percentile(sorted(times), 95):.1f} ms"
            for name, times in found.items()
        )
        print(f"a job of three events, from its start to its end, by its own events, mirror {modes}", flush=True)


def _job_times(redis: TcpRedis, mirror: str) -> list[float]:
    with tempfile.TemporaryDirectory() as name, Redis.from_url(redis.url) as client:
        directory = Path(name)
        store = open_store(f"sqlite:///{directory}/traces.db")
        store.append([])
        with workers(1, redis, worker_environment(store.label, mirror), directory):
            until(lambda: client.smembers("rq:workers"), "the worker")
            queue = Queue("bench", connection=client)
            for number in range(12):
                meta = trace_meta(TraceContext.new(f"saga-{number:03}"))
                queue.enqueue("step_saga.step", 3, meta=meta)  # the last step
            until(lambda: not queue.count and not queue.started_job_registry.count, "that all is done", 120)
            stored = until(lambda: _settled(store), "that all is stored")
        store.close()
        client.delete("rq:workers")
    return list(_spans(stored))


def _spans(stored: Iterable[TraceEvent]) -> Iterator[float]:
    starts = {event.span_id: event.micros for event in stored if event.event_type == "job:started"}
    for event in stored:
        if event.event_type == "job:completed":
            yield (event.micros - starts[event.span_id]) / 1000


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def main() -> None:
    """Print the chosen measurements, by default all."""
    wanted = sys.argv[1:] or ["sagas", "load", "hanging"]
    if "sagas" in wanted:
        sagas(mirrored=True)
        sagas(mirrored=False)
    if "load" in wanted:
        load()
    if "hanging" in wanted:
        hanging()


if __name__ == "__main__":
    main()
