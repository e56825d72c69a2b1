"""What is told of an RQ job by the process that runs it: its place in a trace, its start, the end of each attempt.

One job is one span, whose id is the job's; RQ's executions of it are the attempts inside. The events of an execution
have ids made from its own (`<execution>:start`, `<execution>:end`), so whoever tells its end, and however often, there
is one. What was seen writes over what somebody else, who saw the job no more, could only presume.
"""

from __future__ import annotations

import logging
import mmap
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import rq
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus
from rq.timeouts import BaseTimeoutException, JobTimeoutException

from sagatrace.context import META_KEY, TraceContext, context_from_meta, trace_meta
from sagatrace.events import MAX_ERROR, Status, TraceEvent, utc_timestamp
from sagatrace.outbox import Draft
from sagatrace.tracer import Tracer, error_data

if TYPE_CHECKING:
    from rq.worker.base import BaseWorker as _WorkerBase
else:
    _WorkerBase = object

__all__ = ["Harmless", "JobTeller", "Place", "TellingMixin", "context_of", "current_trace", "faults", "running"]

log: Final = logging.getLogger("sagatrace")

_STATUSES: Final[Mapping[str, Status]] = {"completed": "success", "failed": "failed", "abandoned": "failed"}
_PAGE: Final = 1 << 16


faults: Final[Counter[str]] = Counter()
"""What went wrong in hooks of workers and queues, by cause, and with it what they were to tell."""


running: Final[ContextVar[TraceContext | None]] = ContextVar("running", default=None)
"""Where the job that runs here stands, as it was before the job could write to its meta."""


class Harmless:
    """`with` it, nothing that goes wrong reaches RQ, but for RQ's own timeout, which may strike inside.

    What every job goes through calls `take` of an `except` instead: a work-horse pays for each function it enters.
    """

    def __init__(self, afterwards: Callable[[], None] | None = None) -> None:
        self._afterwards = afterwards

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, Exception) and self.take(error)

    def take(self, error: Exception) -> bool:
        """Count what went wrong, and log it once; False for RQ's timeout, which must go on."""
        if isinstance(error, BaseTimeoutException):
            return False
        faults[key := type(error).__name__] += 1
        if faults[key] == 1:
            text = "sagatrace: a hook failed, RQ goes on (further ones are counted in jobs.faults, not logged)"
            log.error(text, exc_info=error)
        if self._afterwards is not None:
            with suppress(Exception):  # the fault is counted and logged: this only lets the worker know of it
                self._afterwards()
        return True


class Place(NamedTuple):
    """Where a job's events go, and those of what it does; which attempt it is, and of how many where that is known."""

    context: TraceContext
    inside: TraceContext
    attempt: int
    allowed: int


def current_trace() -> TraceContext | None:
    """Inside a job: the context for what it starts, to be handed on. None outside of a job."""
    job, known = rq.get_current_job(), running.get()
    if job is None or (known is not None and known.span_id == job.id):
        return known if job else None
    return TraceContext(context_of(job).trace_id, job.id)


def context_of(job: Job) -> TraceContext:
    """The context the job was enqueued with, or the top of its own trace."""
    carried = context_from_meta(job.meta)
    if carried is not None:
        return carried
    # A name of the user's own can come again: when it was created tells one run of it from the next.
    named_by_rq = len(job.id) == 36 and job.id.count("-") == 4
    return TraceContext(job.id if named_by_rq else f"{job.id[:200]}-{utc_timestamp(job.created_at)}")


