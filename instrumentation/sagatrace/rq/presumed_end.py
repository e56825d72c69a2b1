"""Record the end of an execution whose work-horse recorded no end, from the job's state in Redis."""

from __future__ import annotations

from time import time
from typing import Any

from redis import Redis, RedisError
from rq.job import Job, JobStatus

from sagatrace.error_text import MAX_ERROR, MAX_STACK
from sagatrace.rq.job_lookup import Aftermath, read_aftermath
from sagatrace.rq.recorder import JobRecorder
from sagatrace.timestamps import utc_timestamp

__all__ = ["record_abandoned", "record_missing_end"]


def record_missing_end(
    recorder: JobRecorder, connection: Redis, job: Job, error: BaseException | None, *, is_spawned: bool
) -> None:
    """Record the end of the latest execution. `error` is the exception that ended the worker. Raises RedisError."""
    data: dict[str, Any] = {"reason": f"the worker ended by {type(error).__name__}"} if error else {}
    phase, presumed, at = "retrying" if job.retries_left else "abandoned", True, None
    if not isinstance(error, RedisError):
        found = read_aftermath(connection, job.id, job.origin, recorder.execution_id)
        # RQ removes a successful job immediately if its result is not kept. The work-horses that RQ 2 spawns
        # record no end. Any other job that is gone was deleted while it ran, and its end is unknown.
        went_well = found.is_gone and error is None and is_spawned
        phase = "completed" if went_well else found.phase
        presumed = not found.is_known
        at = utc_timestamp(found.ended_at) if found.ended_at else None
        data = {**_data_of(found), **data}
    if presumed:
        data["presumed"] = True
    # A spawned work-horse shares no memory with the worker. It may have recorded an end with more detail.
    replace = not presumed and not is_spawned
    raised = recorder.raised.pop(job.id, None)
    noted = recorder.page.read().get("error") or {}
    data |= noted
    recorder.record(job, recorder.execution_id, "end", phase, data, error=raised, at=at, replace=replace)


def record_abandoned(recorder: JobRecorder, connection: Redis, job: Job) -> None:
    """Record that an execution was abandoned, before RQ removes it from its registry. Raises RedisError."""
    if job.get_status(refresh=False) != JobStatus.STARTED:
        return
    more = recorder.places.carry(job, wait=job.get_retry_interval()) if job.should_retry else {}
    data = {**more, "presumed": True, "reason": "the worker was lost: it gave no sign of life"}
    phase = "retrying" if job.should_retry else "abandoned"
    rows: list[Any] = list(connection.zrangebyscore(job.started_job_registry.key, 0, time()))
    for row in rows:
        job_id, _, execution_id = row.decode().rpartition(":")
        if job_id == job.id:
            recorder.record(job, execution_id, "end", phase, data, replace=False)


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
