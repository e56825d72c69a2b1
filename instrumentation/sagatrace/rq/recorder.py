"""Records an RQ job: its place in a trace, its start, and the end of each attempt.

One job is one span with the job's id. RQ's executions of the job are its attempts. The ids of an execution's events are
`<execution>:start` and `<execution>:end`. So there is one end, however often it is recorded. An observed end overwrites
a presumed one.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
import rq
from rq.job import Job, JobStatus
from rq.timeouts import JobTimeoutException

from sagatrace.context import META_KEY, TraceContext, context_from_meta, current_execution, open_undos, trace_meta
from sagatrace.error_text import causes_of
from sagatrace.errors import SagatraceError, log_fault, must_pass, traceback_of
from sagatrace.event import Status, utc_timestamp
from sagatrace.rq.job_lookup import meta_of, own_trace_id
from sagatrace.rq.spawned import context_of_spawned_horse
from sagatrace.tracer import MAX_ERROR, Tracer, error_data

__all__ = ["Harmless", "JobRecorder", "Place", "context_of", "current_trace", "declared_in", "faults", "trace_of"]

_STATUSES: Final[Mapping[str, Status]] = {"completed": "success", "failed": "failed", "abandoned": "failed"}
_PHASES: Final = {JobStatus.STOPPED: "stopped", JobStatus.QUEUED: "retrying", JobStatus.SCHEDULED: "retrying"}
_CALLBACKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "execute_success_callback": {
        "reason": "the on_success callback failed; the function had succeeded",
        "took_effect": True,
    },
    "execute_failure_callback": {"reason": "the on_failure callback failed; the function had failed before"},
}
_DECLARED: Final = ("compensation", "original_span_id", "reason")
_PAGE: Final = 1 << 17  # bytes: JSON may take six for each character that `error_data` keeps


faults: Final[Counter[str]] = Counter()
"""The faults in hooks of workers and queues, by the type of their error."""


class Harmless:
    """Swallow, count and log the errors in a `with` block. Interruptions that are meant for the job pass."""

    def __init__(self, afterwards: Callable[[], None] = lambda: None) -> None:
        self._afterwards = afterwards

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception) or must_pass(error):
            return False
        faults[key := type(error).__name__] += 1
        if faults[key] == 1:
            is_ours = isinstance(error, SagatraceError)  # its one line says how to fix it
            log_fault(
                "sagatrace: a hook failed, RQ continues (further faults are counted in recorder.faults, not logged)%s",
                f": {error}" if is_ours else "",
                error=None if is_ours else error,
            )
        with suppress(Exception):  # the fault is counted and logged already: this only reports it to the worker
            self._afterwards()
        return True


class Place(NamedTuple):
    """The place of a job and of the work inside it; which attempt it is, and of how many (0 if unknown).

    `declared` holds the name of the compensation, or the step that the job undoes.
    """

    context: TraceContext
    inside: TraceContext
    attempt: int
    allowed: int
    declared: dict[str, str]


def current_trace() -> TraceContext | None:
    """Return the context to pass on to the work that the running job starts; None outside of a job.

    It is known wherever RQ runs the user's code: in the job and its threads, in callbacks and exception handlers.
    Inside a compensation it is the compensation.
    """
    for undo in open_undos():
        return TraceContext(undo.trace_id, undo.span_id)
    job, here = rq.get_current_job(), current_execution()
    known = here.inside
    if job is not None and (known is None or job.id not in (here.job_id, known.span_id)):
        return trace_of(job)  # a job that runs inside another one, from a queue that is not traced
    return known or context_of_spawned_horse()


def trace_of(job: Job) -> TraceContext:
    """Return the context inside a job, for work that belongs below it. Any process that has the job may call it."""
    return TraceContext(context_of(job).trace_id, job.id)


def context_of(job: Job) -> TraceContext:
    """Return the context that the job was enqueued with, or the top of a trace of its own."""
    return context_from_meta(meta_of(job)) or TraceContext(own_trace_id(job))


class JobRecorder:
    """Record a worker's jobs, one at a time. A forked work-horse inherits it, and shares a page of memory with it."""

    def __init__(self, tracer: Tracer, facts: Mapping[str, Any]) -> None:
        self.tracer, self._facts = tracer, facts
        self.raised: dict[str, BaseException] = {}  # by job: RQ passes on only the text of an exception
        self.death = ""  # how the last work-horse ended, if the worker saw it
        self.execution_id: str | None = None  # of the execution that began last
        self._places: dict[str, Place] = {}
        self._prepared: Callable[[str], bool] | None = None  # records the successful end of that execution
        # Byte 0: whether the end is recorded. Bytes 1 to 4: the length of the work-horse's note, which follows.
        self._page = mmap.mmap(-1, _PAGE)

    def begin(self, execution_id: str) -> None:
        """Forget the job before."""
        self._places.clear()
        self.raised.clear()
        self.death, self.execution_id, self._prepared = "", execution_id, None
        self._page[:5] = bytes(5)

    @property
    def has_end(self) -> bool:
        """Whether this process or its work-horse recorded the end of the execution that began last."""
        return self.execution_id is None or bool(self._page[0])

    def leave_note(self, job: Job | None = None) -> None:
        """Leave for the worker the counts of lost events, and the error of a job that RQ could not handle."""
        error = None if job is None else self.raised.get(job.id)
        text = msgspec.json.encode(
            {"lost": self.tracer.lost, "faults": faults, "error": None if error is None else error_data(error)}
        )
        if len(text) < _PAGE - 5:
            self._page[1 : 5 + len(text)] = len(text).to_bytes(4) + text

    def note(self) -> dict[str, Any]:
        """Return the note of the work-horse; empty if there is none."""
        size = int.from_bytes(self._page[1:5])
        return dict(msgspec.json.decode(self._page[5 : 5 + size])) if size else {}

    def record(
        self,
        job: Job,
        event_id: str | None,
        phase: str,
        data: Mapping[str, Any],
        *,
        error: BaseException | None = None,
        at: str | None = None,
        replace: bool = False,
    ) -> bool:
        """Record one event of the job's span. Return False if it was lost."""
        place, known = self.place_of(job), self.tracer.lost.total()
        event = self.tracer.emit(
            f"job:{phase}",
            place.context,
            span_id=job.id,
            status=_STATUSES.get(phase),
            event_id=event_id,
            data={"job_id": job.id, "attempt": place.attempt, **self._facts, **data},
            error=error,
            timestamp=at,
            replace=replace,
        )
        if self.tracer.lost.total() > known:
            self.leave_note()
        return event is not None

    def end(
        self,
        job: Job,
        execution_id: str | None,
        phase: str,
        data: Mapping[str, Any],
        *,
        error: BaseException | None = None,
        at: str | None = None,
        replace: bool = True,
    ) -> None:
        """Record how an attempt ended. With `replace=False` an existing end event wins."""
        end_id = execution_id and f"{execution_id}:end"
        is_kept = self.record(job, end_id, phase, data, error=error, at=at, replace=replace)
        if is_kept and execution_id == self.execution_id:
            self._page[0] = 1

    def prepare_end(self, job: Job) -> None:
        """Prepare the successful end of the execution that began last, so that its work-horse only writes it."""
        place, event_id = self.place_of(job), f"{self.execution_id}:end"
        data = {"job_id": job.id, "attempt": place.attempt, **self._facts}
        self._prepared = self.tracer.prepare(
            "job:completed", place.context, span_id=job.id, event_id=event_id, status="success", data=data
        )

    def finish(self, execution_id: str | None, at: str) -> bool:
        """Record the end that was prepared; return False if there is none, or it cannot be kept."""
        if self._prepared is None or execution_id != self.execution_id or not self._prepared(at):
            return False
        self._page[0] = 1
        return True

    def failure(self, job: Job, execution_id: str | None, text: str, more: Mapping[str, Any], at: str) -> None:
        """Record that an attempt failed, was stopped or will be retried, by the job's status in this process."""
        status, error = job.get_status(refresh=False), self.raised.pop(job.id, None)
        phase = _PHASES.get(status, "failed")
        data: dict[str, Any] = {"error": text.strip().rstrip(";")[:MAX_ERROR], **(self.note().get("error") or {})}
        if error is not None:
            data = {**causes_of(error), **_reason_of(error, job)}
        elif self.death:
            data = {"error_type": "WorkHorseTerminated", **data, "reason": self.death}
        elif phase == "stopped":
            data = {"reason": data["error"]}
        more = {name: value for name, value in more.items() if name != "next_at" or phase == "retrying"}
        self.end(job, execution_id, phase, {**data, **more}, error=error, at=at)

    def place_of(self, job: Job) -> Place:
        """Return the job's place as it was at its start: the job may have overwritten its meta since."""
        place = self._places.get(job.id)
        if place is None:
            meta, context = meta_of(job), context_of(job)
            carried = meta.get(META_KEY)
            known = carried if isinstance(carried, dict) and not _is_over(job, carried) else {}
            counts = known.get("attempt"), known.get("attempts_allowed")
            attempt, allowed = (count if isinstance(count, int) else 0 for count in counts)
            inside = TraceContext(context.trace_id, job.id)
            place = self._places[job.id] = Place(context, inside, attempt or 1, allowed, declared_in(meta))
        return place

    def carry(self, job: Job, *, wait: float = 0, allowed: int = 0) -> dict[str, Any]:
        """Put the context and the number of the next attempt into the meta that RQ saves with a retry.

        Return the data about the next attempt, which begins in `wait` seconds, for the end of this one.
        """
        place = self.place_of(job)
        # `after` is the start of this attempt. An attempt that finds another start in its job is of a later run.
        after = "" if job.started_at is None else utc_timestamp(job.started_at)
        self._write_meta(job, {"attempt": place.attempt + 1, "attempts_allowed": allowed, "after": after})
        data: dict[str, Any] = {"attempts_allowed": max(allowed, place.attempt + (job.retries_left or 0))}
        if wait:
            data["next_at"] = utc_timestamp(datetime.now(UTC) + timedelta(seconds=wait))
        return data

    def repeat(self, job: Job, execution_id: str | None, at: str) -> None:
        """Record that the job waits for its next run, which RQ has just arranged."""
        wait = rq.Repeat.get_interval(0, job.repeat_intervals) if job.repeat_intervals else 0
        due = {"scheduled_for": utc_timestamp(datetime.now(UTC) + timedelta(seconds=wait))} if wait else {}
        event_id = execution_id and f"{execution_id}:repeat"
        self.record(job, event_id, "scheduled" if wait else "enqueued", {**due, "attempt": 1}, at=at)

    def keep_meta(self, job: Job) -> None:
        """Put the context, without any count, into the meta that RQ saves with a repetition."""
        self._write_meta(job, {})

    def _write_meta(self, job: Job, counts: Mapping[str, Any]) -> None:
        if "unserialized" not in job.meta:  # RQ's stand-in for a meta it could not read, and writes back as it was
            place = self.place_of(job)
            job.meta[META_KEY] = {**trace_meta(place.context)[META_KEY], **place.declared, **counts}


