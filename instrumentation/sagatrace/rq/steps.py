"""Steps of a saga that run as RQ jobs: `Saga.run`. The step is one span, and the job that undoes it is another."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rq import Queue
from rq.job import Job
from rq.results import Result

from sagatrace.context import trace_meta
from sagatrace.faults import Harmless
from sagatrace.rq.queue import TracedQueueMixin
from sagatrace.saga import StepError, name_of

if TYPE_CHECKING:
    from sagatrace.saga import Saga
    from sagatrace.tracer import Tracer

__all__ = ["run_step"]

_OF_GROUP: Final = re.compile(r"^  \| (\S.*)$", re.MULTILINE)  # the line of an exception group in its traceback
_PACKAGE: Final = re.compile(r"^(?:\w+\.)+(?=\w+(?::|$))")
_PAUSE: Final = 0.1  # seconds between two reads of a job that is retried


def run_step(
    saga: Saga,
    queue: Queue,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    *,
    undo: Callable[..., Any] | None,
    timeout: float,
    options: Mapping[str, Any],
) -> Any:
    """Enqueue the step, wait for it and return its result, as described in `Saga.run`.

    Raises:
        StepError: the step failed, or gave no result in time.
        ValueError: an option would drop the step's result.
        TypeError: the queue enqueues the job only after a database transaction.
    """
    dropped = {name for name in ("result_ttl", "failure_ttl") if options.get(name) == 0}
    if dropped:
        raise ValueError(f"saga.run(…, {min(dropped)}=0): RQ would drop the result that the saga waits for")
    meta = trace_meta(saga.span, compensation=None if undo is None else name_of(undo))
    own = {**options, "meta": {**(options.get("meta") or {}), **meta}}
    job = _traced(queue, saga.tracer).enqueue(function, *args, **own)
    if not isinstance(job, Job):  # a queue of django-rq enqueues it at the end of the transaction
        raise TypeError(
            "saga.run in a transaction: its job starts only after the commit; run the saga outside the transaction"
        )
    due = None if undo is None else (None, partial(_undo, saga, queue, job, undo, timeout))
    if due is not None:
        saga.to_undo.append(due)  # before the wait: the step may take effect even if the wait fails
    result = _awaited(job, timeout)
    if result.type is not Result.Type.SUCCESSFUL:
        if due is not None:
            saga.to_undo.remove(due)
        raise _failure(job, result)
    return result.return_value


def _undo(saga: Saga, queue: Queue, step: Job, undo: Callable[..., Any], timeout: float, reason: str) -> None:
    """Run the undo as a job and wait for it. Raises StepError if the job fails, or gives no result in time."""
    try:
        result = _known(step)
        if result is not None and result.type is not Result.Type.SUCCESSFUL:
            return  # the step failed after the saga stopped waiting for it
        meta = trace_meta(saga.span, undoes=step, reason=reason)
        # A step that may still run is undone after it succeeds. If it fails, RQ never runs the undo.
        waits_for = step if result is None else None
        traced = _traced(queue, saga.tracer)
        job = traced.enqueue_call(undo, step.args, step.kwargs, meta=meta, depends_on=waits_for)
    except Exception:
        with saga.tracer.compensation(original=step, parent=saga.span, reason=reason, name=name_of(undo)):
            raise
    result = _awaited(job, timeout)
    if result.type is not Result.Type.SUCCESSFUL:
        raise _failure(job, result)


def _traced(queue: Queue, tracer: Tracer) -> Queue:
    """Return a traced queue. A plain queue does not record that jobs wait, nor the end of jobs that run here.

    A queue that cannot be copied, or has a class that allows no class below it, is returned as it is.
    """
    if not isinstance(queue, TracedQueueMixin):
        with Harmless():
            twin = copy.copy(queue)
            twin.__class__ = type("TracedTwin", (TracedQueueMixin, type(queue)), {"tracer": tracer, "_sync": {}})
            return twin
    return queue


def _awaited(job: Job, timeout: float) -> Result:
    """Return the result of the job's last attempt. Raises StepError if there is none in time."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        result = job.latest_result(timeout=1)  # in short waits, because connections time out
        if result is not None and result.type is not Result.Type.RETRIED:
            return result
        if result is not None:
            time.sleep(_PAUSE)
    raise StepError(f"{_function(job)} gave no result within {timeout:g} s; job {job.id} may still run", job)


def _known(job: Job) -> Result | None:
    """Return the result of the job's last attempt; None if the attempt has no result or is retried."""
    result = job.latest_result()
    return None if result is None or result.type is Result.Type.RETRIED else result


def _failure(job: Job, result: Result) -> StepError:
    text = (result.exc_string or "the job returned Retry once too often").rstrip()
    group = _OF_GROUP.search(text) if text.endswith("+------------------------------------") else None
    last_line = text.rpartition("\n")[2] if group is None else group[1]
    # A traceback writes the error type with its package, which a reader does not need here.
    return StepError(f"{_function(job)}: {_PACKAGE.sub('', last_line)}", job)


def _function(job: Job) -> str:
    return str(job.func_name).rpartition(".")[2]
