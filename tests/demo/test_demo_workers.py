"""The demo's worker group: real `rq worker` processes, without work-horses that outlive them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis
from rq import Queue
from rq import Worker as RqWorker
from rq.job import JobStatus

from sagatrace import TraceContext, trace_meta
from sagatrace.stores import open_store
from sagatrace_tui.demo.loan_saga import STEPS, Loan, notify_customer
from sagatrace_tui.demo.workers import WorkerGroup, await_last_worker
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace

Until = Callable[..., Any]


@pytest.fixture
def workers(redis_server: str, tmp_path: Path) -> Iterator[WorkerGroup]:
    group = WorkerGroup(redis_server, f"sqlite:///{tmp_path}/traces.db", tmp_path)
    yield group
    group.stop()
    assert await_last_worker(tmp_path, timeout=120)


def busy_horse(redis: Redis, worker: psutil.Process, until: Until) -> psutil.Process:
    """Return the work-horse of a long job. A starting worker has other, short-lived children."""
    job = Queue(STEPS, connection=redis).enqueue("time.sleep", 600, job_timeout=900)
    until(lambda: job.get_status() == JobStatus.STARTED, "a step that has started")
    (horse,) = (child for child in worker.children() if "sagatrace.shipper" not in child.cmdline())
    return horse


def test_stop_ends_a_busy_work_horse(redis: Redis, workers: WorkerGroup, until: Until, tmp_path: Path) -> None:
    """A job of ten minutes does not delay the end."""
    worker = psutil.Process(workers.start("one", STEPS))
    horse = busy_horse(redis, worker, until)
    workers.stop()
    assert not worker.is_running()
    assert not horse.is_running()
    assert await_last_worker(tmp_path, timeout=120)


def test_the_group_waits_for_an_orphaned_work_horse(
    redis: Redis, workers: WorkerGroup, until: Until, tmp_path: Path
) -> None:
    """A killed worker leaves its work-horse, which is tracked until it ends as well."""
    worker = psutil.Process(workers.start("one", STEPS))
    horse = busy_horse(redis, worker, until)
    worker.kill()
    workers.stop()
    assert not await_last_worker(tmp_path, timeout=0)
    horse.kill()
    assert await_last_worker(tmp_path, timeout=120)


def test_an_ended_worker_is_named_with_its_last_output(
    redis: Redis, redis_server: str, workers: WorkerGroup, until: Until, tmp_path: Path
) -> None:
    """RQ refuses two workers with one name, and the group reports the reason."""
    workers.start("twin", STEPS)
    until(lambda: RqWorker.count(connection=redis), "a worker that is registered")
    assert workers.fault() is None
    other = WorkerGroup(redis_server, f"sqlite:///{tmp_path}/traces.db", tmp_path)
    other.start("twin", STEPS)
    fault = until(other.fault, "word of the loss")
    other.stop()
    assert fault == "worker twin ended with status 1: ValueError: There exists an active worker named 'twin' already"


def test_stopped_group_starts_no_worker(redis_server: str, tmp_path: Path) -> None:
    """After `stop`, the group could not report the worker's end."""
    group = WorkerGroup(redis_server, f"sqlite:///{tmp_path}/traces.db", tmp_path)
    group.stop()
    with pytest.raises(ValueError, match="worker late cannot start: this group was stopped"):
        group.start("late", STEPS)


def test_burst_worker_writes_one_step(
    redis: Redis, redis_server: str, work_off: Callable[..., str], tmp_path: Path
) -> None:
    """A job enqueued with a context, run by `rq worker --burst`, is a span of that trace."""
    url = f"sqlite:///{tmp_path}/traces.db"
    context = TraceContext("loan-L1", "parent")
    job = Queue(STEPS, connection=redis).enqueue(notify_customer, Loan("L1", 1), meta=trace_meta(context))
    work_off(redis_server, url, STEPS)
    store = open_store(url, read_only=True)
    trace = build_trace("loan-L1", store.fetch_trace("loan-L1").events, now=wall_clock())
    store.close()
    assert [(span.span_id, span.parent_id, span.status) for span in trace.spans.values()] == [
        (job.id, "parent", "success")
    ]
