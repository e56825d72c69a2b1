"""RQ's queue, traced: it gives each job its place in a trace, and records that the job waits.

    queue = TracedQueue("loans", connection=redis)
    queue.under(context).enqueue(approve, loan)        # and any other way RQ has to enqueue
    queue.enqueue(approve, loan)                       # below the job that runs here, else a trace of its own

    @job(queue, connection=redis, retry=Retry(2))      # in place of rq.decorators.job
    def approve(loan): ...
    approve.under(context).enqueue(loan)

The context goes into `job.meta`, beside what is there: the function gets its own arguments and no more. One that the
caller put there (`meta=trace_meta(context)`) is kept. Inside a job `current_trace()` is the context to hand on.
"""

from __future__ import annotations

import copy
import functools
import socket
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Self

import rq
import rq.decorators
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus

from sagatrace.context import (
    META_KEY,
    TraceContext,
    TraceRef,
    context_from_meta,
    current_execution,
    enter_execution,
    trace_meta,
)
from sagatrace.event import utc_timestamp
from sagatrace.rq.job_lookup import facts_of
from sagatrace.rq.recorder import Harmless, JobRecorder, context_of, current_trace, declared_in, trace_of
from sagatrace.rq.redis_address import place_of_redis
from sagatrace.tracer import Tracer

__all__ = ["TracedQueue", "job"]

_harmless: Final = Harmless()


class TracedQueue(rq.Queue):
    """RQ's queue, traced. A `tracer` of your own, as `Tracer(redact=...)`, goes into a subclass."""

    tracer: Tracer | None = None
    _context: TraceContext | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sync: dict[str, JobRecorder] = {}  # of the jobs that run here, by their ids

    def under(self, context: TraceRef) -> Self:
        """The same queue, whose jobs stand under this context."""
        bound = copy.copy(self)
        bound._context = TraceContext(context.trace_id, context.span_id)  # noqa: SLF001 - its own
        return bound

    def create_job(self, *args: Any, **kwargs: Any) -> Job:
        """Make the job as RQ does, with its place in a trace."""
        job = super().create_job(*args, **kwargs)
        with _harmless:
            self._place(job)
        return job

    def enqueue_job(self, job: Job, *args: Any, **kwargs: Any) -> Job:
        """Record that the job was enqueued, or deferred until the jobs it depends on are done."""
        with _harmless:
            self._place(job)
        job = super().enqueue_job(job, *args, **kwargs)
        with _harmless:
            self._record_wait(job, committed=(args[0] if args else kwargs.get("pipeline")) is None)
        return job

    def enqueue_many(self, job_datas: Iterable[Any], *args: Any, **kwargs: Any) -> list[Job]:
        """Record that each of the jobs was enqueued."""
        jobs = super().enqueue_many(job_datas, *args, **kwargs)
        for job in jobs:
            with _harmless:
                self._record_wait(job, committed=(args[0] if args else kwargs.get("pipeline")) is None)
        return jobs

    def enqueue_at(self, datetime: datetime, f: Any, *args: Any, **kwargs: Any) -> Job:
        """Record that the job was scheduled, and for when. `enqueue_in` ends here as well."""
        job: Job = super().enqueue_at(datetime, f, *args, **kwargs)
        with _harmless:
            self._record_wait(job, committed=kwargs.get("pipeline") is None, scheduled_for=datetime)
        return job

    def run_sync(self, job: Job) -> Job:
        """Run the job as RQ does with `is_async=False`, and record it here, as there is no worker."""
        execution_id = uuid.uuid4().hex
        recorder: JobRecorder | None = None
        with _harmless:
            recorder = JobRecorder(self._tracer, {"host": socket.gethostname()})
            recorder.record(job, f"{execution_id}:start", "started", {**declared_in(job), **_named(job), "sync": True})
            self._sync[job.id] = recorder
        around = current_execution()
        try:
            with _harmless:
                enter_execution(around._replace(inside=trace_of(job)))
            return super().run_sync(job)
        finally:
            enter_execution(around)
            with _harmless:
                self._sync.pop(job.id, None)
                if recorder is not None and job.get_status(refresh=False) == JobStatus.FINISHED:
                    recorder.end(job, execution_id, "completed", {})
                elif recorder is not None:
                    recorder.failure(job, execution_id, "", {}, utc_timestamp())

    def run_job(self, job: Job) -> Job:
        """Keep the exception of a job that runs here for the event."""
        try:
            return super().run_job(job)
        except BaseException as error:
            with _harmless:
                if job.id in self._sync:
                    self._sync[job.id].raised[job.id] = error
            raise

    @property
    def _tracer(self) -> Tracer:
        return self.tracer or _tracer_of_environment()

    def _facts_of(self, job: Job) -> dict[str, Any]:
        redis = place_of_redis(self.connection)
        return {"job_id": job.id, "host": socket.gethostname(), "redis": redis, **declared_in(job), **_named(job)}

    def _place(self, job: Job) -> None:
        if context_from_meta(job.meta) is None:
            meta = trace_meta(self._context or current_trace() or context_of(job))
            # A dictionary of its own: the one given may serve for other jobs as well.
            job.meta = {**meta, **job.meta, META_KEY: {**declared_in(job), **meta[META_KEY]}}

    def _record_wait(self, job: Job, *, committed: bool, **data: Any) -> None:
        status = job.get_status(refresh=False)
        if status == JobStatus.DEFERRED:
            phase = "deferred"
            data["depends_on"] = list(job._dependency_ids)  # noqa: SLF001 - the public way asks Redis
            if job.allow_dependency_failures:
                data["allow_failure"] = True
        elif status == JobStatus.SCHEDULED:
            phase = "scheduled"
            data["scheduled_for"] = utc_timestamp(data["scheduled_for"])
        elif self._is_async:
            phase = "enqueued"
        else:
            return  # it has run already, and `run_sync` recorded it
        if not committed:
            data |= {"presumed": True, "reason": "recorded before the caller's pipeline was executed"}
        if job.retries_left:
            data["attempts_allowed"] = 1 + job.retries_left
        self._tracer.emit(
            f"job:{phase}",
            context_of(job),
            span_id=job.id,
            data={**self._facts_of(job), **data},
        )


