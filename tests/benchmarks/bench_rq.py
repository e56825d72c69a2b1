"""What tracing costs a worker: jobs that do nothing, two events each, traced against untraced.

    python tests/benchmarks/bench_rq.py [ROUNDS]

Each round runs the same jobs on a plain and on a traced worker, one after the other in turns, both with a new store:
the ratio of their jobs a second is that round's, and the median of all rounds is the answer. Time runs from the
first job's start to the last one's end, so without the start of the process.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from redis import Redis
from rq import Queue

from sagatrace_tui.demo.redis_server import RedisServer, short_directory
from sagatrace_tui.demo.workers import worker_environment

KINDS = {"Worker": (400, 0.97), "SimpleWorker": (1500, 0.94)}


def jobs_a_second(redis: Redis, url: str, worker_class: str, count: int) -> float:
    """Run that many jobs and give the rate."""
    redis.flushall()
    queue = Queue("bench", connection=redis)
    jobs = queue.enqueue_many([Queue.prepare_data("time.time") for _ in range(count)])
    with tempfile.TemporaryDirectory() as directory:
        environment = worker_environment(f"sqlite:///{Path(directory)}/traces.db")
        command = [sys.executable, "-P", "-m", "rq.cli", "worker", "-u", url, "-w", worker_class, "--burst", "--quiet"]
        subprocess.run([*command, "bench"], env=environment, check=True, timeout=120, stderr=subprocess.DEVNULL)
    moments = [(job.started_at, job.ended_at) for job in jobs if job.refresh() is None]
    # Past the first few, in which the worker's shipper is starting beside it.
    first = sorted(start for start, _ in moments if start)[count // 10]
    last = max(end for _, end in moments if end)
    return (count - count // 10) / (last - first).total_seconds()


def main() -> None:
    """Print a line for each kind of worker."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    directory = short_directory("sagatrace-bench-")
    try:
        with RedisServer(directory) as server, Redis.from_url(server.url) as redis:
            for kind, (count, wanted) in KINDS.items():
                ways = (f"rq.{kind}", f"sagatrace.rq.{kind}")
                rates: dict[str, list[float]] = {way: [] for way in ways}
                for number in range(rounds):
                    for way in ways if number % 2 else reversed(ways):
                        rates[way].append(jobs_a_second(redis, server.url, way, count))
                plain, traced = (rates[way] for way in ways)
                ratios = [ours / theirs for theirs, ours in zip(plain, traced, strict=True)]
                low, middle, high = statistics.quantiles(ratios, n=4)
                before, after = statistics.median(plain), statistics.median(traced)
                cost = (1 / after - 1 / before) * 1e6
                print(
                    f"{kind:13} untraced {before:6.1f} jobs/s  traced {after:6.1f}  "
                    f"ratio {middle:.3f} (quartiles {low:.3f} {high:.3f}; wanted {wanted})  {cost:+.0f} µs a job",
                    flush=True,
                )
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
