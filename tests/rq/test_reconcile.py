"""The reconciler: the ends that it concludes from a real Redis, the jobs that it skips, and that it only reads."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fates
import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis
from rq import Queue
from rq.job import JobStatus

from sagatrace import TraceContext, Tracer, open_store
from sagatrace.rq.queue import TracedQueue
from sagatrace.rq.reconciler import Reconciler
from sagatrace.rq.redis_address import place_of_redis
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.demo.workers import worker_command, worker_environment

XID = "0" * 32


class Field:
    """A store, a queue, and a reconciler without a grace period."""

    def __init__(self, redis: Redis) -> None:
        self.store, self.redis = MemoryStore(), redis
        self.tracer = Tracer(self.store)
        queue_class: type[TracedQueue] = type("StoredQueue", (TracedQueue,), {"tracer": self.tracer})
        self.queue = queue_class("field", connection=redis).under(TraceContext("T"))
        self.reconciler = Reconciler(self.store, self.store, redis, grace=0)

    def started(
        self,
        *,
        redis: str | None = None,
        host: str = "",
        expires: float | None = None,
        status: str = "started",
        **options: Any,
    ) -> Any:
        """Record the start of a job, without an end."""
        job = self.queue.enqueue(fates.succeed, **options)
        self.redis.lpop(self.queue.key)
        job.set_status(JobStatus(status))
        data = {"job_id": job.id, "queue": "field", "attempt": 1, "redis": redis or place_of_redis(self.redis)}
        data["host"] = host or socket.gethostname()
        self.tracer.emit("job:started", TraceContext("T"), span_id=job.id, event_id=f"{XID}:start", data=data)
        if expires is not None:
            self.redis.zadd(self.queue.started_job_registry.key, {f"{job.id}:{XID}": expires})
        return job

    def phases(self, job: Any) -> list[str]:
        events = sorted(self.store.fetch_trace("T").events, key=lambda event: event.micros)
        return [
            event.event_type.removeprefix("job:") + "?" * (event.data.get("presumed") is True)
            for event in events
            if event.span_id == job.id
        ]


@pytest.fixture
def field(redis: Redis) -> Field:
    return Field(redis)


def test_running_and_waiting_jobs_are_skipped(field: Field) -> None:
    running, waiting = field.started(expires=time.time() + 100), field.queue.enqueue(fates.succeed)
    assert field.reconciler.look() == 0
    assert (field.phases(running), field.phases(waiting)) == (["enqueued", "started"], ["enqueued"])


def test_a_job_that_rq_gave_up_is_abandoned_once(field: Field) -> None:
    job = field.started(expires=time.time() - 100)
    assert [field.reconciler.look() for _ in range(3)] == [1, 0, 0]
    assert field.phases(job) == ["enqueued", "started", "abandoned?"]
    end = field.store.fetch_trace("T").events[-1]
    assert end.data["reason"] == "no sign of life from its worker: RQ still holds it for running"


@pytest.mark.parametrize(
    ("status", "phase"),
    [("failed", "failed?"), ("finished", "completed?"), ("queued", "retrying?"), ("stopped", "stopped?")],
)
def test_an_ended_execution_has_the_outcome_of_its_job(field: Field, status: str, phase: str) -> None:
    job = field.started(status=status)
    assert field.reconciler.look() == 1
    assert field.phases(job) == ["enqueued", "started", phase]


def test_a_job_that_is_gone_is_not_called_a_success(field: Field) -> None:
    job = field.started()
    field.redis.flushall()
    field.reconciler.look()
    assert field.phases(job) == ["enqueued", "started", "abandoned?"]


def test_an_observed_end_stays_and_replaces_a_presumed_one(field: Field) -> None:
    job = field.started(expires=time.time() - 100)
    field.reconciler.look()
    field.tracer.emit(
        "job:completed", TraceContext("T"), span_id=job.id, event_id=f"{XID}:end", data={"job_id": job.id}, replace=True
    )
    assert field.phases(job) == ["enqueued", "started", "completed"]
    other = Reconciler(field.store, field.store, field.redis, grace=0)
    assert other.look() == 0


def test_the_jobs_of_another_redis_are_skipped(field: Field) -> None:
    field.started(redis="elsewhere:6379/0")
    assert field.reconciler.look() == 0


def test_no_end_is_concluded_before_the_grace_period(field: Field) -> None:
    field.started(expires=time.time() - 100)
    assert Reconciler(field.store, field.store, field.redis, grace=60).look() == 0


def test_a_cancelled_job_is_recorded_once(field: Field) -> None:
    job = field.queue.enqueue(fates.succeed)
    assert field.reconciler.look() == 0
    job.cancel()
    assert [field.reconciler.look() for _ in range(2)] == [1, 0]
    assert field.phases(job) == ["enqueued", "canceled?"]


def test_it_only_reads(field: Field) -> None:
    """All keys are unchanged, and all its commands only read."""
    field.started(expires=time.time() - 100)
    Queue("field", connection=field.redis).enqueue(fates.succeed)

    before = {key: field.redis.dump(key) for key in field.redis.scan_iter()}
    field.redis.config_resetstat()
    assert field.reconciler.look() == 1
    asked = {name.removeprefix("cmdstat_") for name in field.redis.info("commandstats")}
    assert asked - {"client|setinfo", "client|setname", "config|resetstat"} <= {
        "zscore",
        "hmget",
        "xrevrange",
        "info",
        "config",
        "client",
    }
    assert {key: field.redis.dump(key) for key in field.redis.scan_iter()} == before


def test_a_fault_is_logged_once_and_looks_continue_after_it(
    field: Field, caplog: pytest.LogCaptureFixture, until: Callable[..., Any]
) -> None:
    job, stop = field.started(expires=time.time() - 100), threading.Event()
    healthy, calls = field.store.search, []

    def search(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) < 4:
            raise RedisConnectionError("no answer")
        return healthy(*arguments)

    field.store.search = search  # type: ignore[method-assign]
    thread = threading.Thread(target=field.reconciler.follow, args=(stop,), kwargs={"every": 0.01})
    thread.start()
    until(lambda: field.phases(job)[-1] == "abandoned?", "the recorded end")
    stop.set()
    thread.join(120)
    assert caplog.text.count("the search for lost jobs failed, retrying") == 1


class Looker(Reconciler):
    """Counts its looks, and finds nothing."""

    looks = 0

    def look(self) -> int:
        self.looks += 1
        return 0


def test_without_the_right_to_write_every_process_looks_and_says_so(
    redis: Redis, redis_server: str, until: Callable[..., object], caplog: pytest.LogCaptureFixture
) -> None:
    redis.execute_command("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@all", "-@write")
    reader, stop = Redis.from_url(redis_server, username="reader"), threading.Event()
    lookers = [Looker(MemoryStore(), MemoryStore(), reader) for _ in range(2)]
    threads = [threading.Thread(target=one.follow, args=(stop,), kwargs={"every": 0.05}) for one in lookers]
    for thread in threads:
        thread.start()
    until(lambda: min(looker.looks for looker in lookers) >= 3, "looks of both")
    stop.set()
    for thread in threads:
        thread.join(60)
    redis.execute_command("ACL", "DELUSER", "reader")
    assert caplog.text.count("every process searches for lost jobs") == len(lookers)


def test_of_all_processes_that_share_a_store_and_a_redis_one_looks(redis: Redis, until: Callable[..., object]) -> None:
    store, stops = MemoryStore(), [threading.Event() for _ in range(3)]
    lookers = [Looker(store, store, redis) for _ in stops]
    threads = [
        threading.Thread(target=looker.follow, args=(stop,), kwargs={"every": 0.05}, daemon=True)
        for looker, stop in zip(lookers, stops, strict=True)
    ]
    for thread in threads:
        thread.start()
    until(lambda: max(looker.looks for looker in lookers) >= 10, "ten looks of one")
    [first] = [number for number, looker in enumerate(lookers) if looker.looks]
    stops[first].set()
    threads[first].join(60)
    rest = [looker for number, looker in enumerate(lookers) if number != first]
    until(lambda: any(looker.looks for looker in rest), "a look of another")
    for stop, thread in zip(stops, threads, strict=True):
        stop.set()
        thread.join(60)
    assert redis.keys("sagatrace:lost-jobs:*") == []


def test_a_process_that_cannot_write_the_key_looks_as_well(redis: Redis, until: Callable[..., object]) -> None:
    class Refusing:
        def set(self, *_: Any, **__: Any) -> None:
            raise RedisConnectionError("NOPERM")

    looker, stop = Looker(MemoryStore(), MemoryStore(), redis), threading.Event()
    looker._redis = Refusing()  # type: ignore[assignment]
    thread = threading.Thread(target=looker.follow, args=(stop,), kwargs={"every": 0.01}, daemon=True)
    thread.start()
    until(lambda: looker.looks >= 2, "two looks")
    stop.set()
    thread.join(60)


def place_of_another_pod(field: Field, host: str = "pod-1") -> str:
    return str(place_of_redis(field.redis)).replace(socket.gethostname(), host, 1)


def test_a_job_that_began_under_another_host_name_is_found(field: Field) -> None:
    """As after a restart of a pod with a local Redis that kept its data."""
    job = field.started(expires=time.time() - 100, redis=place_of_another_pod(field), host="pod-1")
    assert field.reconciler.look() == 1
    assert field.phases(job) == ["enqueued", "started", "abandoned?"]


@pytest.mark.parametrize("gone", ["the job", "the execution"])
def test_no_end_is_concluded_for_jobs_of_another_host_s_local_redis(
    field: Field, gone: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that this Redis does not know, or knows only by an id of the user, which another job may have."""
    options: dict[str, Any] = {} if gone == "the job" else {"job_id": "nightly"}
    job = field.started(redis=place_of_another_pod(field), host="pod-1", status="failed", **options)
    if gone == "the job":
        field.redis.flushall()
    assert [field.reconciler.look() for _ in range(2)] == [0, 0]
    assert field.phases(job) == ["enqueued", "started"]
    assert [record.getMessage() for record in caplog.records] == [
        "this Redis does not know jobs that began with the local Redis of pod-1: no end is recorded for them"
    ]


