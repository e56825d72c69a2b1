"""Every line that a job logs has the ids of its trace and span: on real workers, in spans, threads and coroutines."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import logging_jobs
import pytest
import rq
from redis import Redis
from rq import Queue

from sagatrace import TraceContext, trace_meta
from sagatrace_tui.demo.workers import worker_command, worker_environment
from servers import TcpRedis

HERE = Path(__file__).parent
LINES, SPANS = 20, 8  # of one job


@pytest.fixture(scope="module")
def tcp_redis() -> Iterator[str]:
    with TcpRedis() as server:
        yield server.url


@pytest.mark.parametrize("kind", ["Worker", "SimpleWorker", "SpawnWorker"])
def test_every_line_has_the_ids_of_its_span(tcp_redis: str, tmp_path: Path, kind: str) -> None:
    with Redis.from_url(tcp_redis) as redis:
        check(redis, tcp_redis, tmp_path, kind)


def check(redis: Redis, redis_url: str, tmp_path: Path, kind: str) -> None:
    queue = Queue("logs", connection=redis)
    jobs = [
        queue.enqueue(logging_jobs.logs_everywhere, job_id=name, meta=trace_meta(TraceContext("T"))) for name in "ab"
    ]
    options = ("-w", f"sagatrace.rq.{kind}")
    command = worker_command(redis_url, "--burst", "--path", str(HERE), *options, "logs")
    environment = worker_environment(f"sqlite:///{tmp_path}/t.db") | {
        "PYTHONPATH": str(HERE),
        "LOG_OF_JOBS": str(tmp_path / "jobs.log"),
    }
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert [job.get_status(refresh=True) for job in jobs] == ["finished"] * 2, said.stderr
    lines = [line for line in (tmp_path / "jobs.log").read_text().splitlines() if "import in" not in line]
    assert len(lines) == LINES * 2
    if kind == "SpawnWorker" and rq.__version__ < "3":  # runs no hook of ours: its threads know only the bound context
        lines = [line for line in lines if "thread-not-bound" not in line]
    wrong = [line for line in lines if line.split(" ")[:2] != [line.split(" ")[6], line.split(" ")[4]]]
    assert wrong == []
    assert len({line.split(" ")[1] for line in lines}) == 2 * SPANS
