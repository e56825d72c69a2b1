"""The reconciler: what it concludes from a real Redis, what it leaves alone, and that it only reads there."""

from __future__ import annotations

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
from sagatrace.rq.job_lookup import place_of_redis, url_of_redis
from sagatrace.rq.queue import TracedQueue
from sagatrace.rq.reconciler import Reconciler
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.demo.workers import worker_command, worker_environment

XID = "0" * 32


class Field:
    """A store, a queue, and a reconciler without patience."""

    def __init__(self, redis: Redis) -> None:
        self.store, self.redis = MemoryStore(), redis
        self.tracer = Tracer(self.store)
        queue_class: type[TracedQueue] = type("Told", (TracedQueue,), {"tracer": self.tracer})
        self.queue = queue_class("field", connection=redis).under(TraceContext("T"))
        self.reconciler = Reconciler(self.store, self.store, redis, grace=0)

    def started(self, *, redis: str | None = None, expires: float | None = None, status: str = "started") -> Any:
        """A job whose worker told that it began; then nothing more."""
        job = self.queue.enqueue(fates.succeed)
        self.redis.lpop(self.queue.key)
        job.set_status(JobStatus(status))
        data = {"job_id": job.id, "queue": "field", "attempt": 1, "redis": redis or place_of_redis(self.redis)}
        self.tracer.emit("job:started", TraceContext("T"), span_id=job.id, event_id=f"{XID}:start", data=data)
        if expires is not None:
            self.redis.zadd(self.queue.started_job_registry.key, {f"{job.id}:{XID}": expires})
        return job

    def told(self, job: Any) -> list[str]:
        events = sorted(self.store.fetch_trace("T").events, key=lambda event: event.micros)
        return [
            event.event_type.removeprefix("job:") + "?" * (event.data.get("presumed") is True)
            for event in events
            if event.span_id == job.id
        ]


@pytest.fixture
def field(redis: Redis) -> Field:
    return Field(redis)


def test_what_runs_or_waits_is_left_alone(field: Field) -> None:
    running, waiting = field.started(expires=time.time() + 100), field.queue.enqueue(fates.succeed)
    assert field.reconciler.look() == 0
    assert (field.told(running), field.told(waiting)) == (["enqueued", "started"], ["enqueued"])


def test_what_rq_gave_up_is_abandoned_once(field: Field) -> None:
    job = field.started(expires=time.time() - 100)
    assert [field.reconciler.look() for _ in range(3)] == [1, 0, 0]
    assert field.told(job) == ["enqueued", "started", "abandoned?"]
    end = field.store.fetch_trace("T").events[-1]
    assert end.data["reason"] == "no sign of life from its worker: RQ still holds it for running"


@pytest.mark.parametrize(
    ("status", "phase"),
    [("failed", "failed?"), ("finished", "completed?"), ("queued", "retrying?"), ("stopped", "stopped?")],
)
def test_an_execution_that_is_over_ended_as_the_job_stands(field: Field, status: str, phase: str) -> None:
    job = field.started(status=status)
    assert field.reconciler.look() == 1
    assert field.told(job) == ["enqueued", "started", phase]


def test_a_job_that_is_gone_is_not_called_a_success(field: Field) -> None:
    job = field.started()
    field.redis.flushall()
    field.reconciler.look()
    assert field.told(job) == ["enqueued", "started", "abandoned?"]


def test_what_was_seen_stays_and_replaces_what_was_presumed(field: Field) -> None:
    job = field.started(expires=time.time() - 100)
    field.reconciler.look()
    field.tracer.emit(
        "job:completed", TraceContext("T"), span_id=job.id, event_id=f"{XID}:end", data={"job_id": job.id}, replace=True
    )
    assert field.told(job) == ["enqueued", "started", "completed"]
    other = Reconciler(field.store, field.store, field.redis, grace=0)
    assert other.look() == 0


def test_the_jobs_of_another_redis_are_none_of_its_business(field: Field) -> None:
    field.started(redis="elsewhere:6379/0")
    assert field.reconciler.look() == 0


def test_nothing_is_concluded_before_it_was_quiet_for_a_while(field: Field) -> None:
    field.started(expires=time.time() - 100)
    assert Reconciler(field.store, field.store, field.redis, grace=60).look() == 0


def test_a_cancelled_job_is_told_and_only_once(field: Field) -> None:
    job = field.queue.enqueue(fates.succeed)
    assert field.reconciler.look() == 0
    job.cancel()
    assert [field.reconciler.look() for _ in range(2)] == [1, 0]
    assert field.told(job) == ["enqueued", "canceled?"]


def test_it_only_reads(field: Field) -> None:
    """Every key is as before, and what it asked are reading commands."""
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


def test_trouble_is_logged_once_and_ends_with_it(
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
    until(lambda: field.told(job)[-1] == "abandoned?", "the end is told")
    stop.set()
    thread.join(120)
    assert caplog.text.count("cannot be looked for now") == 1


@pytest.mark.parametrize(
    ("options", "place", "url"),
    [
        ({"host": "redis.example", "port": 6380, "db": 3}, "redis.example:6380/3", "redis://redis.example:6380/3"),
        (
            {"host": "r.example", "username": "me", "password": "a/b", "ssl": True},
            "r.example:6379/0",
            "rediss://me:a%2Fb@r.example:6379/0",
        ),
        ({"unix_socket_path": "/run/a b.sock"}, ":/run/a b.sock/0", "unix:///run/a%20b.sock?db=0"),
        ({"host": "old.example", "protocol": 2}, "old.example:6379/0", "redis://old.example:6379/0?protocol=2"),
        ({"unix_socket_path": "/a", "protocol": 2}, ":/a/0", "unix:///a?db=0&protocol=2"),
    ],
)
def test_a_redis_is_named_without_its_secret_and_reached_again(options: Any, place: str, url: str) -> None:
    client = Redis(**options)
    assert str(place_of_redis(client)).endswith(place)
    assert "a/b" not in str(place_of_redis(client))
    assert url_of_redis(client) == url
    again = Redis.from_url(url)
    assert place_of_redis(again) == place_of_redis(client)
    for name in ("username", "password", "protocol"):
        assert again.connection_pool.connection_kwargs.get(name) == client.connection_pool.connection_kwargs.get(name)


def test_a_worker_s_shipper_looks_after_lost_jobs(
    redis: Redis, redis_server: str, tmp_path: Path, until: Callable[..., Any]
) -> None:
    """Told nothing but to run a worker: the shipper beside it learns of its Redis, and finds a cancelled job."""
    url = f"sqlite:///{tmp_path}/traces.db"
    queue_class: type[TracedQueue] = type("Told", (TracedQueue,), {"tracer": Tracer(url)})
    job = queue_class("never-taken", connection=redis).under(TraceContext("T")).enqueue(fates.succeed)
    job.cancel()

    def told() -> list[str]:
        store = open_store(url, read_only=True)
        found = [event.event_type for event in store.fetch_trace("T").events]
        store.close()
        return found

    command = worker_command(redis_server, "--quiet", "another-queue")
    environment = worker_environment(url) | {"SAGATRACE_RECONCILE": "0.3"}
    with subprocess.Popen(command, env=environment) as worker:
        until(lambda: "job:canceled" in told(), "the end of the job")
        worker.terminate()
    assert worker.returncode == 0
    assert told() == ["job:enqueued", "job:canceled"]


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
