"""RQ workers that trace every job they run: `rq worker -w sagatrace.rq.Worker`.

One job is one span, whose id is the job's; its attempts are events of that span. A job finds its place in a
trace in `job.meta` (`queue.enqueue(f, meta=trace_meta(context))`); one without starts a trace of its own.

Each event is written after RQ has committed what it tells, by whichever process learns of it: the start by the
worker before it forks, the outcome by the work-horse, or by the worker when the horse was killed. An outcome's
event id comes from the execution id, so that two processes that tell the same outcome tell it once.

Events go into the outbox (`sagatrace.outbox`) and a shipper, a process that the worker starts beside itself, brings
them to the store: the job waits for neither.
"""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rq
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus
from rq.timeouts import BaseTimeoutException

from sagatrace.attend import ShipperKeeper
from sagatrace.context import META_KEY, TraceContext, context_from_meta
from sagatrace.events import Status, utc_timestamp
from sagatrace.outbox import outbox_directory
from sagatrace.settings import Settings
from sagatrace.tracer import Tracer, error_data

if TYPE_CHECKING:
    from rq.executions import Execution
    from rq.worker.base import BaseWorker as _WorkerBase
else:
    _WorkerBase = object

__all__ = ["TracedWorkerMixin", "Worker", "current_trace"]

log: Final = logging.getLogger("sagatrace")
_F = TypeVar("_F", bound=Callable[..., None])


def current_trace() -> TraceContext | None:
    """Inside a traced job: the context for what it starts, to be handed on. None outside of a job."""
    job = rq.get_current_job()
    if job is None:
        return None
    return TraceContext(_context_of(job).trace_id, job.id)


def _context_of(job: Job) -> TraceContext:
    """The context the job was enqueued with, or the top of its own trace."""
    carried = context_from_meta(job.meta)
    if carried is not None:
        return carried
    try:
        uuid.UUID(job.id)
    except ValueError:
        # A name of the user's own can come again: when it was created tells one run of it from the next.
        return TraceContext(f"{job.id[:200]}-{utc_timestamp(job.created_at)}")
    return TraceContext(job.id)


def _harmless(hook: _F) -> _F:
    """Nothing that goes wrong in the hook reaches RQ, but for RQ's own timeout, which may strike inside it."""

    @functools.wraps(hook)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            hook(*args, **kwargs)
        except BaseTimeoutException:
            raise
        except Exception:
            log.exception("sagatrace: %s failed; the job goes on untraced", hook.__name__)

    return guarded  # type: ignore[return-value]  # same parameters, same result


