"""Jobs of a trace that may not be sampled: one fails, others follow."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from rq import get_current_job

from sagatrace import Tracer, trace_meta
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue


def succeeds() -> None:
    with Tracer().span("stage:good", current_trace()):
        pass


def fails() -> None:
    raise ValueError("no luck")


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fails_inside_and_goes_on() -> None:
    """Enqueue a job before a failure, and one after it."""
    job = get_current_job()
    assert job is not None
    queue = TracedQueue("sampled", connection=job.connection)
    queue.enqueue(succeeds, job_id=f"{job.id}-before")
    with suppress(ValueError), Tracer().span("stage:bad", current_trace()):
        fails()
    queue.enqueue(succeeds, job_id=f"{job.id}-after", meta=trace_meta(current_trace()))