class JobTeller:
    """Tells of a worker's jobs, one at a time; a forked work-horse inherits it, and a page of memory both can write."""

    def __init__(self, tracer: Tracer, facts: Mapping[str, Any]) -> None:
        self.tracer = tracer
        self.errors: dict[str, BaseException] = {}
        self.death = ""  # how the last work-horse ended, where the worker saw it
        self.execution_id: str | None = None  # the one that was begun last
        self.nameless = True  # whether the job's name is still to be told, once it is loaded
        self._facts = facts
        self._places: dict[str, Place] = {}
        self._draft: Draft | None = None  # of the good end of the execution that was begun last
        self._page = mmap.mmap(-1, _PAGE)  # one byte: the end is told; four: the length of what `share` left, and that

    def end(
        self,
        job: Job,
        execution_id: str | None,
        phase: str,
        data: Mapping[str, Any],
        *,
        at: str | None = None,
        replace: bool = True,
    ) -> None:
        """Record how an attempt ended, and when; with `replace=False` an existing end event wins."""
        self.emit(job, execution_id and f"{execution_id}:end", phase, data, at=at, replace=replace)
        if execution_id == self.execution_id:
            self._page[0] = 1

    def failure(
        self, job: Job, execution_id: str | None, said: str, more: Mapping[str, Any], *, at: str | None = None
    ) -> None:
        """Tell that an attempt failed, was stopped or will be tried again: as RQ has just left the job object."""
        status = job.get_status(refresh=False)
        raised_here = job.id in self.errors
        data = {**(self.error_of(job) or {"error": said.strip().rstrip(";")[:MAX_ERROR]}), **more}
        if self.nameless and raised_here:
            with suppress(DeserializationError):
                data["job_name"] = job.func_name
        if self.death:
            data.setdefault("error_type", "WorkHorseTerminated")
            data["reason"] = self.death
        if status == JobStatus.STOPPED:
            self.end(job, execution_id, "stopped", {"reason": data["error"]}, at=at)
        elif status in (JobStatus.QUEUED, JobStatus.SCHEDULED):
            self.end(job, execution_id, "retrying", data, at=at)
        else:
            data.pop("next_at", None)
            self.end(job, execution_id, "failed", data, at=at)

    def error_of(self, job: Job) -> dict[str, Any]:
        """What the job raised here; empty if nothing is known of it."""
        error = self.errors.pop(job.id, None)
        if error is None:
            return {}
        data: dict[str, Any] = dict(error_data(error))
        if isinstance(error, JobTimeoutException):
            data["reason"] = "timeout"
        return data

    def carry(self, job: Job, *, wait: float = 0, allowed: int = 0) -> dict[str, Any]:
        """Put the context and the number of the next attempt where RQ's own write of a retry will save them.

        Gives what the end of this attempt says of the next, which begins in `wait` seconds.
        """
        place = self.place_of(job)
        if "unserialized" not in job.meta:  # RQ's stand-in for what it could not read, and will write back as it was
            # RQ saves with it when this attempt started: an attempt that finds another time is not the next one.
            counts = {"attempt": place.attempt + 1, "attempts_allowed": allowed, "after": _text_of(job.started_at)}
            job.meta[META_KEY] = {**trace_meta(place.context)[META_KEY], **counts}
        data: dict[str, Any] = {"attempts_allowed": max(allowed, place.attempt + (job.retries_left or 0))}
        if wait:
            data["next_at"] = utc_timestamp(datetime.now(UTC) + timedelta(seconds=wait))
        return data

    def begin_again(self, job: Job) -> float:
        """Put the context, without any count, where RQ's own write of a repetition will save it.

        Returns the seconds until the next run.
        """
        if "unserialized" not in job.meta:
            job.meta[META_KEY] = trace_meta(self.place_of(job).context)[META_KEY]
        return rq.Repeat.get_interval(0, job.repeat_intervals) if job.repeat_intervals else 0

    def repeat(self, job: Job, execution_id: str | None, *, wait: float, at: str) -> None:
        """Record that the job waits for its next run, which RQ has just arranged: after the end of this one."""
        data: dict[str, Any] = {"job_id": job.id, "queue": job.origin, **self._facts}
        if wait:
            data["scheduled_for"] = utc_timestamp(datetime.now(UTC) + timedelta(seconds=wait))
        self.tracer.emit(
            f"job:{'scheduled' if wait else 'enqueued'}",
            self.place_of(job).context,
            span_id=job.id,
            data=data,
            event_id=execution_id and f"{execution_id}:repeat",
            timestamp=at,
        )

    def share(self, job: Job | None = None) -> None:
        """Leave for the worker what this process lost, and what the job raised."""
        errors = {job.id: self.error_of(job)} if job else {}
        text = msgspec.json.encode({"lost": self.tracer.lost, "faults": faults, "errors": errors})
        if len(text) < _PAGE - 5:
            self._page[1 : 5 + len(text)] = len(text).to_bytes(4) + text

    def place_of(self, job: Job) -> Place:
        """As it was when the job started: the job may have overwritten its meta since."""
        place = self._places.get(job.id)
        if place is None:
            carried = job.meta.get(META_KEY)
            known = carried if isinstance(carried, dict) and not _is_over(job, carried) else {}
            attempt, allowed = known.get("attempt"), known.get("attempts_allowed")
            context = context_of(job)
            place = self._places[job.id] = Place(
                context,
                TraceContext(context.trace_id, job.id),
                attempt if isinstance(attempt, int) else 1,
                allowed if isinstance(allowed, int) else 0,
            )
        return place

    def emit(
        self,
        job: Job,
        event_id: str | None,
        phase: str,
        data: Mapping[str, Any],
        *,
        at: str | None = None,
        replace: bool = False,
    ) -> TraceEvent | None:
        """Write one event of the job's span."""
        place = self.place_of(job)
        event = self.tracer.emit(
            f"job:{phase}",
            place.context,
            span_id=job.id,
            status=_STATUSES.get(phase),
            event_id=event_id,
            data={"job_id": job.id, "attempt": place.attempt, **self._facts, **data},
            timestamp=at,
            replace=replace,
        )
        if self.tracer.lost:
            self.share()
        return event

    def start(self, job: Job, data: Mapping[str, Any], *, asked: Mapping[str, Any] | None) -> None:
        """Tell that an attempt starts, and write down how it will have ended if it goes well, for `finish`.

        `asked` is what the user wants told as well, None where nothing ever is. As drafts where that can be: what is
        told of every job is paid for by every job, in memory that is cold in the worker and copied for a work-horse.
        """
        place = self.place_of(job)
        own = {"job_id": job.id, "attempt": place.attempt, **self._facts}
        where = {"trace_id": place.context.trace_id, "span_id": job.id}
        if place.context.span_id is not None:
            where["parent_span_id"] = place.context.span_id
        event_id = f"{self.execution_id}:start"
        if asked is not None:  # whatever that holds: only `emit` takes anything
            self.emit(job, event_id, "started", {**data, **asked})
            return
        started = {"id": event_id, "event_type": "job:started", "data": {**own, **data}}
        draft = self.tracer.draft({**started, **where})
        if draft is None or not draft.keep():
            self.emit(job, event_id, "started", data)
        if not self.nameless:
            end = {"id": f"{self.execution_id}:end", "event_type": "job:completed", "status": "success", "data": own}
            self._draft = self.tracer.draft({**end, **where}, replace=True)

    def finish(self, job: Job, at: str) -> bool:
        """Tell that the attempt that was begun last went well, as it was written down; False where it was not."""
        draft = self._draft
        if draft is None or draft.span_id != job.id or not draft.keep(at):
            return False
        self._page[0] = 1
        return True

    def complete(self, job: Job, execution_id: str | None, data: Mapping[str, Any], at: str) -> None:
        """Tell that an attempt went well."""
        if self.nameless:  # and RQ has loaded the job since
            data = {"job_name": job.func_name, **data}
        self.end(job, execution_id, "completed", data, at=at)


