"""A saga of two steps in a job, with the ways in which its process can end, and jobs that run repeatedly."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fates import ran
from rq import Queue
from rq.job import Job

from sagatrace import Tracer
from sagatrace.context import current_execution
from sagatrace.rq import SimpleWorker, current_trace
from sagatrace.rq.queue import TracedQueue

tracer = Tracer()


class Silent(SimpleWorker):
    """A worker that discards its own events."""

    tracer = Tracer("off")


def _die(_job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _leave(_job: Job) -> None:
    os._exit(0)


def _hang(job: Job) -> None:
    job.connection.rpush(f"hangs:{job.id}", os.getpid())
    threading.Event().wait()


def _hang_deaf(job: Job) -> None:
    """Ignore every alarm: only the worker can end this job."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    _hang(job)


def _hang_in_thread(job: Job) -> None:
    """Hang inside a span of a thread, which has its own context."""
    trace = current_trace()
    assert trace is not None

    def branch() -> None:
        with tracer.span("step:car", trace):
            _hang(job)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(branch).result()


def _die_once(job: Job) -> None:
    if job.connection.llen(f"ran:{job.id}") == 1:
        _die(job)


ENDINGS: Final[dict[str, Callable[[Job], None]]] = {
    "die": _die,
    "leave": _leave,
    "hang": _hang,
    "hang deaf": _hang_deaf,
    "hang in a thread": _hang_in_thread,
    "die once": _die_once,
}


def book(ending: str) -> str:
    """Run the first step, which declares a compensation, and end in the second in the given way."""
    job, trace = ran(), current_trace()
    assert trace is not None
    with tracer.span("saga:booking", trace) as saga:
        with tracer.span("step:flight", saga, compensation="cancel_flight"):
            pass
        with tracer.span("step:hotel", saga):
            ENDINGS[ending](job)
    return "booked"


def load(*failing_runs: int) -> int:
    """Fail in these runs, counted from 1 over all executions of the job, and return the number of this run."""
    job, trace = ran(), current_trace()
    assert trace is not None
    number = job.connection.llen(f"ran:{job.id}")
    with tracer.span("stage:load", trace):
        if number in failing_runs:
            raise ConnectionError(f"no answer in run {number}")
    return number


def names_its_execution(job_id: str) -> list[Any]:
    """Return the data of spans that are opened before, in and after a job that runs inside this one."""
    job = ran()
    before = current_execution().id
    inner = TracedQueue("sync", is_async=False, connection=job.connection).enqueue(_executing, job_id=job_id)
    return [before, inner.return_value(), current_execution().id]


def works_off_inside() -> list[str | None]:
    """Run a worker inside a job, and return the execution before and after."""
    job = ran()
    before = current_execution().id
    queue = Queue("inside", connection=job.connection)
    inner = queue.enqueue(_executing)
    Silent([queue], connection=job.connection).work(burst=True)
    return [before, inner.return_value(refresh=True), current_execution().id]


def _executing() -> str | None:
    return current_execution().id
