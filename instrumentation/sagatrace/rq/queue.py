"""RQ's queue, traced. It gives each job its place in a trace, and records that the job waits.

    queue = TracedQueue("loans", connection=redis)
    queue.under(context).enqueue(approve, loan)        # or any other method of RQ to enqueue
    queue.enqueue(approve, loan)                       # below the running job, else in a new trace

    @job(queue, connection=redis, retry=Retry(2))      # in place of rq.decorators.job
    def approve(loan): ...
    approve.under(context).enqueue(loan)

The context is added to `job.meta`. The function gets only its own arguments. A context that the caller put there
(`meta=trace_meta(context)`) is kept. Inside a job `current_trace()` is the context to pass on.

A mixin traces other queue classes, such as that of django-rq. Put the import path of your class into `QUEUE_CLASS`:

    class TracedDjangoQueue(TracedQueueMixin, DjangoRQ): ...

`COMMIT_MODE` works as without tracing. The job of a transaction is enqueued and recorded when the transaction commits,
with the context of the call. If the transaction is rolled back, the job is neither enqueued nor recorded.

Each run of a schedule starts a trace: with RQ's CronScheduler, and with rq-scheduler (`queue_class=TracedQueue`). A
schedule with `meta=trace_meta("nightly")` puts all of its runs into that one trace, for as long as it exists. With
rq-scheduler and a plain queue, all runs of a schedule are runs of one job in one trace.
"""

from __future__ import annotations

import copy
import functools
import inspect
import socket
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

import rq
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
from sagatrace.faults import Harmless, log_fault
from sagatrace.rq.decorator import JobDecorator
from sagatrace.rq.job_facts import facts_of, meta_of
from sagatrace.rq.job_place import context_of, current_trace, declared_in, trace_of
from sagatrace.rq.recorder import JobRecorder
from sagatrace.rq.redis_address import place_of_redis
from sagatrace.timestamps import utc_timestamp
from sagatrace.tracer import Tracer

if TYPE_CHECKING:
    from rq import Queue as _Queue
else:
    _Queue = object

__all__ = ["TracedQueue", "TracedQueueMixin", "job"]

_harmless: Final = Harmless()
_SCHEDULED_AGAIN: Final = frozenset({"interval", "cron_string"})  # keys of rq-scheduler in a job's meta
_TIME: Final = len("2026-01-01T00:00:00.000000Z")
_META: Final = [*inspect.signature(rq.Queue.enqueue_call).parameters].index("meta") - 1  # its position, without self


