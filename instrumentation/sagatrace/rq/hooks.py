"""The hooks of a traced worker. Each hook calls RQ's method, then records the result.

Each event is recorded after RQ's commit. An end has the time before the commit, because the next attempt or job may
begin right after the commit.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import rq
from rq.job import Job

from sagatrace.context import Execution, enter_execution
from sagatrace.faults import Harmless
from sagatrace.rq.job_facts import execution_id_of, facts_of, loaded_name_of
from sagatrace.rq.recorder import JobRecorder
from sagatrace.rq.redis_address import place_of_redis
from sagatrace.timestamps import utc_timestamp
from sagatrace.tracer import Tracer

if TYPE_CHECKING:
    from rq.executions import Execution as _RqExecution
    from rq.worker.base import BaseWorker as _WorkerBase
else:
    _WorkerBase = object

__all__ = ["RecordingMixin"]


class RecordingMixin(_WorkerBase):
    """Record the start and the end of jobs, in RQ's worker and in its work-horse."""

    tracer: Tracer | None = None

    def job_data(self, job: Job, phase: str) -> dict[str, Any]:  # noqa: ARG002 - subclasses use them
        """Return additional data for the start or completion of a job. Override it, for example to record arguments.

        Args:
            job: The RQ job.
            phase: `started` or `completed`.
        """
        return {}

    @cached_property
    def _recorder(self) -> JobRecorder:
        return JobRecorder(self.tracer or Tracer(), {"worker": self.name, "host": self.hostname})

    @cached_property
    def _harmless(self) -> Harmless:
        return Harmless(lambda: self._recorder.leave_note())

    @cached_property
    def _redis(self) -> str | None:
        return place_of_redis(self.connection)

    def prepare_execution(self, job: Job) -> _RqExecution:
        """Record that the job started. This runs in the worker, before any fork."""
        execution = super().prepare_execution(job)
        with self._harmless:
            recorder = self._recorder
            recorder.begin(execution.id)
            place = recorder.places.of(job)
            # The work-horse inherits this place. Read it before the job can overwrite its meta.
            enter_execution(Execution(execution.id, job.id, place.inside))
            allowed = max(place.allowed, place.attempt + (job.retries_left or 0))
            data = {**facts_of(job), **place.declared, "redis": self._redis, "attempts_allowed": allowed}
            data |= self._asked(job, "started")
            start = recorder.record(job, execution.id, "start", "started", data)
            # Without a start that names the job, the end must do so.
            if start is not None and "job_name" in data and type(self).job_data is RecordingMixin.job_data:
                recorder.prepare_end(job, start)
        return execution

    def handle_exception(self, job: Job, *exc_info: Any) -> Any:
        """Keep the exception for the event, because RQ keeps only its text."""
        with self._harmless:
            self._recorder.raised[job.id] = exc_info[1]
        return self._noting(job, super().handle_exception, job, *exc_info)

    def handle_job_success(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Record that the job completed."""
        execution_id, repeats = execution_id_of(job, self, kwargs), bool(job.repeats_left)
        if repeats:
            with self._harmless:
                self._recorder.places.keep_meta(job)
        at = utc_timestamp()
        super().handle_job_success(job, *args, **kwargs)
        with self._harmless:
            if not self._recorder.finish(execution_id, at):
                data = {**loaded_name_of(job), **self._asked(job, "completed")}
                self._recorder.record(job, execution_id, "end", "completed", data, at=at)
            if repeats:
                self._recorder.repeat(job, execution_id, at)

    def handle_job_failure(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Record that the job failed, was stopped or will be retried."""
        execution_id, more = execution_id_of(job, self, kwargs), dict[str, Any]()
        with self._harmless:
            if job.should_retry:
                more = self._recorder.places.carry(job, wait=job.get_retry_interval())
        at = utc_timestamp()
        self._noting(job, super().handle_job_failure, job, *args, **kwargs)
        with self._harmless:
            self._recorder.failure(job, execution_id, kwargs.get("exc_string", ""), {**loaded_name_of(job), **more}, at)

    def handle_job_retry(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Record that the job returned a Retry. RQ retries it, or fails it after too many retries."""
        execution_id, more = execution_id_of(job, self, kwargs), dict[str, Any]()
        with self._harmless:
            retry = kwargs.get("retry") or args[1]
            wait = rq.Retry.get_interval(job.number_of_retries or 0, retry.intervals)
            more = {**self._recorder.places.carry(job, wait=wait, allowed=retry.max + 1), "error_type": "Retry"}
        at = utc_timestamp()
        super().handle_job_retry(job, *args, **kwargs)
        with self._harmless:
            self._recorder.failure(job, execution_id, "the job returned Retry", more, at)

    def _asked(self, job: Job, phase: str) -> dict[str, Any]:
        """Return the data of the user's `job_data`. A fault in it loses these values, not the event."""
        with self._harmless:
            return dict(self.job_data(job, phase))
        return {}

    def _noting(self, job: Job, call: Any, *args: Any, **kwargs: Any) -> Any:
        """Call RQ. If RQ cannot handle the job's error and ends the work-horse, leave a note for the worker."""
        try:
            return call(*args, **kwargs)
        except BaseException:
            with self._harmless:
                self._recorder.leave_note(job)
            raise
