"""The context of a job is known wherever RQ runs the user's code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any

import odd_jobs
import pytest
from redis import Redis
from rq import Callback, Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from sagatrace import MemoryStore, TraceContext, Tracer, open_store, trace_meta
from sagatrace.context import Execution, current_execution
from sagatrace.rq import SimpleWorker, current_trace, foreign_meta, trace_of
from sagatrace.rq.job_place import WORK_HORSE
from sagatrace.rq.queue import TracedQueue
from sagatrace.rq.spawned import export_context
from sagatrace_tui.demo.workers import worker_command, worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace


def contexts(redis: Redis) -> dict[str, str]:
    found: Any = redis.hgetall("contexts")
    return {key.decode(): value.decode() for key, value in found.items()}


class LateJob(Job):
    """A class of jobs whose callback is not a plain property."""

    @cached_property
    def failure_callback(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Job.failure_callback.fget(self)  # type: ignore[attr-defined]


class LastJob(Job):
    """A class of jobs that allows no class below it."""

    def __init_subclass__(cls) -> None:
        raise TypeError(cls)


@pytest.mark.parametrize("job_class", [Job, LateJob, LastJob])
def test_the_callback_and_the_handler_of_an_abandoned_job_know_its_context(redis: Redis, job_class: type[Job]) -> None:
    queue = Queue("odd", connection=redis, job_class=job_class)
    given = {"meta": trace_meta(TraceContext("T")), "on_failure": Callback(odd_jobs.noting_failure)}
    job = queue.enqueue(odd_jobs.succeeds, job_id="lost", **given)
    redis.lpop(queue.key)
    job.set_status(JobStatus.STARTED)
    redis.zadd(queue.started_job_registry.key, {f"lost:{'0' * 32}": time() - 1})
    worker_class: type[SimpleWorker] = type("Own", (SimpleWorker,), {"tracer": Tracer(MemoryStore())})
    equal: list[bool] = []
    handlers = [odd_jobs.noting_handler, lambda job, *_: equal.append(job == job_class.fetch(job.id, redis))]
    worker = worker_class([queue], connection=redis, exception_handlers=handlers)
    worker.clean_registries()
    known = "none" if job_class is LastJob else "T/lost"
    assert contexts(redis) == {"on_failure of lost": known, "handler of lost": "T/lost"}
    assert (worker.queues[0].job_class, equal) == (job_class, [True])
    assert (current_trace(), current_execution()) == (None, Execution())


def test_jobs_are_steps_and_compensations_of_a_saga(redis: Redis, redis_server: str, tmp_path: Path) -> None:
    """A choreography: the callback of the failed step enqueues the compensation of the one before."""
    Queue("odd", connection=redis).enqueue(odd_jobs.starts_a_saga_of_jobs)
    command = worker_command(redis_server, "--burst", "--path", str(Path(__file__).parent), "odd")
    environment = worker_environment(f"sqlite:///{tmp_path}/traces.db") | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run(command, env=environment, capture_output=True, timeout=300, check=True)
    store = open_store(f"sqlite:///{tmp_path}/traces.db", read_only=True)
    trace = build_trace("order-1", store.fetch_trace("order-1").events, now=wall_clock())
    store.close()
    assert {span_id: span.kind for span_id, span in trace.spans.items()} == {
        "charge": "job",
        "ship": "job",
        "refund": "compensation",
    }
    assert (trace.verdict, trace.cause and trace.cause.span_id) == ("rolled_back", "ship")
    assert [(row.original_span_id, row.span_id, row.outcome) for row in trace.compensations] == [
        ("charge", "refund", "compensated")
    ]


def test_a_job_that_an_undo_enqueues_belongs_to_its_compensation(redis: Redis) -> None:
    store = MemoryStore()
    tracer = Tracer(store)
    queue: TracedQueue = type("RecordingQueue", (TracedQueue,), {"tracer": tracer})("odd", connection=redis)
    worker: type[SimpleWorker] = type("RecordingWorker", (SimpleWorker,), {"tracer": tracer})
    with tracer.saga("order", "order-1") as saga:
        saga.call("charge", bool, undo=lambda: queue.enqueue(odd_jobs.fails) and None)
        saga.fail("sold out")
    verdicts = [build_trace("order-1", store.fetch_trace("order-1").events, now=wall_clock()).verdict]
    worker([queue], connection=redis).work(burst=True)
    verdicts += [build_trace("order-1", store.fetch_trace("order-1").events, now=wall_clock()).verdict]
    assert verdicts == ["compensating", "rollback_incomplete"]


def test_none_and_a_text_are_valid_contexts_of_a_job(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for store, warnings in (("off", 0), ("sqlite:///traces.db", 1)):
        monkeypatch.setenv("SAGATRACE_STORE", store)
        assert [trace_meta(None), trace_meta(None)] == [{}, {}]
        assert caplog.text.count("no trace context here, so the job starts a trace of its own") == warnings
    assert trace_meta("T") == trace_meta(TraceContext("T"))


class Unreadable:
    """A value that needs the user's code to load."""


@pytest.mark.parametrize(
    ("stored", "trace_id"),
    [
        (b'{"own": 1, "sagatrace": {"trace_id": "T"}}', "T"),
        (pickle.dumps({"own": 1, **trace_meta("T")}), "T"),
        (pickle.dumps({"own": Unreadable(), **trace_meta("T")}), "j-"),
        (pickle.dumps(["T"]), "j-"),
        (pickle.dumps({"own": 1})[:-3], "j-"),
        (b"[1]", "j-"),
        (b"", "j-"),
        (b"\x00\xff", "j-"),
    ],
)
def test_the_context_of_a_job_is_found_in_the_meta_of_another_serializer(
    redis: Redis, stored: bytes, trace_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """RQ puts a stand-in for a meta that it cannot read. No code of the user's is loaded for it."""
    foreign_meta._warn_of_meta.cache_clear()
    job = Job.create(odd_jobs.succeeds, id="j", connection=redis, meta={"unserialized": stored})
    assert trace_of(job).trace_id.startswith(trace_id)
    assert trace_of(job).span_id == "j"
    assert caplog.text.count("unknown serialization") == (trace_id == "j-")
    assert job.meta == {"unserialized": stored}


def test_a_queue_does_not_overwrite_a_meta_that_it_cannot_read(redis: Redis) -> None:
    """A scheduler may have another serializer than the producer of the job."""
    made = Job.create(odd_jobs.succeeds, id="j", connection=redis, serializer=JSONSerializer, meta=trace_meta("T"))
    made.save()
    before = redis.hget(made.key, "meta")
    store = MemoryStore()
    queue_class: type[TracedQueue] = type("RecordingQueue", (TracedQueue,), {"tracer": Tracer(store)})
    queue = queue_class("odd", connection=redis)
    fetched = Job.fetch("j", connection=redis)
    queue.enqueue_job(fetched)
    assert [event.event_type for event in store.fetch_trace("T").events] == ["job:enqueued"]
    assert redis.hget(made.key, "meta") == before


def test_only_the_process_that_a_worker_spawned_has_its_context() -> None:
    """A program that it starts inherits the environment too."""
    program = (
        "import subprocess, sys; from sagatrace.rq import current_trace; print(current_trace(), flush=True);"
        "sys.argv[1:] and subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    )
    export_context(TraceContext("T", "j"))
    try:
        spawned = subprocess.run(
            [sys.executable, "-c", program, program], capture_output=True, text=True, timeout=300, check=True
        )
        assert current_trace() is None
    finally:
        del os.environ[WORK_HORSE]
    assert spawned.stdout.splitlines() == [str(TraceContext("T", "j")), "None"]
