"""A saga by choreography: callbacks of its jobs enqueue the next step, and after a failure the compensations.

Run with the RQ that PYTHONPATH names, by `test_choreography`.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

from redis import Redis
from rq import Callback, Queue, get_current_job
from rq.command import send_stop_job_command
from rq.job import Job

from sagatrace import trace_meta
from sagatrace.rq import current_trace, trace_of
from sagatrace.rq.queue import TracedQueue

TRACE: Final = "order-1"
KINDS: Final = {"TracedQueue": TracedQueue, "Queue": Queue}


def shop(redis: Redis) -> Queue:
    """Return the queue, of the kind under test."""
    return KINDS[os.environ["SHOP_QUEUE"]]("shop", connection=redis)


def context_here(queue: Queue) -> dict[str, Any]:
    """Return the arguments that pass the context to `enqueue`. A TracedQueue needs none in a job or callback."""
    return {} if isinstance(queue, TracedQueue) else {"meta": trace_meta(current_trace())}


def place_order(redis_url: str) -> None:
    """Enqueue the first step."""
    meta = trace_meta(TRACE, compensation="refund")
    shop(Redis.from_url(redis_url)).enqueue(charge, job_id="charge", meta=meta, on_success=Callback(then_reserve))


def then_reserve(job: Job, redis: Redis, *_: Any) -> None:
    """Be the on_success of `charge`."""
    meta = trace_meta(current_trace(), compensation="release")
    shop(redis).enqueue(done, job_id="reserve", meta=meta, on_success=Callback(then_ship))


def then_ship(job: Job, redis: Redis, *_: Any) -> None:
    """Be the on_success of `reserve`. The last step ends, and is undone, as the test asks."""
    undone_by = os.environ["SHOP_UNDONE_BY"]
    callbacks = {} if undone_by == "handler" else {undone_by: Callback(undo)}
    step = hangs if undone_by == "on_stopped" else fails
    shop(redis).enqueue(step, job_id="ship", **callbacks, **context_here(shop(redis)))


def undo(job: Job, redis: Redis, *_: Any) -> None:
    """Be the on_failure or on_stopped of `ship`."""
    assert current_trace() == trace_of(job)
    for step, compensation in (("reserve", "release"), ("charge", "refund")):
        shop(redis).enqueue(done, job_id=compensation, meta=trace_meta(current_trace(), undoes=step))


def handler(job: Job, *_: Any) -> bool:
    """Be an exception handler of the worker."""
    undo(job, job.connection)
    return True


def charge() -> None:
    """Be a step that enqueues a job of its own."""
    job = get_current_job()
    assert job is not None
    queue = shop(job.connection)
    queue.enqueue(done, job_id="receipt", **context_here(queue))


def done() -> None:
    """Be a step or a compensation that succeeds."""


def fails() -> None:
    """Be a step that fails."""
    raise ValueError("no courier")


def hangs() -> None:
    """Be a step that the user stops."""
    job = get_current_job()
    assert job is not None
    send_stop_job_command(job.connection, job.id)
    threading.Event().wait()


def pickle_job(redis_url: str) -> None:
    """Enqueue a step for a worker that cannot read it."""
    queue = TracedQueue("shop", connection=Redis.from_url(redis_url))
    queue.enqueue(done, job_id="unreadable", meta={"own": 1, **trace_meta(TRACE)})
