"""Record an RQ job: its start, and the end of each attempt.

One job is one span with the job's id. RQ's executions of the job are its attempts. The ids of an execution's events are
`<execution>:start` and `<execution>:end`. So an execution has one end, even if it is recorded twice. An observed end
overwrites a presumed end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import rq
from rq.job import Job

from sagatrace.error_text import error_data
from sagatrace.event import Status, TraceEvent
from sagatrace.faults import faults
from sagatrace.rq.job_failure import failure_of
from sagatrace.rq.job_place import JobPlaces
from sagatrace.rq.prepared_end import prepared_end
from sagatrace.rq.shared_page import SharedPage
from sagatrace.timestamps import utc_timestamp
from sagatrace.tracer import Tracer

__all__ = ["JobRecorder"]

_STATUSES: Final[Mapping[str, Status]] = {"completed": "success", "failed": "failed", "abandoned": "failed"}


class JobRecorder:
    """Record a worker's jobs, one at a time. A forked work-horse inherits the recorder and shares memory with it."""

    def __init__(self, tracer: Tracer, facts: Mapping[str, Any]) -> None:
        self.tracer, self._facts = tracer, facts
        self.raised: dict[str, BaseException] = {}  # by job id: RQ keeps only the text of an exception
        self.death = ""  # how the last work-horse ended, if the worker saw it
        self.execution_id: str | None = None  # the latest execution
        self.places = JobPlaces()
        self._prepared: Callable[[str], bool] | None = None  # records the successful end of that execution
        self.page = SharedPage()

    def begin(self, execution_id: str) -> None:
        """Begin an execution. Forget the previous job."""
        self.places.clear()
        self.raised.clear()
        self.death, self.execution_id, self._prepared = "", execution_id, None
        self.page.clear()

    @property
    def has_end(self) -> bool:
        """Whether this process or its work-horse recorded the end of the execution that began last."""
        return self.execution_id is None or self.page.has_end

    def leave_note(self, job: Job | None = None) -> None:
        """Leave a note for the worker: the counts of lost events, and the job's error if RQ could not handle it."""
        error = None if job is None else self.raised.get(job.id)
        noted = None if error is None else error_data(error)
        self.page.write({"lost": self.tracer.lost, "faults": faults, "error": noted})

    def record(
        self,
        job: Job,
        execution_id: str | None,
        moment: Literal["start", "end", "repeat"],
        phase: str,
        data: Mapping[str, Any],
        *,
        error: BaseException | None = None,
        at: str | None = None,
        replace: bool = True,
    ) -> TraceEvent | None:
        """Record an event of the job's span: the start of an attempt, its end, or that the job will run again.

        An end overwrites another end of the same execution, unless `replace` is false. Return None if it was lost.
        """
        place = self.places.of(job)
        event = self.tracer.emit(
            f"job:{phase}",
            place.context,
            span_id=job.id,
            status=_STATUSES.get(phase),
            event_id=execution_id and f"{execution_id}:{moment}",
            data={"job_id": job.id, "attempt": place.attempt, **self._facts, **data},
            error=error,
            timestamp=at,
            replace=replace and moment == "end",
        )
        if self.tracer.lost:
            self.leave_note()
        if event is not None and moment == "end" and execution_id == self.execution_id:
            self.page.mark_end()
        return event

    def prepare_end(self, job: Job, start: TraceEvent) -> None:
        """Prepare the successful end of the execution that this event began, so that its work-horse only writes it."""
        data = {"job_id": job.id, "attempt": self.places.of(job).attempt, **self._facts}
        self._prepared = prepared_end(self.tracer, start, f"{self.execution_id}:end", data)

    def finish(self, execution_id: str | None, at: str) -> bool:
        """Record the prepared end. Return False if there is none, or if it cannot be stored."""
        if self._prepared is None or execution_id != self.execution_id or not self._prepared(at):
            return False
        self.page.mark_end()
        return True

    def failure(self, job: Job, execution_id: str | None, text: str, more: Mapping[str, Any], at: str) -> None:
        """Record that an attempt failed, was stopped or will be retried. The job's status here decides which."""
        error, noted = self.raised.pop(job.id, None), self.page.read().get("error") or {}
        phase, data = failure_of(job, error, text, noted, self.death)
        more = {name: value for name, value in more.items() if name != "next_at" or phase == "retrying"}
        self.record(job, execution_id, "end", phase, {**data, **more}, error=error, at=at)

    def repeat(self, job: Job, execution_id: str | None, at: str) -> None:
        """Record that the job waits for its next run, which RQ has enqueued or scheduled."""
        wait = rq.Repeat.get_interval(0, job.repeat_intervals) if job.repeat_intervals else 0
        due = {"scheduled_for": utc_timestamp(datetime.now(UTC) + timedelta(seconds=wait))} if wait else {}
        phase = "scheduled" if wait else "enqueued"
        self.record(job, execution_id, "repeat", phase, {**due, "attempt": 1}, at=at)
