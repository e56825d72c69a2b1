"""The worker's own part: it keeps a shipper running, and records ends that its work-horses could not record.

A work-horse records no end if it exits by `os._exit(0)`, or is killed after RQ has its result. RQ has no hook for that,
nor for a worker that ends abruptly. So after each job the worker checks whether an end was recorded. If not, it reads
the job's state from Redis.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from time import monotonic, time
from typing import Any, Final

import rq
from redis import RedisError
from rq.job import Job, JobStatus

from sagatrace.context import Execution, current_execution, enter_execution
from sagatrace.event import utc_timestamp
from sagatrace.outbox import outbox_directory
from sagatrace.rq.hooks import RecordingMixin
from sagatrace.rq.job_lookup import Aftermath, read_aftermath
from sagatrace.rq.recorder import Harmless, faults, trace_of
from sagatrace.rq.redis_address import NO_URL, url_of_redis
from sagatrace.rq.spawned import export_context, withdraw_context
from sagatrace.settings import Settings
from sagatrace.shipper.launcher import ShipperKeeper
from sagatrace.tracer import MAX_ERROR, MAX_STACK

__all__ = ["TracedWorkerMixin"]

_LOOK: Final = 5  # seconds between two looks at the shipper


class TracedWorkerMixin(RecordingMixin):
    """Put before a worker class of your own: `class MyWorker(TracedWorkerMixin, rq.Worker)`."""

    _keeper: ShipperKeeper | None = None
    _look_at = 0.0
    _outbox_before: str | None = None  # SAGATRACE_OUTBOX as it was, if this worker has set it

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Start a shipper beside the worker, unless one runs already or events go straight to a store."""
        with self._harmless:
            self._keep_shipper()
        super().bootstrap(*args, **kwargs)

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """Check the shipper as well, in case it died."""
        super().heartbeat(*args, **kwargs)
        if self._keeper is not None and monotonic() >= self._look_at:  # there are five heartbeats a job
            with self._harmless:
                self._look_at = monotonic() + _LOOK
                self._keeper.attend()

    def teardown(self) -> None:
        """End when the events are in the store, or after SAGATRACE_MAX_WAIT: the shipper keeps delivering."""
        super().teardown()  # type: ignore[no-untyped-call]
        if self._keeper is not None:
            with self._harmless:
                if self._outbox_before is not None:
                    os.environ.pop("SAGATRACE_OUTBOX", None)
                    os.environ.update({"SAGATRACE_OUTBOX": self._outbox_before} if self._outbox_before else {})
                self._keeper.close()

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Run the job as RQ does, then ensure that its end is recorded."""
        around = current_execution()  # of a job that runs this worker, if there is one
        with self._harmless:
            if isinstance(self, rq.SpawnWorker):
                export_context(trace_of(job))
        try:
            super().execute_job(job, queue)
        except BaseException as error:
            with self._harmless:
                self._ensure_end(job, error)
            raise
        finally:
            enter_execution(around)
            withdraw_context()
        with self._harmless:
            self._ensure_end(job, None)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int | None, rusage: Any) -> None:
        """Keep how the work-horse ended. RQ then records a failure."""
        with self._harmless:
            self._recorder.death = _death(ret_val)
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]

    def clean_registries(self) -> None:
        """Record the jobs that RQ finds abandoned by a lost worker."""

        def handler(job: Job, *_: object) -> None:
            with self._harmless:
                enter_execution(Execution(inside=trace_of(job)))  # for the handlers after this one
                self._record_abandoned(job)

        around, classes = current_execution(), [queue.job_class for queue in self.queues]
        self._exc_handlers.insert(0, handler)
        try:
            for queue, job_class in zip(self.queues, classes, strict=True):
                queue.job_class = _placed(job_class)
            super().clean_registries()  # type: ignore[no-untyped-call]
        finally:
            for queue, job_class in zip(self.queues, classes, strict=True):
                queue.job_class = job_class
            self._exc_handlers.remove(handler)
            enter_execution(around)

    def _keep_shipper(self) -> None:
        if self.tracer is not None and not self.tracer.by_environment:
            return
        settings = Settings.from_env()
        directory = outbox_directory(settings, in_worker=True)
        if directory is not None:
            if settings.is_outbox_automatic:
                # For the tracers of the jobs as well: there is a shipper now.
                self._outbox_before = os.environ.get("SAGATRACE_OUTBOX", "")
                os.environ["SAGATRACE_OUTBOX"] = settings.outbox_of_worker
            environment = {"SAGATRACE_REDIS_URL": url_of_redis(self.connection) or NO_URL}
            self._keeper = ShipperKeeper(directory, flush_for=settings.max_wait, environment=environment)
            self._keeper.attend()

    def _ensure_end(self, job: Job, error: BaseException | None) -> None:
        recorder = self._recorder
        recorder.death = ""
        # So that the next work-horse, which inherits the counts, does not log the same cause again.
        if note := recorder.note():
            recorder.tracer.lost |= Counter(note["lost"])
            for kind, count in note["faults"].items():
                faults[kind] = max(faults[kind], count)
        if recorder.has_end:
            return
        data: dict[str, Any] = {"reason": f"the worker ended by {type(error).__name__}"} if error else {}
        phase, presumed, at = "retrying" if job.retries_left else "abandoned", True, None
        if not isinstance(error, RedisError):
            found = read_aftermath(self.connection, job.id, job.origin, recorder.execution_id)
            # RQ removes a successful job immediately if its result is not kept. The work-horses that RQ 2 spawns
            # record no end. Any other job that is gone was deleted while it ran, and its end is unknown.
            went_well = found.is_gone and error is None and isinstance(self, rq.SpawnWorker)
            phase = "completed" if went_well else found.phase
            presumed = not found.is_known
            at = utc_timestamp(found.ended_at) if found.ended_at else None
            data = {**_data_of(found), **data}
        if presumed:
            data["presumed"] = True
        # A spawned work-horse shares no memory. It may have recorded the end itself, with more detail.
        replace = not presumed and not isinstance(self, rq.SpawnWorker)
        raised = recorder.raised.pop(job.id, None)
        noted = recorder.note().get("error") or {}
        recorder.end(job, recorder.execution_id, phase, {**data, **noted}, error=raised, at=at, replace=replace)

    def _record_abandoned(self, job: Job) -> None:
        """Record an abandoned execution, before RQ removes it from its registry."""
        if job.get_status(refresh=False) != JobStatus.STARTED:
            return
        recorder = self._recorder
        more = recorder.carry(job, wait=job.get_retry_interval()) if job.should_retry else {}
        data = {**more, "presumed": True, "reason": "the worker was lost: it gave no sign of life"}
        phase = "retrying" if job.should_retry else "abandoned"
        rows: list[Any] = list(self.connection.zrangebyscore(job.started_job_registry.key, 0, time()))
        for row in rows:
            job_id, _, execution_id = row.decode().rpartition(":")
            if job_id == job.id:
                recorder.end(job, execution_id, phase, data, replace=False)


def _placed(job_class: type[Job]) -> type[Job]:
    """Return a class of jobs whose on_failure callback knows the job's context: RQ has no hook before it."""

    def failure_callback(job: Job) -> Any:
        with Harmless():
            enter_execution(Execution(inside=trace_of(job)))
        return job_class.failure_callback.fget(job)  # type: ignore[attr-defined]

    return type(job_class.__name__, (job_class,), {"failure_callback": property(failure_callback)})


def _data_of(found: Aftermath) -> dict[str, Any]:
    """Return the evidence for the end, the time of the retry, and the error that RQ kept."""
    data: dict[str, Any] = {"reason": found.reason}
    if found.phase == "retrying" and found.next_at is not None:
        data["next_at"] = utc_timestamp(found.next_at)
    if found.error:
        data["error"] = found.error.strip().rpartition("\n")[2][:MAX_ERROR]
        data["stack"] = found.error[-MAX_STACK:]
    if found.took_effect:
        data["took_effect"] = True
    return data


def _death(status: int | None) -> str:
    if status is None:
        return "the work-horse was killed 60 s after the job's timeout"
    if os.WIFSIGNALED(status):
        return f"the work-horse was killed by signal {os.WTERMSIG(status)} ({signal.strsignal(os.WTERMSIG(status))})"
    return f"the work-horse left with status {os.waitstatus_to_exitcode(status)}"
