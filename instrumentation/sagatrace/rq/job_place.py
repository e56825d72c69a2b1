"""The place of a job in its trace. It is read from the job's meta and carried into the next attempt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import rq
from rq.job import Job, JobStatus

from sagatrace.context import META_KEY, TraceContext, context_from_meta, current_execution, open_undos, trace_meta
from sagatrace.rq.job_facts import meta_of, own_trace_id
from sagatrace.timestamps import utc_timestamp

__all__ = ["WORK_HORSE", "JobPlaces", "Place", "context_of", "current_trace", "declared_in", "trace_of"]

WORK_HORSE: Final = "SAGATRACE_WORK_HORSE"
"""The environment variable by which a worker passes the context to a work-horse that it spawns."""
_DECLARED: Final = ("compensation", "original_span_id", "reason")


class Place(NamedTuple):
    """The place of a job in its trace.

    Attributes:
        context: The place of the job.
        inside: The place of the work inside the job.
        attempt: The number of the attempt, from 1.
        allowed: The number of attempts allowed; 0 if unknown.
        declared: The name of the job's compensation, or the step that the job undoes.
    """

    context: TraceContext
    inside: TraceContext
    attempt: int
    allowed: int
    declared: dict[str, str]


def current_trace() -> TraceContext | None:
    """Return the context to pass on to the work that the running job starts; None outside of a job.

    It works in the job and its threads, in callbacks and in exception handlers. Inside an open compensation it returns
    the compensation.
    """
    for undo in open_undos():
        return TraceContext(undo.trace_id, undo.span_id)
    job, here = rq.get_current_job(), current_execution()
    known = here.inside
    if job is not None and (known is None or job.id not in (here.job_id, known.span_id)):
        return trace_of(job)  # a job that runs inside another job, from a queue that is not traced
    if known is None and WORK_HORSE in os.environ:
        from sagatrace.rq.spawned import context_of_spawned_horse  # only in the work-horses that RQ 2 spawns

        return context_of_spawned_horse()
    return known


def trace_of(job: Job) -> TraceContext:
    """Return the context for work below the job. Any process that has the `Job` can call it."""
    return TraceContext(context_of(job).trace_id, job.id)


def context_of(job: Job) -> TraceContext:
    """Return the context that the job was enqueued with, else the top of the job's own trace."""
    return context_from_meta(meta_of(job)) or TraceContext(own_trace_id(job))


class JobPlaces:
    """The places of jobs at their start. They are kept because a job may overwrite its meta."""

    def __init__(self) -> None:
        self._known: dict[str, Place] = {}

    def clear(self) -> None:
        """Forget all jobs."""
        self._known.clear()

    def of(self, job: Job) -> Place:
        """Return the job's place. The first call reads it from the job's meta."""
        place = self._known.get(job.id)
        if place is None:
            meta, context = meta_of(job), context_of(job)
            carried = meta.get(META_KEY)
            known = carried if isinstance(carried, dict) and not _is_over(job, carried) else {}
            counts = known.get("attempt"), known.get("attempts_allowed")
            attempt, allowed = (count if isinstance(count, int) else 0 for count in counts)
            inside = TraceContext(context.trace_id, job.id)
            place = self._known[job.id] = Place(context, inside, attempt or 1, allowed, declared_in(meta))
        return place

    def carry(self, job: Job, *, wait: float = 0, allowed: int = 0) -> dict[str, Any]:
        """Put the context and the number of the next attempt into the meta that RQ saves with a retry.

        The next attempt begins in `wait` seconds. Return its data for the end event of this attempt.
        """
        place = self.of(job)
        # `after` is the start of this attempt. If a later attempt finds another start in the job, it is of a later run.
        after = "" if job.started_at is None else utc_timestamp(job.started_at)
        self._write_meta(job, {"attempt": place.attempt + 1, "attempts_allowed": allowed, "after": after})
        data: dict[str, Any] = {"attempts_allowed": max(allowed, place.attempt + (job.retries_left or 0))}
        if wait:
            data["next_at"] = utc_timestamp(datetime.now(UTC) + timedelta(seconds=wait))
        return data

    def keep_meta(self, job: Job) -> None:
        """Put the context, without attempt counts, into the meta that RQ saves for the next run."""
        self._write_meta(job, {})

    def _write_meta(self, job: Job, counts: Mapping[str, Any]) -> None:
        if "unserialized" not in job.meta:  # RQ could not read this meta and writes it back unchanged
            place = self.of(job)
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
