"""A saga over several jobs: the first one begins it, others work on it, and the last one ends it.

Redis stands for the database.
"""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq import get_current_job
from rq.job import Job

from sagatrace import LongSpan, Tracer, trace_meta
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue

tracer = Tracer()


def connection() -> Redis:
    job = get_current_job()
    assert job is not None
    return job.connection


def kept(name: str) -> LongSpan:
    ref: Any = connection().hget("orders", name)
    return tracer.resume(ref.decode())


def begin_order(parent: str | None = None) -> None:
    """Begin the saga and its first step, which takes long, and return."""
    redis = connection()
    order = tracer.begin("workflow:order", parent or current_trace(), data={"customer": 5})
    redis.hset("orders", "order", order)
    redis.hset("orders", "charge", tracer.begin("step:charge", tracer.resume(order), compensation="refund"))


def confirm_charge() -> None:
    """Handle the bank's call: end the step, and enqueue the next one as a job below the saga."""
    kept("charge").complete()
    TracedQueue("orders", connection=connection()).enqueue(ship, meta=trace_meta(kept("order"), compensation="recall"))


def ship() -> None:
    pass


def recall() -> None:
    pass


def close_order(outcome: str) -> None:
    order, charge = kept("order"), kept("charge")
    if outcome == "completes":
        return order.complete()
    queue = TracedQueue("orders", connection=connection())
    done = Job.fetch_many(queue.finished_job_registry.get_job_ids(), queue.connection)
    for job in filter(None, done):
        if (job.func_name or "").endswith("ship"):
            queue.enqueue(recall, meta=trace_meta(order, undoes=job))
    if outcome == "is rolled back":
        with tracer.compensation(original=charge, parent=order, reason="the customer withdrew"):
            pass
    return order.fail("the customer withdrew")