class TracedWorkerMixin(_WorkerBase):
    """Put before a worker class of your own: `class MyWorker(TracedWorkerMixin, rq.Worker)`.

    The tracer is made on first use, never in `__init__`: RQ builds workers also just to list them.
    """

    tracer: Tracer | None = None
    _keeper: ShipperKeeper | None = None

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Start a shipper beside the worker, unless one runs already or events go straight to a store."""
        self._attend(begin=True)
        super().bootstrap(*args, **kwargs)

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """See to the shipper, too, in case it died."""
        super().heartbeat(*args, **kwargs)
        self._attend()

    def teardown(self) -> None:
        """Leave when what was emitted is in the store, or after SAGATRACE_MAX_WAIT: the shipper goes on with it."""
        super().teardown()  # type: ignore[no-untyped-call]
        self._let_go()

    def prepare_execution(self, job: Job) -> Execution:
        """Tell that the job started: still in the worker, before any fork."""
        execution = super().prepare_execution(job)
        self._tell_start(job, execution)
        return execution

    def handle_exception(self, job: Job, *exc_info: Any) -> Any:
        """Keep the exception for the event: RQ hands on only its text."""
        self._errors[job.id] = exc_info[1]
        return super().handle_exception(job, *exc_info)

    def handle_job_success(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Tell that the job completed, once RQ has committed it."""
        execution = kwargs.get("execution") or self.execution
        super().handle_job_success(job, *args, **kwargs)
        self._tell_end(job, execution, "completed", "success", {})

    def handle_job_failure(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Tell that the job failed, was stopped or will be retried, once RQ has committed it."""
        execution = kwargs.get("execution") or self.execution
        if job.should_retry:
            self._carry_attempt(job)
        super().handle_job_failure(job, *args, **kwargs)
        self._tell_failure(job, execution, kwargs.get("exc_string", ""))

    def handle_job_retry(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Tell that the job asked to be retried, or did so once too often."""
        execution = kwargs.get("execution") or self.execution
        self._carry_attempt(job)
        super().handle_job_retry(job, *args, **kwargs)
        self._tell_failure(job, execution, "the job returned Retry")

    @functools.cached_property
    def _errors(self) -> dict[str, BaseException]:
        return {}

    @functools.cached_property
    def _contexts(self) -> dict[str, tuple[TraceContext, int]]:
        """Job id → context and attempt, as they were when the job started; the horse inherits it."""
        return {}

    def _emit(
        self,
        job: Job,
        execution: Execution | None,
        phase: str,
        data: dict[str, Any],
        status: Status | None = None,
    ) -> None:
        if self.tracer is None:
            self.tracer = Tracer()
        context, attempt = self._place_of(job)
        end = "start" if phase == "started" else "end"
        self.tracer.emit(
            f"job:{phase}",
            context,
            span_id=job.id,
            status=status,
            event_id=f"{execution.id}:{end}" if execution else None,
            data={"job_id": job.id, "attempt": attempt, "worker": self.name, **data},
        )

    def _place_of(self, job: Job) -> tuple[TraceContext, int]:
        if job.id not in self._contexts:
            carried = job.meta.get(META_KEY)
            attempt = carried.get("attempt") if isinstance(carried, dict) else None
            self._contexts[job.id] = (_context_of(job), attempt if isinstance(attempt, int) else 1)
        return self._contexts[job.id]

    @_harmless
    def _attend(self, *, begin: bool = False) -> None:
        if begin and (self.tracer is None or self.tracer.by_environment):
            settings = Settings.from_env()
            directory = outbox_directory(settings, in_worker=True)
            self._keeper = None if directory is None else ShipperKeeper(directory, flush_for=settings.max_wait)
        if self._keeper is not None:
            self._keeper.attend()

    @_harmless
    def _let_go(self) -> None:
        if self._keeper is not None:
            self._keeper.close()

    @_harmless
    def _tell_start(self, job: Job, execution: Execution) -> None:
        self._contexts.clear()  # one job at a time; what is left is of a horse that ended its job itself
        self._errors.clear()
        _, attempt = self._place_of(job)
        data: dict[str, Any] = {
            "job_name": _name_of(job),
            "queue": job.origin,
            "attempts_allowed": attempt + (job.retries_left or 0),
        }
        if job.enqueued_at is not None:
            data["enqueued_at"] = utc_timestamp(job.enqueued_at)
        self._emit(job, execution, "started", data)

    @_harmless
    def _carry_attempt(self, job: Job) -> None:
        """Put the context and the number of the next attempt where RQ's own write of a retry will save them."""
        context, attempt = self._place_of(job)
        carried: dict[str, Any] = {"trace_id": context.trace_id, "attempt": attempt + 1}
        if context.span_id is not None:
            carried["parent_span_id"] = context.span_id
        job.meta[META_KEY] = carried

    @_harmless
    def _tell_failure(self, job: Job, execution: Execution | None, reason: str) -> None:
        error = self._errors.get(job.id)
        if error is not None:
            data: dict[str, Any] = dict(error_data(error))
        else:
            data = {"error": reason.strip().rstrip(";"), "error_type": "WorkHorseTerminated"}
        # Status as RQ left it in the job object; nothing is read from Redis for it.
        status = job.get_status(refresh=False)
        if status == JobStatus.STOPPED:
            self._tell_end(job, execution, "stopped", None, {"reason": data["error"]})
        elif status in (JobStatus.QUEUED, JobStatus.SCHEDULED):
            self._tell_end(job, execution, "retrying", None, data)
        else:
            self._tell_end(job, execution, "failed", "failed", data)

    @_harmless
    def _tell_end(
        self, job: Job, execution: Execution | None, phase: str, status: Status | None, data: dict[str, Any]
    ) -> None:
        self._emit(job, execution, phase, data, status)


def _name_of(job: Job) -> str:
    try:
        return job.func_name or ""
    except DeserializationError:
        return "(cannot be deserialised)"


class Worker(TracedWorkerMixin, rq.Worker):
    """RQ's forking worker, traced."""
