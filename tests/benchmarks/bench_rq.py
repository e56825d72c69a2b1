"""The cost of tracing for a worker: empty jobs with two events each, traced and untraced.

    python tests/benchmarks/bench_rq.py [ROUNDS]

One process has a plain and a traced worker for the same Redis, with the loop of RQ's `work`. Redis uses one processor
and the workers another, because the kernel's placement would dominate the result. In each round both workers run the
same number of jobs, in random order, so that other load affects both equally. A round's ratio is the ratio of the two
rates, and the process's ratio is the median of all rounds. The layout of memory differs between processes and changes
the ratio by up to 0.02, so the result is the median of several processes, beside the lowest and the highest.

`shipping`: a shipper runs, as beside a real worker. On a machine with few cores it competes with Redis and the worker.
`otel`: the program has loaded OpenTelemetry, so that each event looks for its current span. In the other lines the
installed OpenTelemetry is hidden, because redis loads it wherever it finds it. Processor time counts only the worker
and its work-horses.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rq
from redis import Redis

import sagatrace.rq
from sagatrace import Tracer
from sagatrace.outbox import Outbox

sys.path.insert(0, str(Path(__file__).parents[1]))
from servers import TcpRedis

PROCESSES = 5
HIDE = "import sys; sys.modules['opentelemetry'] = None"
JOBS = {"Worker": 10, "SimpleWorker": 25}
"""Jobs in a round of each kind of worker."""


def made(kind: str, directory: Path, redis: Redis, *, shipping: bool) -> list[Any]:
    """Return the plain worker and the traced worker."""
    os.environ["SAGATRACE_STORE"] = f"sqlite:///{directory}/traces.db"
    traced = getattr(sagatrace.rq, kind)
    if not shipping:
        traced = type(kind, (traced,), {"tracer": Tracer(Outbox(directory / "outbox"))})
    workers = [worker_class(["bench"], connection=redis) for worker_class in (getattr(rq, kind), traced)]
    for worker in workers:
        worker.bootstrap(logging_level="ERROR")
    return workers


def seconds_for(worker: Any, redis: Redis, count: int) -> tuple[float, float]:
    """Run so many jobs. Return the seconds, and the seconds of processor time."""
    queue = rq.Queue("bench", connection=redis)
    queue.enqueue_many([queue.prepare_data("time.time", result_ttl=0) for _ in range(count)])
    spent, began = processor_time(), time.perf_counter()
    for _ in range(count):
        job, origin = worker.dequeue_job_and_maintain_ttl(None)
        worker.execute_job(job, origin)
        worker.heartbeat()
    return time.perf_counter() - began, processor_time() - spent


def processor_time() -> float:
    """Return the processor time of this process and of its ended work-horses, in seconds."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(kind: str, rounds: int, url: str, *, worker_on: int, shipping: bool) -> dict[str, float]:
    """Return the rates, their ratio, and the extra processor time of a job in microseconds."""
    count = JOBS[kind]
    with Redis.from_url(url) as redis, tempfile.TemporaryDirectory() as directory:
        redis.flushall()
        workers = made(kind, Path(directory), redis, shipping=shipping)
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {worker_on})  # not what they started beside themselves
        found: list[list[tuple[float, float]]] = [[], []]
        for _ in range(rounds):
            for which in random.sample((0, 1), 2):
                found[which].append(seconds_for(workers[which], redis, count))
        os.sched_setaffinity(0, everywhere)
        for worker in workers:
            worker.teardown()
    plain, traced = ([took for took, _ in half] for half in found)
    more = statistics.median(ours[1] - theirs[1] for theirs, ours in zip(*found, strict=True)) / count * 1e6
    ratio = statistics.median(before / after for before, after in zip(plain, traced, strict=True))
    before, after = (count / statistics.median(half) for half in (plain, traced))
    return {"untraced": before, "traced": after, "ratio": ratio, "more": more}


def measure_here(kind: str, rounds: int, setting: str) -> None:
    """Measure in this process, and print the result as JSON."""
    logging.getLogger("rq.worker").setLevel(logging.ERROR)
    with TcpRedis() as server:
        first, second, *_ = [*sorted(os.sched_getaffinity(0)), 0, 0]
        os.sched_setaffinity(server.process.pid, {first})
        print(json.dumps(measure(kind, rounds, server.url, worker_on=second, shipping=setting == "shipping")))


def main() -> None:
    """Print a line for each kind of worker: alone, with a shipper beside it, and with OpenTelemetry loaded."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for kind in JOBS:
        for setting in ("", "shipping", "otel"):
            call = f"import bench_rq; bench_rq.measure_here({kind!r}, {rounds}, {setting!r})"
            code = call if setting == "otel" else f"{HIDE}; {call}"
            runs = [json.loads(_output_of(code)) for _ in range(PROCESSES)]
            ratios = [run["ratio"] for run in runs]
            rates = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            print(
                f"{kind:13} {setting:8} jobs/s {rates['untraced']:6.1f} untraced {rates['traced']:6.1f} traced"
                f"  ratio {rates['ratio']:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
                f"  processor {rates['more']:+.0f} µs a job",
                flush=True,
            )


def _output_of(code: str) -> bytes:
    """Run Python code in a new process, in the directory of this file. Return its output."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
