"""Work in greenlets of gevent stays in the trace of its job, on real workers that gevent patched.

`test_every_worker` has greenlets in workers that are not patched.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import greenlet_jobs
import pytest
from redis import Redis
from rq import Queue

from sagatrace import open_store, trace_meta
from sagatrace_tui.demo.workers import worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace
from servers import TcpRedis

HERE = Path(__file__).parent


@pytest.mark.parametrize("kind", ["Worker", "SimpleWorker", "SpawnWorker"])
def test_steps_in_greenlets_belong_to_their_saga(tmp_path: Path, kind: str, either_rq: dict[str, str]) -> None:
    with TcpRedis() as server, Redis.from_url(server.url) as redis:
        check(redis, server.url, tmp_path, kind, either_rq)


def check(redis: Redis, redis_url: str, tmp_path: Path, kind: str, rq_environment: dict[str, str]) -> None:
    queue = Queue("green", connection=redis)
    queue.enqueue(greenlet_jobs.books, meta=trace_meta("T"), job_id="trip")
    known = queue.enqueue(greenlet_jobs.knows)
    options = ["worker", "--burst", "-u", redis_url, "-w", f"sagatrace.rq.{kind}", "--path", str(HERE), "green"]
    environment = worker_environment(f"sqlite:///{tmp_path}/traces.db") | rq_environment
    command = [sys.executable, "-m", "gevent.monkey", "--module", "rq.cli", *options]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert known.get_status(refresh=True) == "finished", said.stderr
    with closing(open_store(f"sqlite:///{tmp_path}/traces.db", read_only=True)) as store:
        trace = build_trace("T", store.fetch_trace("T").events, now=wall_clock())
    assert (trace.verdict, trace.cause and trace.cause.name) == ("rolled_back", "step:car"), said.stderr
    assert [len(trace.compensations), trace.still_standing] == [2, ()]
