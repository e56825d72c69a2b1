"""The part of tracing in the worker process. It keeps a shipper running, and records ends that work-horses could not.

A work-horse records no end if it calls `os._exit(0)`, or is killed after RQ has its result. RQ has no hook for these
cases. So after each job the worker checks whether an end was recorded. If not, it reads the job's state from Redis.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import rq
from rq.job import Job

from sagatrace.context import Execution, enter_execution
from sagatrace.destination import outbox_directory, outbox_id, serve, serve_no_longer
from sagatrace.faults import Harmless, faults
from sagatrace.rq.hooks import RecordingMixin
from sagatrace.rq.job_place import WORK_HORSE, trace_of
from sagatrace.settings import Settings

if TYPE_CHECKING:
    from sagatrace.shipper.launcher import ShipperKeeper

__all__ = ["SpawningMixin", "TracedWorkerMixin"]

_OUTSIDE: Final = Execution()  # of any job
_LOOK: Final = 5  # seconds between two checks of the shipper
_PATIENCE: Final = 5  # seconds for which further signals wait until the end of a job is recorded


class TracedWorkerMixin(RecordingMixin):
    """Trace your own worker class: `class MyWorker(TracedWorkerMixin, rq.Worker)`."""

    _keeper: ShipperKeeper | None = None
    _look_at = 0.0
    _ending_until = 0.0

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Start a shipper, unless one runs already or events go directly to a store. Then start as RQ does."""
        with self._harmless:
            self._keep_shipper()
        super().bootstrap(*args, **kwargs)

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """Send the heartbeat. Every few seconds also restart a shipper that died."""
        super().heartbeat(*args, **kwargs)
        if self._keeper is not None and monotonic() >= self._look_at:  # RQ sends five heartbeats per job
            with self._harmless:
                self._look_at = monotonic() + _LOOK
                self._keeper.attend()

    def teardown(self) -> None:
        """Wait until the events are in the store, at most SAGATRACE_MAX_WAIT seconds. The shipper delivers the rest."""
        super().teardown()  # type: ignore[no-untyped-call]
        if self._keeper is not None:
            with self._harmless:
                serve_no_longer(self._recorder.tracer.destination)
                self._keeper.close()

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Run the job as RQ does, then ensure that its end is recorded."""
        around = enter_execution(_OUTSIDE)  # the job that runs this worker, if any
        if spawns := isinstance(self, rq.SpawnWorker):
            with self._harmless:
                from sagatrace.rq.spawned import export_context  # only for this kind of worker

                export_context(trace_of(job))
        try:
            super().execute_job(job, queue)
        except BaseException as error:
            self._ending_until = monotonic() + _PATIENCE
            with self._harmless:
                self._ensure_end(job, error)
            self._ending_until = 0.0
            raise
        finally:
            enter_execution(around)
            if spawns:
                os.environ.pop(WORK_HORSE, None)
        with self._harmless:
            self._ensure_end(job, None)

    def request_force_stop(self, signum: int, frame: Any) -> None:
        """End the job and the worker. While a second signal ends them, a third one must not lose the job's end."""
        if monotonic() >= self._ending_until:
            super().request_force_stop(signum, frame)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int | None, rusage: Any) -> None:
        """Keep the way the work-horse ended for the failure event. RQ then handles the failure."""
        with self._harmless:
            self._recorder.death = _death(ret_val)
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]

    def clean_registries(self) -> None:
        """Record the jobs that RQ finds abandoned by a lost worker."""

        def handler(job: Job, *_: object) -> None:
            with self._harmless:
                enter_execution(Execution(inside=trace_of(job)))  # for the handlers after this one
                from sagatrace.rq.presumed_end import record_abandoned  # only for the jobs of a lost worker

                record_abandoned(self._recorder, self.connection, job)

        around, classes = enter_execution(_OUTSIDE), [queue.job_class for queue in self.queues]
        self._exc_handlers.insert(0, handler)
        try:
            with self._harmless:
                for queue, job_class in zip(self.queues, classes, strict=True):
                    queue.job_class = _placed(job_class)
            super().clean_registries()  # type: ignore[no-untyped-call]
        finally:
            for queue, job_class in zip(self.queues, classes, strict=True):
                queue.job_class = job_class
            self._exc_handlers.remove(handler)
            enter_execution(around)

    def _keep_shipper(self) -> None:
        if self.tracer is not None and not self.tracer.destination.by_environment:
            return
        settings = Settings.from_env()
        directory = outbox_directory(settings, in_worker=True)
        if directory is None:
            return
        from sagatrace.rq.redis_url import NO_URL, url_of_redis  # only where there is an outbox
        from sagatrace.shipper import launcher

        environment = {"SAGATRACE_REDIS_URL": url_of_redis(self.connection) or NO_URL}
        self._keeper = launcher.ShipperKeeper(directory, flush_for=settings.max_wait, environment=environment)
        serve(outbox_id(settings), self._recorder.tracer.destination)
        self._keeper.attend()

    def _ensure_end(self, job: Job, error: BaseException | None) -> None:
        recorder = self._recorder
        recorder.death = ""
        # The next work-horse inherits the counts of this one, so it logs no cause twice.
        if note := recorder.page.read():
            for counts, noted in ((recorder.tracer.lost, note["lost"]), (faults, note["faults"])):
                counts |= Counter(noted)
        if not recorder.has_end:
            from sagatrace.rq.presumed_end import record_missing_end  # only where it is missing

            record_missing_end(recorder, self.connection, job, error, is_spawned=isinstance(self, rq.SpawnWorker))


class SpawningMixin(TracedWorkerMixin):
    """Trace a worker that runs each job in a new interpreter. Such a work-horse inherits no memory."""

    def prepare_job_execution(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Read the job's place before the job can overwrite its meta."""
        with self._harmless:
            inside = self._recorder.places.of(job).inside
            enter_execution(Execution(os.environ.get("RQ_EXECUTION_ID"), job.id, inside))
        super().prepare_job_execution(job, *args, **kwargs)


def _placed(job_class: type[Job]) -> type[Job]:
    """Return a job class that enters the job's context before on_failure. RQ has no hook at that point.

    Its jobs name the given class as theirs, so that they equal other objects of the same job.
    """

    def failure_callback(job: Job) -> Any:
        with Harmless():
            enter_execution(Execution(inside=trace_of(job)))
        return super(placed, job).failure_callback

    changes = {"failure_callback": property(failure_callback), "__class__": property(lambda _: job_class)}
    placed: Any = type(job_class.__name__, (job_class,), changes)
    return placed  # type: ignore[no-any-return]


def _death(status: int | None) -> str:
    if status is None:
        return "the work-horse was killed 60 s after the job's timeout"
    if os.WIFSIGNALED(status):
        return f"the work-horse was killed by signal {os.WTERMSIG(status)} ({signal.strsignal(os.WTERMSIG(status))})"
    return f"the work-horse left with status {os.waitstatus_to_exitcode(status)}"
