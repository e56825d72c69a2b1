"""The reason to record beside the error of a job, if the error is not of the job's own function."""

from __future__ import annotations

from typing import Final

from rq.job import Job
from rq.timeouts import JobTimeoutException

from sagatrace.interruptions import traceback_of

__all__ = ["reason_of"]

_CALLBACKS: Final = {
    "execute_success_callback": "the on_success callback failed; the function had succeeded",
    "execute_failure_callback": "the on_failure callback failed; the function had failed before",
}


def reason_of(error: BaseException, job: Job) -> dict[str, str]:
    """Return the reason to record beside an error, if it is RQ's timeout or not of the job's own function."""
    trace = traceback_of(error)
    while trace is not None:
        values, name = trace.tb_frame.f_locals, trace.tb_frame.f_code.co_name
        # RQ 3 calls a function with the job, RQ 2 a method of it. A job that runs inside this one has its own callback.
        if name in _CALLBACKS and job in (values.get("job"), values.get("self")):
            return {"reason": _CALLBACKS[name]}
        trace = trace.tb_next
    return {"reason": "timeout"} if issubclass(type(error), JobTimeoutException) else {}
