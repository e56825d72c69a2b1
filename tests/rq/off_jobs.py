"""A saga with all that sagatrace offers to a job."""

from __future__ import annotations

from redis import Redis
from rq import get_current_job

from sagatrace import Tracer, trace_meta
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue


def queue(redis: Redis) -> TracedQueue:
    return TracedQueue("off", connection=redis)


def note(text: str) -> None:
    job = get_current_job()
    assert job is not None
    job.connection.rpush("done", text)


def buy() -> None:
    job, tracer = get_current_job(), Tracer()
    assert job is not None
    tracer.resume(tracer.begin("stage:check", current_trace())).complete()
    queue(job.connection).enqueue(note, "later", meta=trace_meta(current_trace()))
    with tracer.span("stage:lost", None):
        assert trace_meta(None) == {}
    with tracer.saga("order", current_trace()) as saga:
        with saga.step("charge", undo=lambda: note("refund")):
            note("charge")
        tracer.emit("ai:decision", saga)
        raise ValueError("out of stock")