def test_a_redis_with_the_same_port_on_another_host_is_another_redis(field: Field) -> None:
    field.started(expires=time.time() - 100, redis=place_of_another_pod(field, "redis.example"), host="pod-1")
    assert field.reconciler.look() == 0


def test_without_a_name_for_its_redis_it_logs_that_it_cannot_look(
    field: Field, caplog: pytest.LogCaptureFixture
) -> None:
    field.started(expires=time.time() - 100)
    field.redis.connection_pool.connection_kwargs.pop("path")
    reconciler = Reconciler(field.store, field.store, field.redis, grace=0)
    assert [reconciler.look() for _ in range(2)] == [0, 0]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["lost jobs are not searched for"]


def test_a_worker_s_shipper_looks_after_lost_jobs(
    redis: Redis, redis_server: str, tmp_path: Path, until: Callable[..., Any]
) -> None:
    """Without settings, the shipper of a worker learns the worker's Redis, and finds a cancelled job."""
    url = f"sqlite:///{tmp_path}/traces.db"
    queue_class: type[TracedQueue] = type("StoredQueue", (TracedQueue,), {"tracer": Tracer(url)})
    job = queue_class("never-taken", connection=redis).under(TraceContext("T")).enqueue(fates.succeed)
    job.cancel()

    def phases() -> list[str]:
        store = open_store(url, read_only=True)
        found = [event.event_type for event in store.fetch_trace("T").events]
        store.close()
        return found

    command = worker_command(redis_server, "--quiet", "another-queue")
    environment = worker_environment(url) | {"SAGATRACE_RECONCILE": "0.3"}
    with subprocess.Popen(command, env=environment) as worker:
        try:
            until(lambda: "job:canceled" in phases(), "the end of the job")
        finally:
            worker.terminate()
    assert worker.returncode == 0
    assert phases() == ["job:enqueued", "job:canceled"]


@pytest.mark.parametrize("setting", ["nonsense", "-1", "nan"])
def test_a_wrong_interval_is_named(setting: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sagatrace.shipper", "--follow", "--while-used", str(tmp_path / "outbox")],
        env=worker_environment(f"sqlite:///{tmp_path}/traces.db") | {"SAGATRACE_RECONCILE": setting},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert f"SAGATRACE_RECONCILE={setting!r}" in done.stderr
