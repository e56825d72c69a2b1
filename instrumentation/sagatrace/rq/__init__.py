"""RQ workers that trace every job they run: `rq worker -w sagatrace.rq.Worker`.

One job is one span, whose id is the job's; its attempts are events of that span. A job finds its place in a
trace in `job.meta` (`queue.enqueue(f, meta=trace_meta(context))`, or `sagatrace.rq.queue.TracedQueue`); one without
starts a trace of its own.

Each event is written after RQ's commit, with the time before it: the next attempt or job may begin in between. The
worker writes the start before it forks. The work-horse writes the outcome, or the worker when the horse could not
(`overseer`), or a reconciler when the worker could not either (`reconcile`). RQ runs its jobs as without tracing. A
fault in here is counted in `Tracer.lost` and logged once.

With a worker class of your own, `class MyWorker(TracedWorkerMixin, rq.Worker)` (or from `SpawnWorker` here); a `tracer`
in it, as `Tracer(redact=...)`, is used for all that the worker tells. Works with RQ from 2.12 to 3; there, but not in
2.x, the work-horse of a SpawnWorker tells of its job itself.

Events go into the outbox (`sagatrace.outbox`) and a shipper, a process that the worker starts beside itself, brings
them to the store: the job waits for neither.
"""

from __future__ import annotations

import os
from typing import Any

import rq
from rq.job import Job
from rq.worker import HerokuWorker as _HerokuWorker
from rq.worker import RandomWorker as _RandomWorker
from rq.worker import RoundRobinWorker as _RoundRobinWorker

from sagatrace.context import enter_execution
from sagatrace.events import utc_timestamp
from sagatrace.rq.hooks import OverseerMixin
from sagatrace.rq.recorder import current_trace, running

__all__ = [
    "HerokuWorker",
    "RandomWorker",
    "RoundRobinWorker",
    "SimpleWorker",
    "SpawnWorker",
    "TracedWorkerMixin",
    "Worker",
    "current_trace",
]


class TracedWorkerMixin(OverseerMixin):
    """Put before a worker class of your own: `class MyWorker(TracedWorkerMixin, rq.Worker)`."""

    def handle_exception(self, job: Job, *exc_info: Any) -> Any:
        """Keep the exception for the event: RQ hands on only its text."""
        with self._harmless:
            self._teller.errors[job.id] = exc_info[1]
        try:
            return super().handle_exception(job, *exc_info)
        except BaseException:  # a handler of the user's that raises ends the work-horse before RQ knows of the failure
            with self._harmless:
                self._teller.share(job)
            raise

    def handle_job_success(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Tell that the job completed, once RQ has committed it."""
        execution = kwargs.get("execution") or vars(self).get("execution")
        wait: float | None = None
        if job.repeats_left:
            with self._harmless:
                wait = self._teller.begin_again(job)
        at = utc_timestamp()
        super().handle_job_success(job, *args, **kwargs)
        try:
            if not self._teller.finish(job, at):
                execution_id = self._execution_id(job, {"execution": execution})
                self._teller.complete(job, execution_id, self.job_data(job, "completed"), at)
            if wait is not None:
                self._teller.repeat(job, self._execution_id(job, {"execution": execution}), wait=wait, at=at)
        except Exception as error:
            if not self._harmless.take(error):
                raise

    def handle_job_failure(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Tell that the job failed, was stopped or will be retried, once RQ has committed it."""
        execution_id = self._execution_id(job, kwargs)
        more: dict[str, Any] = {}
        with self._harmless:
            if job.should_retry:
                more = self._teller.carry(job, wait=job.get_retry_interval())
        at = utc_timestamp()
        super().handle_job_failure(job, *args, **kwargs)
        with self._harmless:
            self._teller.failure(job, execution_id, kwargs.get("exc_string", ""), more, at=at)

    def handle_job_retry(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Tell that the job asked to be retried, or did so once too often."""
        execution_id = self._execution_id(job, kwargs)
        more: dict[str, Any] = {}
        with self._harmless:
            retry = kwargs.get("retry") or args[1]
            wait = rq.Retry.get_interval(job.number_of_retries or 0, retry.intervals)
            more = self._teller.carry(job, wait=wait, allowed=retry.max + 1)
        at = utc_timestamp()
        super().handle_job_retry(job, *args, **kwargs)
        with self._harmless:
            more["error_type"] = "Retry"
            self._teller.failure(job, execution_id, "the job returned Retry", more, at=at)

    def _execution_id(self, job: Job, given: dict[str, Any]) -> str | None:
        """RQ 3 hands the execution on; in 2.x the worker has it, until RQ has cleaned it up."""
        execution = given.get("execution") or vars(self).get("execution")
        return execution.id if execution is not None and execution.job_id == job.id else None


class Worker(TracedWorkerMixin, rq.Worker):
    """RQ's forking worker, traced."""


class SimpleWorker(TracedWorkerMixin, rq.SimpleWorker):
    """RQ's worker that runs jobs in its own process, traced."""


class SpawnWorker(TracedWorkerMixin, rq.SpawnWorker):
    """RQ's worker that runs each job in a new interpreter, traced."""

    def prepare_job_execution(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Know the job's place before it can overwrite its meta: a work-horse like this has inherited nothing."""
        with self._harmless:
            enter_execution(os.environ.get("RQ_EXECUTION_ID"))
            running.set(self._teller.place_of(job).inside)
        super().prepare_job_execution(job, *args, **kwargs)


class HerokuWorker(TracedWorkerMixin, _HerokuWorker):
    """RQ's forking worker for Heroku's way to shut down, traced."""


class RoundRobinWorker(TracedWorkerMixin, _RoundRobinWorker):
    """RQ's forking worker that takes from its queues in turn, traced."""


class RandomWorker(TracedWorkerMixin, _RandomWorker):
    """RQ's forking worker that takes from its queues at random, traced."""
