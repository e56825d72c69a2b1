"""How an attempt of a job failed: the phase, the reason and further data beside the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rq.job import Job, JobStatus
from rq.timeouts import JobTimeoutException

from sagatrace.error_text import MAX_ERROR, causes_of
from sagatrace.interruptions import traceback_of

__all__ = ["failure_of"]

_PHASES: Final = {JobStatus.STOPPED: "stopped", JobStatus.QUEUED: "retrying", JobStatus.SCHEDULED: "retrying"}
_CALLBACKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "execute_success_callback": {
        "reason": "the on_success callback failed; the function had succeeded",
        "took_effect": True,
    },
    "execute_failure_callback": {"reason": "the on_failure callback failed; the function had failed before"},
}


def failure_of(
    job: Job, error: BaseException | None, text: str, noted: Mapping[str, Any], death: str
) -> tuple[str, dict[str, Any]]:
    """Return the phase and the data of an attempt that failed, was stopped or will be retried.

    Args:
        job: The job, with its status in this process.
        error: Its exception, if it was raised in this process. `Tracer.emit` reads it.
        text: RQ's text of the error.
        noted: The error that the work-horse noted.
        death: How the work-horse ended, if it was killed.
    """
    phase = _PHASES.get(job.get_status(refresh=False), "failed")
    data: dict[str, Any] = {"error": text.strip().rstrip(";")[:MAX_ERROR], **noted}
    if error is not None:
        data = {**causes_of(error), **_reason_of(error, job)}
    elif death:
        data = {"error_type": "WorkHorseTerminated", **data, "reason": death}
    elif phase == "stopped":
        data = {"reason": data["error"]}
    return phase, data


def _reason_of(error: BaseException, job: Job) -> Mapping[str, Any]:
    """Return the reason to record beside an error, if it is RQ's timeout or not of the job's own function."""
    trace = traceback_of(error)
    while trace is not None:
        values, name = trace.tb_frame.f_locals, trace.tb_frame.f_code.co_name
        # RQ 3 passes the job to a function, RQ 2 calls a method of it. A job inside this one has its own callback.
        if name in _CALLBACKS and job in (values.get("job"), values.get("self")):
            return _CALLBACKS[name]
        trace = trace.tb_next
    return {"reason": "timeout"} if issubclass(type(error), JobTimeoutException) else {}
