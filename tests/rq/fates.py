"""Jobs that end in every possible way, and workers that die at a chosen moment."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

import rq
from rq import get_current_job
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.worker import BaseWorker

from sagatrace import TraceContext, Tracer
from sagatrace.rq import SimpleWorker, TracedWorkerMixin, Worker, current_trace
from sagatrace.rq.queue import TracedQueue


def ran() -> Job:
    """Record in Redis that this execution began, and its process."""
    job = get_current_job()
    assert job is not None
    job.connection.rpush(f"ran:{job.id}", os.getpid())
    return job


def succeed(value: int = 0) -> int:
    ran()
    return value


def fail() -> None:
    ran()
    raise ValueError("no luck")


def leave(status: int) -> None:
    ran()
    os._exit(status)


def leave_once(status: int) -> str:
    if ran().connection.llen(f"ran:{current_id()}") == 1:
        os._exit(status)
    return "in the end"


def exit_politely() -> None:
    ran()
    sys.exit(2)


def die() -> None:
    ran()
    os.kill(os.getpid(), signal.SIGKILL)


def die_once() -> str:
    if ran().connection.llen(f"ran:{current_id()}") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "in the end"


def fail_once() -> str:
    if ran().connection.llen(f"ran:{current_id()}") == 1:
        raise ConnectionError("busy")
    return "in the end"


def step_once() -> str:
    """Trace a step that fails the first time, without a traced worker."""
    job = ran()
    with Tracer().span("stage:step", TraceContext(job.meta["sagatrace"]["trace_id"], job.id)):
        if job.connection.llen(f"ran:{job.id}") == 1:
            raise ConnectionError("busy")
    return "in the end"


def clobber_once() -> str:
    job = ran()
    if job.connection.llen(f"ran:{job.id}") == 1:
        job.meta = {"own": 1}
        job.save_meta()
        raise ConnectionError("busy")
    return "in the end"


def ask_once() -> Any:
    return rq.Retry(max=2) if ran().connection.llen(f"ran:{current_id()}") == 1 else "in the end"


def ask_always() -> rq.Retry:
    ran()
    return rq.Retry(max=1)


def last(seconds: float) -> str:
    """Take that long. Every signal and alarm ends this job."""
    ran()
    threading.Event().wait(seconds)
    return "in the end"


def last_until(released: str) -> str:
    """Wait for that file. Every signal and alarm ends this job."""
    ran()
    pause = threading.Event()
    while not os.path.exists(released):  # noqa: PTH110 - the shortest possible code between two looks
        pause.wait(0.02)
    return "in the end"


def last_deaf() -> None:
    """Ignore every alarm: only the worker can end this job."""
    ran()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    threading.Event().wait(60)


def give_unpicklable() -> Any:
    ran()
    return lambda: None


def have_a_child(queue: str) -> None:
    job, trace = ran(), current_trace()
    assert trace is not None
    TracedQueue(queue, connection=job.connection).under(trace).enqueue(succeed, job_id=f"{job.id}-child")


def delete_itself() -> None:
    ran().delete()


def cancel_itself() -> None:
    ran().cancel()


def current_id() -> str:
    job = get_current_job()
    assert job is not None
    return job.id


def mark_success(job: Job, connection: Any, result: Any) -> None:
    connection.rpush(f"called:{job.id}", "on_success")


def mark_failure(job: Job, connection: Any, kind: Any, error: Any, trace: Any) -> None:
    connection.rpush(f"called:{job.id}", "on_failure")


def mark_stopped(job: Job, connection: Any) -> None:
    connection.rpush(f"called:{job.id}", "on_stopped")


def raise_in_callback(job: Job, connection: Any, *_: Any) -> None:
    raise RuntimeError("the callback's own fault")


def raise_in_handler(job: Job, *_: Any) -> None:
    raise RuntimeError("the handler's own fault")


def stop_handlers(job: Job, *_: Any) -> bool:
    return False


class _DiesAfterCommit(rq.Worker):
    """A worker whose work-horse is killed after RQ has the outcome, and before the end is recorded."""

    def handle_job_success(self, *args: Any, **kwargs: Any) -> None:
        super().handle_job_success(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    def handle_job_failure(self, *args: Any, **kwargs: Any) -> None:
        super().handle_job_failure(*args, **kwargs)
        if self.is_horse:
            os.kill(os.getpid(), signal.SIGKILL)


class DiesAfterCommit(TracedWorkerMixin, _DiesAfterCommit):
    """The same worker, traced."""


class OwnBase(rq.Worker):
    """A user's worker class, with a hook of its own."""

    def handle_job_success(self, job: Job, *args: Any, **kwargs: Any) -> None:
        super().handle_job_success(job, *args, **kwargs)
        job.connection.rpush(f"called:{job.id}", "own_worker")


class OwnWorker(TracedWorkerMixin, OwnBase):
    """A user's worker class, traced."""


class _Eager(BaseWorker):
    """A worker that cleans its registries at every start, even just after another one."""

    def clean_registries(self) -> None:
        for queue in self.queues:
            queue.release_maintenance_lock()
        super().clean_registries()


class EagerWorker(_Eager, Worker):
    """A forking one."""


class EagerSimpleWorker(_Eager, SimpleWorker):
    """One without work-horses."""


def link(chain: int, place: int, last_place: int) -> int:
    """Start the next job of a chain, and take a moment. A kill at any instant leads to a retry."""
    job, trace = ran(), current_trace()
    assert trace is not None
    if place < last_place:
        queue = TracedQueue(job.origin, connection=job.connection).under(trace)
        with suppress(DuplicateJobError):  # the previous attempt reached this line
            queue.enqueue(
                link,
                chain,
                place + 1,
                last_place,
                job_id=f"link-{chain}-{place + 1}",
                retry=rq.Retry(max=9),
                unique=True,
            )
    threading.Event().wait(0.01)
    return place