def declared_in(meta: Mapping[str, Any]) -> dict[str, str]:
    """Return a job's role in a saga from its meta: the name of its compensation, or the step that it undoes."""
    carried = meta.get(META_KEY)
    values = {name: carried.get(name) for name in _DECLARED} if isinstance(carried, dict) else {}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _is_over(job: Job, carried: Mapping[str, Any]) -> bool:
    """Return whether the counts that a job carries are those of an earlier run, such as before a requeue."""
    after, started = carried.get("after"), "" if job.started_at is None else utc_timestamp(job.started_at)
    is_waiting = job.get_status(refresh=False) != JobStatus.STARTED
    return after is not None and is_waiting and after != started


def _reason_of(error: BaseException, job: Job) -> Mapping[str, Any]:
    """Return the reason to record beside an error, if it is RQ's timeout or not of the job's own function."""
    trace = traceback_of(error)
    while trace is not None:
        values, name = trace.tb_frame.f_locals, trace.tb_frame.f_code.co_name
        # RQ 3 calls a function with the job, RQ 2 a method of it. A job that runs inside this one has its own callback.
        if name in _CALLBACKS and job in (values.get("job"), values.get("self")):
            return _CALLBACKS[name]
        trace = trace.tb_next
    return {"reason": "timeout"} if issubclass(type(error), JobTimeoutException) else {}
