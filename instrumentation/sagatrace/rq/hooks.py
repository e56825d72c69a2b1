"""What only the worker itself does, beside its work-horses: it keeps a shipper, and learns how a work-horse ended.

A work-horse that leaves by `os._exit(0)`, that is killed once RQ has its result, or whose worker is told to end at
once tells nothing, and RQ has no hook for it. So after each job the worker looks whether its end was told, and asks
Redis where it was not.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from functools import cached_property
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import rq
from redis import RedisError
from rq.job import Job, JobStatus

from sagatrace.context import enter_execution
from sagatrace.events import MAX_ERROR, MAX_STACK, utc_timestamp
from sagatrace.outbox import outbox_directory
from sagatrace.rq.job_lookup import Aftermath, facts_of, read_aftermath
from sagatrace.rq.recorder import JobTeller, TellingMixin, faults, running
from sagatrace.rq.redis_address import NO_URL, place_of_redis, url_of_redis
from sagatrace.settings import Settings
from sagatrace.shipper.launcher import ShipperKeeper

if TYPE_CHECKING:
    from rq.executions import Execution

__all__ = ["REDIS_URL", "OverseerMixin"]

REDIS_URL: Final = "SAGATRACE_REDIS_URL"  # what the shipper is told, to look after lost jobs; a user may set it, too


_DONE: Final = b"\1" + bytes(4)


class _Teller(JobTeller):
    """A teller that knows what work-horses left in the page they share."""

    def begin(self, execution_id: str) -> None:
        """Forget the job before; what is left of it is of a work-horse that told its end itself."""
        self._places.clear()
        self.errors.clear()
        self.death, self.execution_id, self._draft = "", execution_id, None
        self._page[:5] = bytes(5)

    @property
    def is_done(self) -> bool:
        """Whether the end is told and no work-horse left anything."""
        return self._page[:5] == _DONE

    @property
    def untold(self) -> bool:
        """Whether neither this process nor its work-horse has told how the execution ended."""
        return self.execution_id is not None and not self._page[0]

    def shared(self) -> dict[str, Any]:
        """What a work-horse left."""
        size = int.from_bytes(self._page[1:5])
        return dict(msgspec.json.decode(self._page[5 : 5 + size])) if size else {}

    def error_of(self, job: Job) -> dict[str, Any]:
        """What the job raised, also in a work-horse that could not tell it."""
        return super().error_of(job) or dict(self.shared().get("errors", {}).get(job.id, {}))


class OverseerMixin(TellingMixin):
    """The worker's part of a traced worker."""

    _make_teller = _Teller
    _teller: _Teller  # pyright: ignore[reportIncompatibleVariableOverride]  # the base's property, as `_make_teller` makes it

    _keeper: ShipperKeeper | None = None
    _attend_at = 0.0

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Start a shipper beside the worker, unless one runs already or events go straight to a store."""
        with self._harmless:
            self._keep_shipper()
        super().bootstrap(*args, **kwargs)

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """See to the shipper, too, in case it died."""
        super().heartbeat(*args, **kwargs)
        if self._keeper is not None and monotonic() >= self._attend_at:  # five times a job: so no more than that
            with self._harmless:
                self._attend_at = monotonic() + 5
                self._keeper.attend()

    def teardown(self) -> None:
        """Leave when what was emitted is in the store, or after SAGATRACE_MAX_WAIT: the shipper goes on with it."""
        super().teardown()  # type: ignore[no-untyped-call]
        with self._harmless:
            if self._keeper is not None:
                self._keeper.close()

    def prepare_execution(self, job: Job) -> Execution:
        """Tell that the job started: still in the worker, before any fork."""
        execution = super().prepare_execution(job)
        enter_execution(execution.id)  # also for the work-horse, which inherits it
        try:
            self._tell_start(job, execution.id)
        except Exception as error:
            if not self._harmless.take(error):
                raise
        return execution

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Run the job as RQ does, then see that its end was told."""
        try:
            super().execute_job(job, queue)
        except BaseException as error:
            with self._harmless:
                self._see_to_the_end(job, error)
            raise
        finally:
            enter_execution(None)
        try:
            self._see_to_the_end(job, None)
        except Exception as error:
            if not self._harmless.take(error):
                raise

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int | None, rusage: Any) -> None:
        """Remember how the work-horse ended, which RQ is about to call a failure."""
        with self._harmless:
            self._teller.death = _death(ret_val)
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]

    def clean_registries(self) -> None:
        """Watch which jobs RQ finds abandoned by a worker that is no more."""

        def handler(job: Job, *_: object) -> None:
            with self._harmless:
                self._tell_abandoned(job)

        self._exc_handlers.insert(0, handler)
        try:
            super().clean_registries()  # type: ignore[no-untyped-call]
        finally:
            self._exc_handlers.remove(handler)

    def _keep_shipper(self) -> None:
        if not self._tracer.by_environment:
            return
        settings = Settings.from_env()
        directory = outbox_directory(settings, in_worker=True)
        if directory is not None:
            environment = {REDIS_URL: url_of_redis(self.connection) or NO_URL}
            self._keeper = ShipperKeeper(directory, flush_for=settings.max_wait, environment=environment)
            self._keeper.attend()

    @cached_property
    def _place_of_redis(self) -> str | None:
        return place_of_redis(self.connection)

    def _tell_start(self, job: Job, execution_id: str) -> None:
        teller = self._teller
        teller.begin(execution_id)
        place = teller.place_of(job)
        running.set(place.inside)  # also for the work-horse, which inherits it: before the job can overwrite its meta
        data = facts_of(job)
        teller.nameless = "job_name" not in data
        data["redis"] = self._place_of_redis
        data["attempts_allowed"] = max(place.allowed, place.attempt + (job.retries_left or 0))
        asks = type(self).job_data is not TellingMixin.job_data
        teller.start(job, data, asked=self.job_data(job, "started") if asks else None)

    def _see_to_the_end(self, job: Job, error: BaseException | None) -> None:
        teller = self._teller
        teller.death = ""
        if teller.is_done:
            return
        # So that the next work-horse, which inherits the counts, does not log the same cause again.
        for counts, name in ((teller.tracer.lost, "lost"), (faults, "faults")):
            counts |= Counter(teller.shared().get(name, {}))
        if not teller.untold:
            return
        data: dict[str, Any] = {"reason": f"the worker ended by {type(error).__name__}"} if error else {}
        phase, presumed, at = "retrying" if job.retries_left else "abandoned", True, None
        if not isinstance(error, RedisError):
            found = read_aftermath(self.connection, job.id, job.origin, teller.execution_id)
            # RQ removes a job at once when it went well and its result is not to be kept; its spawned horses of 2.x
            # tell of none. Any other that is gone was deleted while it ran, and nobody knows how it ended.
            went_well = found.is_gone and error is None and isinstance(self, rq.SpawnWorker)
            phase = "completed" if went_well else found.phase
            presumed = not found.is_known
            at = utc_timestamp(found.ended_at) if found.ended_at else None
            data = {**_data_of(found), **data}
        if presumed:
            data["presumed"] = True
        # A spawned work-horse shares no memory: it may have told the end itself, and better.
        replace = not presumed and not isinstance(self, rq.SpawnWorker)
        teller.end(job, teller.execution_id, phase, {**data, **teller.error_of(job)}, at=at, replace=replace)

    def _tell_abandoned(self, job: Job) -> None:
        """RQ is about to clean up after the worker: so the execution can still be known."""
        if job.get_status(refresh=False) != JobStatus.STARTED:
            return
        more = self._teller.carry(job, wait=job.get_retry_interval()) if job.should_retry else {}
        told = {**more, "presumed": True, "reason": "the worker was lost: it gave no sign of life"}
        phase = "retrying" if job.should_retry else "abandoned"
        rows: list[Any] = list(self.connection.zrangebyscore(job.started_job_registry.key, 0, time()))
        for row in rows:
            job_id, _, execution_id = row.decode().rpartition(":")
            if job_id == job.id:
                self._teller.end(job, execution_id, phase, told, replace=False)


def _data_of(found: Aftermath) -> dict[str, Any]:
    """Where the end is known from, when the job is tried again, and what RQ wrote of its error."""
    data: dict[str, Any] = {"reason": found.reason}
    if found.phase == "retrying" and found.next_at is not None:
        data["next_at"] = utc_timestamp(found.next_at)
    if found.error:
        data["error"] = found.error.strip().rpartition("\n")[2][:MAX_ERROR]
        data["stack"] = found.error[-MAX_STACK:]
    return data


def _death(status: int | None) -> str:
    if status is None:
        return "the work-horse was killed 60 s after the job's timeout"
    if os.WIFSIGNALED(status):
        return f"the work-horse was killed by signal {os.WTERMSIG(status)} ({signal.strsignal(os.WTERMSIG(status))})"
    return f"the work-horse left with status {os.waitstatus_to_exitcode(status)}"
