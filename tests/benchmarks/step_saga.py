"""A saga as a chain of jobs, each of which enqueues the next: many sagas run concurrently on few workers."""

from __future__ import annotations

import time

from rq import Queue, get_current_job

from sagatrace import TraceContext, Tracer, trace_meta
from sagatrace.rq import current_trace

STEPS = 4
SECONDS = 0.1


def step(number: int) -> None:
    """Do one step of the saga of this job's trace, and enqueue the next."""
    tracer, trace, job = Tracer(), current_trace(), get_current_job()
    assert trace is not None
    assert job is not None
    with tracer.span(f"stage:s{number}", trace, compensation=f"undo_s{number}") as stage:
        tracer.emit("ai:decision", stage, data={"score": 0.93})
        time.sleep(SECONDS)
    if number + 1 < STEPS:
        queue = Queue(job.origin, connection=job.connection)
        queue.enqueue(step, number + 1, meta=trace_meta(TraceContext(trace.trace_id, trace.span_id)))