def _named(job: Job) -> dict[str, Any]:
    """The facts, with the name whatever the serializer: the job was made here, so nothing is loaded for it."""
    facts = facts_of(job)
    if "job_name" not in facts:
        with suppress(DeserializationError):  # made elsewhere, of what is not to be had here
            facts["job_name"] = job.func_name
    return facts


@functools.cache
def _tracer_of_environment() -> Tracer:
    return Tracer()


class job(rq.decorators.job):  # noqa: N801 - named as RQ's own, which it stands in for
    """RQ's decorator with a TracedQueue; besides `enqueue` the function gets `under(context)`, to enqueue there."""

    def __init__(self, queue: TracedQueue | str, *args: Any, **kwargs: Any) -> None:
        if len(args) < 5:  # the sixth of RQ's own, counted from the queue
            kwargs.setdefault("queue_class", TracedQueue)
        super().__init__(queue, *args, **kwargs)

    def __call__(self, function: Callable[..., Any]) -> Any:
        """The function itself, with RQ's `enqueue` and `delay` and with `under`."""

        def under(context: TraceRef) -> Any:
            bound = copy.copy(self)
            queue: Any = self.queue
            if isinstance(queue, str):
                queue = self.queue_class(queue, connection=self.connection)
            bound.queue = queue.under(context)
            # RQ's decorator marks the function it is given: that mark must not stay on the user's.
            twin = functools.update_wrapper(lambda *args, **kwargs: function(*args, **kwargs), function)
            return decorate(bound, twin)

        decorate: Callable[[rq.decorators.job, Callable[..., Any]], Any] = rq.decorators.job.__call__
        function = decorate(self, function)
        function.under = under  # type: ignore[attr-defined]
        return function