class TracedQueueMixin(_Queue):
    """Trace your own queue class: `class MyQueue(TracedQueueMixin, rq.Queue)`.

    Set its class attribute `tracer`, such as `Tracer(redact=...)`, to record the queue's events with it.
    """

    tracer: Tracer | None = None
    _context: TraceContext | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sync: dict[str, JobRecorder] = {}  # recorders of the jobs that run here, by job id

    def under(self, context: TraceRef | str | None) -> Self:
        """Return a copy of this queue whose jobs belong under the context. A text is a trace id.

        None or an empty text has no effect on the jobs' places. It is counted, and logged once.
        """
        bound = copy.copy(self)
        place = TraceContext(context) if isinstance(context, str) else context
        if place is None or not place.trace_id:
            self._tracer._count("no trace context here, so queue.under(…) has no effect")  # noqa: SLF001 - its counter
        else:
            bound._context = TraceContext(place.trace_id, place.span_id)  # noqa: SLF001 - a copy of this queue
        return bound

    def create_job(self, *args: Any, **kwargs: Any) -> Job:
        """Create the job as RQ does, with its place in a trace."""
        job = super().create_job(*args, **kwargs)
        with _harmless:
            self._place(job)
        return job

    def enqueue_call(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueue the job with the context of this call.

        In a transaction, a queue of django-rq returns None and enqueues the job at the commit. The context of this call
        stays.
        """
        with _harmless:
            args, kwargs = self._with_context(args, kwargs)
        return super().enqueue_call(*args, **kwargs)

    def enqueue_job(self, job: Job, *args: Any, **kwargs: Any) -> Job:
        """Enqueue the job. Record that it was enqueued, or deferred until its dependencies are done."""
        with _harmless:
            self._place(job)
        job = super().enqueue_job(job, *args, **kwargs)
        with _harmless:
            self._record_wait(job, committed=(args[0] if args else kwargs.get("pipeline")) is None)
        return job

    def enqueue_many(self, job_datas: Iterable[Any], *args: Any, **kwargs: Any) -> list[Job]:
        """Enqueue the jobs, and record that each was enqueued."""
        jobs = super().enqueue_many(job_datas, *args, **kwargs)
        for job in jobs:
            with _harmless:
                self._record_wait(job, committed=(args[0] if args else kwargs.get("pipeline")) is None)
        return jobs

    def enqueue_at(self, datetime: datetime, f: Any, *args: Any, **kwargs: Any) -> Job:
        """Schedule the job, and record the time it is due. `enqueue_in` calls this method."""
        job: Job = super().enqueue_at(datetime, f, *args, **kwargs)
        with _harmless:
            self._record_wait(job, committed=kwargs.get("pipeline") is None, scheduled_for=datetime)
        return job

    def run_sync(self, job: Job) -> Job:
        """Run the job as RQ does with `is_async=False`. Record it here, because no worker does."""
        execution_id = uuid.uuid4().hex
        recorder: JobRecorder | None = None
        with _harmless:
            recorder = JobRecorder(self._tracer, {"host": socket.gethostname()})
            recorder.record(
                job, execution_id, "start", "started", {**declared_in(meta_of(job)), **_named(job), "sync": True}
            )
            self._sync[job.id] = recorder
        around = current_execution()
        try:
            with _harmless:
                outer = rq.get_current_job()  # in a work-horse that RQ 2 spawned, only RQ knows it
                job_id = around.job_id or (outer.id if outer else None)
                enter_execution(around._replace(job_id=job_id, inside=trace_of(job)))
            return super().run_sync(job)
        finally:
            enter_execution(around)
            with _harmless:
                self._sync.pop(job.id, None)
                if recorder is not None and job.get_status(refresh=False) == JobStatus.FINISHED:
                    recorder.record(job, execution_id, "end", "completed", {})
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
        return {
            "job_id": job.id,
            "host": socket.gethostname(),
            "redis": redis,
            **declared_in(meta_of(job)),
            **_named(job),
        }

    def _place(self, job: Job) -> None:
        if "unserialized" in job.meta:
            return  # RQ could not read this meta: a change would overwrite the user's meta
        carried = context_from_meta(job.meta)
        if carried is None or _is_of_last_run(job, carried):
            job.meta = _meta_under(self._context or current_trace() or _own_trace(job), job.meta)

    def _with_context(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of `enqueue_call` with the context in their meta, if there is one."""
        context = self._context or current_trace()
        meta = args[_META] if len(args) > _META else kwargs.get("meta")
        if context is None or context_from_meta(meta) is not None:
            return args, kwargs
        meta = _meta_under(context, meta or {})
        if len(args) > _META:
            return (*args[:_META], meta, *args[_META + 1 :]), kwargs
        return args, {**kwargs, "meta": meta}

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


class TracedQueue(TracedQueueMixin, rq.Queue):
    """RQ's queue, traced."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "commit_mode" in kwargs and kwargs["commit_mode"] != "auto":
            _warn_of_commit_mode()


@functools.cache
def _warn_of_commit_mode() -> None:
    """Log once that RQ's queue ignores django-rq's COMMIT_MODE, as it ignores all unknown arguments."""
    log_fault(
        "sagatrace: TracedQueue ignores django-rq's COMMIT_MODE: jobs are enqueued before the transaction commits. "
        "Set QUEUE_CLASS to a class TracedDjangoQueue(TracedQueueMixin, DjangoRQ)"
    )


def _meta_under(context: TraceContext, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the meta with this context. The caller may use the original for other jobs."""
    carried = trace_meta(context)
    return {**carried, **meta, META_KEY: {**declared_in(meta), **carried[META_KEY]}}


def _own_trace(job: Job) -> TraceContext:
    """Return the top of the job's own trace. If rq-scheduler repeats the job, each run has its own trace."""
    return TraceContext(_name_of_run(job, utc_timestamp())) if _is_scheduled_again(job) else context_of(job)


def _name_of_run(job: Job, at: str) -> str:
    return f"{job.id[:200]}-{at}"


def _is_scheduled_again(job: Job) -> bool:
    return not _SCHEDULED_AGAIN.isdisjoint(job.meta)


def _is_of_last_run(job: Job, carried: TraceContext) -> bool:
    """Return whether `_own_trace` made this context for the previous run."""
    return _is_scheduled_again(job) and carried == TraceContext(_name_of_run(job, carried.trace_id[-_TIME:]))


def _named(job: Job) -> dict[str, Any]:
    """Return the facts of a job that was created here, with its name. Reading the name loads nothing here."""
    facts = facts_of(job)
    if "job_name" not in facts:
        with suppress(DeserializationError):  # created elsewhere, with code that this process lacks
            facts["job_name"] = job.func_name
    return facts


@functools.cache
def _tracer_of_environment() -> Tracer:
    return Tracer()


class job(JobDecorator):  # noqa: N801 - the name of RQ's decorator, which it replaces
    """RQ's decorator with a TracedQueue. It adds `under(context)` to the function: jobs belong under the context."""

    traced_queue = TracedQueue
