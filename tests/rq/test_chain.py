"""Hundreds of jobs, each the child of the one before, on four workers whose work-horses are killed at random."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fates
import psutil
import pytest
from redis import Redis
from rq import Retry

from sagatrace import TraceContext, Tracer, open_store
from sagatrace.rq.queue import TracedQueue
from sagatrace_tui.demo.workers import worker_command, worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace
from scale import examples
from servers import end_worker, work_off

HERE = Path(__file__).parent
CHAINS, LINKS, KILLED = 8, examples(25, heavy=125), examples(10, heavy=50)


@pytest.fixture
def workers(redis_server: str, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    environment = worker_environment(f"sqlite:///{tmp_path}/traces.db")
    command = worker_command(redis_server, "--quiet", "--path", str(HERE), "chain")
    with (tmp_path / "workers.log").open("wb") as log:
        running = [subprocess.Popen(command, env=environment, stderr=log, stdout=log) for _ in range(4)]
        yield running
        assert [end_worker(worker, tmp_path / "workers.log") for worker in running] == [0] * 4


def kill_one(workers: list[subprocess.Popen[bytes]], chance: random.Random) -> bool:
    """Kill the work-horse of one of the workers at any moment. Return False if it has none now."""
    worker = psutil.Process(chance.choice(workers).pid)
    try:
        horses = [child for child in worker.children() if "sagatrace.shipper" not in child.cmdline()]
        for horse in horses:
            os.kill(horse.pid, signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
    return bool(horses)


def test_every_span_is_closed_and_the_tree_is_complete(
    redis: Redis,
    redis_server: str,
    workers: list[subprocess.Popen[bytes]],
    until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    class Queue(TracedQueue):
        tracer = Tracer(f"sqlite:///{tmp_path}/traces.db")

    queue = Queue("chain", connection=redis)
    for chain in range(CHAINS):
        first = {"job_id": f"link-{chain}-1", "retry": Retry(max=9)}
        queue.under(TraceContext("T")).enqueue(fates.link, chain, 1, LINKS, **first)
    finished, chance = queue.finished_job_registry.key, random.Random(8)
    for number in range(KILLED):
        mark = number * CHAINS * LINKS // KILLED
        until(lambda mark=mark: redis.zcard(finished) >= mark, f"{mark} jobs done", timeout=300)
        until(lambda: kill_one(workers, chance), "a work-horse to kill")
    until(lambda: redis.zcard(finished) == CHAINS * LINKS, "all jobs done", timeout=300)
    for worker in workers:
        end_worker(worker, tmp_path / "workers.log")
    work_off(redis_server, f"sqlite:///{tmp_path}/traces.db", "chain")  # and all events are in the store
    with sqlite3.connect(tmp_path / "traces.db") as connection:
        ids = [event_id for (event_id,) in connection.execute("SELECT id FROM event WHERE trace_id = 'T'")]
    connection.close()
    assert len(ids) == len(set(ids))
    _check(tmp_path)


def _check(directory: Path) -> None:
    store = open_store(f"sqlite:///{directory}/traces.db", read_only=True)
    events = store.fetch_trace("T").events
    store.close()
    starts = Counter(event.id[:-6] for event in events if event.id.endswith(":start"))
    ends = Counter(event.id[:-4] for event in events if event.id.endswith(":end"))
    assert starts == ends
    trace = build_trace("T", events, now=wall_clock())
    names = {f"link-{chain}-{place}" for chain in range(CHAINS) for place in range(1, LINKS + 1)}
    assert set(trace.spans) == names
    unsuccessful = [event for span in trace.spans.values() if span.status != "success" for event in span.events]
    assert unsuccessful == []
    assert set(trace.roots) == {f"link-{chain}-1" for chain in range(CHAINS)}
    for name in names - set(trace.roots):
        chain, place = name.removeprefix("link-").split("-")
        assert trace.spans[name].parent_id == f"link-{chain}-{int(place) - 1}"
    killed = [event for event in events if "signal 9" in str(event.data.get("reason"))]
    print(f"{len(events)} events, {len(killed)} work-horses killed before their job was over")
    assert 0 < len(killed) <= KILLED
