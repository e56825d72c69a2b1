"""What tracing costs RQ's forking worker: jobs that do nothing, two events each.

    python tests/benchmarks/bench_worker.py

Jobs a second of `rq worker --burst` as RQ has it, traced by way of the outbox, and traced into SQLite directly, in
turn, several rounds; the first job's start to the last one's end, so without the start of the process.
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

JOBS = 300
ROUNDS = 5
WAYS = {
    "rq.Worker": ("rq.Worker", {}),
    "traced, outbox": ("sagatrace.rq.Worker", {}),
    "traced, SQLite directly": ("sagatrace.rq.Worker", {"SAGATRACE_OUTBOX": "off"}),
}


def jobs_a_second(redis: Redis, url: str, worker_class: str, settings: dict[str, str]) -> float:
    redis.flushall()
    queue = Queue("bench", connection=redis)
    jobs = [queue.enqueue("time.time") for _ in range(JOBS)]
    with tempfile.TemporaryDirectory() as directory:
        environment = worker_environment(f"sqlite:///{Path(directory)}/traces.db") | settings
        command = [sys.executable, "-P", "-m", "rq.cli", "worker", "-u", url, "-w", worker_class, "--burst", "--quiet"]
        subprocess.run([*command, "bench"], env=environment, check=True, timeout=120, stderr=subprocess.DEVNULL)
    moments = [(job.started_at, job.ended_at) for job in jobs if job.refresh() is None]
    first = min(start for start, _ in moments if start)
    last = max(end for _, end in moments if end)
    return len(moments) / (last - first).total_seconds()


def main() -> None:
    directory = short_directory("sagatrace-bench-")
    try:
        with RedisServer(directory) as server, Redis.from_url(server.url) as redis:
            rates: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(ROUNDS):
                for way, (worker_class, settings) in WAYS.items():
                    rates[way].append(jobs_a_second(redis, server.url, worker_class, settings))
    finally:
        shutil.rmtree(directory)
    base = statistics.median(rates["rq.Worker"])
    for way, found in rates.items():
        middle = statistics.median(found)
        cost = (1 / middle - 1 / base) * 1000
        print(f"{way:26} {middle:7.1f} jobs/s   {middle / base:6.3f} of rq.Worker   {cost:+.3f} ms a job")


if __name__ == "__main__":
    main()
