"""A job that logs everywhere: in itself, in spans, in steps, in threads that were bound and in others, in coroutines.

Each line names the span that it belongs to. LOG_OF_JOBS is the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor

from rq import get_current_job

from sagatrace import Tracer
from sagatrace.logs import TraceFilter
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue

tracer = Tracer()
log = logging.getLogger("shop")

if "LOG_OF_JOBS" in os.environ:
    handler = logging.FileHandler(os.environ["LOG_OF_JOBS"])
    handler.addFilter(TraceFilter())
    handler.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.info("import in  of ")


def say(span_id: str | None, where: str) -> None:
    log.info("%s in %s of %s", where, span_id, "T")


async def say_later(span_id: str, where: str) -> None:
    async with tracer.span("stage:async", current_trace()) as span:
        await asyncio.sleep(0)
        say(span.span_id, where)
    say(span_id, f"after-{where}")


async def say_all(span_id: str) -> None:
    await asyncio.gather(*(say_later(span_id, f"task-{number}") for number in range(3)))


def logs_everywhere() -> None:
    job = get_current_job()
    assert job is not None
    say(job.id, "job")
    with ThreadPoolExecutor(2) as threads, tracer.saga("order", current_trace()) as saga:
        say(saga.span_id, "saga")
        with saga.step("charge") as charge:
            say(charge.span_id, "step")
            threads.submit(say, job.id, "thread-not-bound").result()
            bound = tracer.bind(say)
            for number in range(2):
                threads.submit(bound, charge.span_id, f"thread-{number}").result()
            assert list(threads.map(bound, [charge.span_id] * 2, ["map-1", "map-2"])) == [None, None]
            TracedQueue("inner", is_async=False, connection=job.connection).enqueue(
                logs_inside, job_id=f"{job.id}-inside"
            )
            say(charge.span_id, "step-after-a-job-inside")
        threads.submit(bound, saga.span_id, "thread-after-its-step").result()
        say(saga.span_id, "saga-after-its-step")
        asyncio.run(say_all(saga.span_id))
    say(job.id, "job-after-its-saga")
    tracer.span("stage:never-left", current_trace()).__enter__()


def logs_inside() -> None:
    job = get_current_job()
    assert job is not None
    say(job.id, "job-inside")
    with tracer.span("stage:inside", current_trace()) as span:
        say(span.span_id, "span-inside")