def _is_over(job: Job, carried: Mapping[str, Any]) -> bool:
    """Return whether the counts that a job carries are those of an earlier run.

    A retry leaves them in the job's meta, and nothing removes them: a scheduler or a requeue begins a run with them.
    """
    after = carried.get("after")
    waits = job.get_status(refresh=False) != JobStatus.STARTED  # one that runs already began after that
    return after is not None and waits and after != _text_of(job.started_at)


def _text_of(moment: datetime | None) -> str:
    return utc_timestamp(moment) if moment is not None else ""


class TellingMixin(_WorkerBase):
    """A worker's teller, made on first use and never in `__init__`: RQ builds workers also just to list them."""

    tracer: Tracer | None = None
    _make_teller = JobTeller

    def job_data(self, job: Job, phase: str) -> dict[str, Any]:  # noqa: ARG002 - for those who override it
        """More for the data of a job's start or completion; nothing, unless overridden to ask for arguments, say."""
        return {}

    @cached_property
    def _teller(self) -> JobTeller:
        return self._make_teller(self._tracer, {"worker": self.name, "host": self.hostname})

    @cached_property
    def _tracer(self) -> Tracer:
        return self.tracer or Tracer()

    @cached_property
    def _harmless(self) -> Harmless:
        return Harmless(lambda: self._teller.share())
