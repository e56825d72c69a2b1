"""The memory and open files of a long-running worker: 20 000 jobs, measured every 2 000.

python tests/benchmarks/bench_rq_flat.py [JOBS]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil
from redis import Redis
from rq import Queue

from sagatrace_tui.demo.redis_server import RedisServer, short_directory
from sagatrace_tui.demo.workers import worker_environment


def shipper_of(worker: psutil.Process) -> str:
    """Return a line with the memory and open files of the worker's shipper, or nothing."""
    for child in worker.children():
        with suppress(psutil.NoSuchProcess):
            if "sagatrace.shipper" in child.cmdline():
                return f"shipper {child.memory_info().rss / 2**20:6.1f} MB {child.num_fds()} files"
    return ""


def watch(redis: Redis, url: str, worker_class: str, count: int) -> None:
    """Run the jobs, and print memory and open files of the worker and its shipper regularly."""
    redis.flushall()
    queue = Queue("flat", connection=redis)
    jobs = [Queue.prepare_data("time.time", result_ttl=0) for _ in range(1000)]
    for _ in range(count // 1000):
        queue.enqueue_many(jobs)
    with tempfile.TemporaryDirectory() as directory:
        environment = worker_environment(f"sqlite:///{Path(directory)}/traces.db")
        command = [sys.executable, "-P", "-m", "rq.cli", "worker", "-u", url, "-w", worker_class, "--burst", "--quiet"]
        worker = psutil.Popen([*command, "flat"], env=environment, stderr=subprocess.DEVNULL)
        pause, step = threading.Event(), count // 10
        for done in range(step, count, step):
            while worker.poll() is None and redis.llen(queue.key) > count - done:
                pause.wait(0.05)
            with worker.oneshot():
                memory, files = worker.memory_info().rss / 2**20, worker.num_fds()
            beside = shipper_of(worker)
            print(f"{worker_class:26} {done:6} jobs: {memory:6.1f} MB  {files} files  {beside}", flush=True)
        worker.wait(120)


def main() -> None:
    """Measure a worker without work-horses, and one with work-horses."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    directory = short_directory("sagatrace-flat-")
    try:
        with RedisServer(directory) as server, Redis.from_url(server.url) as redis:
            for worker_class in ("rq.SimpleWorker", "sagatrace.rq.SimpleWorker", "rq.Worker", "sagatrace.rq.Worker"):
                watch(redis, server.url, worker_class, count)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
