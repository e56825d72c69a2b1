"""Jobs on real workers with a real store, run once for all tests that read their events."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import booking
from redis import Redis
from rq import Queue, Repeat, Retry
from rq.command import send_stop_job_command
from rq.job import Job
from rq.registry import StartedJobRegistry

from faults import shippers
from sagatrace import TraceContext, TraceEvent, Tracer, open_store, trace_meta
from sagatrace.rq.queue import TracedQueue
from sagatrace_tui.demo.workers import worker_environment
from servers import until

HERE: Final = Path(__file__).parent
TRACE: Final = "T"


class Scene:
    """A queue, a store and workers of its own; all jobs belong to one trace."""

    def __init__(self, name: str, redis_url: str, directory: Path, kind: str) -> None:
        self.redis_url, self.directory, self.kind = redis_url, directory, kind
        self.redis = Redis.from_url(redis_url)
        self.store_url = f"sqlite:///{directory}/traces.db"
        self.environment = worker_environment(self.store_url)
        self.queue_name = name
        self.plain = Queue(name, connection=self.redis)
        self.queue = self.traced(TraceContext(TRACE))
        self.meta = trace_meta(TraceContext(TRACE))

    def traced(self, context: TraceContext) -> TracedQueue:
        """Return the traced queue, whose events go directly to the store."""
        queue_class: type[TracedQueue] = type("RecordingQueue", (TracedQueue,), {"tracer": Tracer(self.store_url)})
        return queue_class(self.queue_name, connection=self.redis).under(context)

    def start(self, *options: str, kind: str = "") -> subprocess.Popen[bytes]:
        """Start a worker."""
        command = [sys.executable, "-P", "-m", "rq.cli", "worker", "-u", self.redis_url, "-w", kind or self.kind]
        command += ["--path", str(HERE), *options, self.queue_name]
        with (self.directory / "workers.log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, process_group=0)

    def work_off(self, *options: str, kind: str = "") -> None:
        """Run a worker until the queue is empty, and all events are in the store."""
        with self.start("--burst", *options, kind=kind) as worker:
            assert worker.wait(120) == 0, (self.directory / "workers.log").read_text()

    def until_hanging(self, job: Job) -> int:
        """Wait until the job hangs, and return its process."""
        found = until(lambda: self.redis.lindex(f"hangs:{job.id}", -1), f"job {job.id} hangs", 60)
        return int(found or 0)

    def expire(self) -> None:
        """Let RQ consider the running jobs abandoned."""
        key = StartedJobRegistry(self.queue_name, connection=self.redis).key
        rows = [bytes(row) for row in self.redis.zrange(key, 0, -1) if isinstance(row, bytes)]
        self.redis.zadd(key, {row: time.time() - 100 for row in rows})

    def reconcile(self) -> None:
        """Look for lost jobs, without a grace period."""
        command = [sys.executable, "-P", "-m", "sagatrace.rq.reconciler", "--redis-url", self.redis_url, "--grace", "0"]
        ship = [sys.executable, "-P", "-m", "sagatrace.shipper"]  # no worker is left, and so no shipper
        for one in (command, ship):
            subprocess.run(one, env=self.environment, check=True, timeout=120, stderr=subprocess.DEVNULL)

    def until_shipped(self) -> None:
        """Wait for the shipper that a killed worker left."""
        outbox = Path(f"{self.directory}/traces.db-outbox")
        until(lambda: not shippers(outbox), "the end of the shipper", 60)

    def events(self, trace_id: str = TRACE) -> list[TraceEvent]:
        """Return the stored events of the trace, in order of time."""
        store = open_store(self.store_url, read_only=True)
        found = store.fetch_trace(trace_id).events
        store.close()
        return sorted(found, key=lambda event: (event.micros, event.id))


def _simply(ending: str, *options: str, **job_options: Any) -> Callable[[Scene], Job]:
    """Let a worker run the saga to that end."""

    def act(scene: Scene) -> Job:
        job = scene.plain.enqueue(booking.book, ending, meta=scene.meta, **job_options)
        scene.work_off(*options)
        return job

    return act


def _kill(scene: Scene, ending: str = "hang") -> Job:
    job = scene.plain.enqueue(booking.book, ending, meta=scene.meta)
    with scene.start("--burst") as worker:
        os.kill(scene.until_hanging(job), signal.SIGKILL)
        assert worker.wait(120) == 0
    return job


def _stop(scene: Scene) -> Job:
    job = scene.plain.enqueue(booking.book, "hang", meta=scene.meta)
    with scene.start("--burst") as worker:
        scene.until_hanging(job)
        send_stop_job_command(scene.redis, job.id)
        assert worker.wait(120) == 0
    return job


def _shut_down_cold(scene: Scene) -> Job:
    job = scene.plain.enqueue(booking.book, "hang", meta=scene.meta)
    with scene.start() as worker:
        scene.until_hanging(job)
        worker.terminate()
        until(lambda: worker.send_signal(signal.SIGTERM) or worker.poll() is not None, "the worker's end", 60)
    scene.until_shipped()
    return job


def _lose_worker(scene: Scene) -> Job:
    job = scene.plain.enqueue(booking.book, "hang", meta=scene.meta)
    with scene.start() as worker:
        horse = scene.until_hanging(job)
        worker.kill()
        if horse != worker.pid:
            os.kill(horse, signal.SIGKILL)
    scene.until_shipped()
    scene.expire()
    return job


def _abandon(scene: Scene) -> Job:
    job = _lose_worker(scene)
    scene.work_off(kind=scene.kind.replace("sagatrace.rq.", "fates.Eager"))
    return job


def _clean_up_elsewhere(scene: Scene) -> Job:
    job = _lose_worker(scene)
    assert len(StartedJobRegistry(scene.queue_name, connection=scene.redis)) == 0  # RQ cleans up to count
    scene.reconcile()
    return job


ENDS: Final[dict[str, Callable[[Scene], Job]]] = {
    "killed": _simply("die"),
    "killed from outside": _kill,
    "killed in a thread": lambda scene: _kill(scene, "hang in a thread"),
    "left": _simply("leave"),
    "stopped": _stop,
    "timed out": _simply("hang", job_timeout=1),
    "deaf to the timeout": _simply("hang deaf", "--job-monitoring-interval", "1", job_timeout=-58),
    "shut down cold": _shut_down_cold,
    "abandoned": _abandon,
    "cleaned up elsewhere": _clean_up_elsewhere,
    "killed once": _simply("die once", retry=Retry(max=1)),
}
"""What ends the saga's process, and how; each returns the job."""


def _schedule(scene: Scene, queue: Queue, *, runs: int, **job_options: Any) -> Job:
    """Enqueue the job repeatedly, like rq-scheduler with an interval."""
    job = Job.create(booking.load, args=(2,), id="j", connection=scene.redis, origin=queue.name, **job_options)
    job.save()
    for _ in range(runs):
        fetched = Job.fetch("j", connection=scene.redis)
        queue.enqueue_job(fetched)
        scene.work_off()
    return job


def _scheduled(scene: Scene) -> None:
    _schedule(scene, scene.queue, runs=4, meta=dict(scene.meta), result_ttl=-1)


def _scheduled_plainly(scene: Scene) -> None:
    _schedule(scene, scene.plain, runs=4, meta=dict(scene.meta), result_ttl=-1)


def _scheduled_with_retry(scene: Scene) -> None:
    """The second run's first attempt is the third execution."""
    job = Job.create(
        booking.load, args=(1, 3), id="j", connection=scene.redis, origin=scene.queue_name, meta=dict(scene.meta)
    )
    job.retries_left = 2
    job.save()
    for _ in range(3):
        scene.queue.enqueue_job(Job.fetch("j", connection=scene.redis))
        scene.work_off()


def _repeated(scene: Scene) -> None:
    scene.queue.enqueue(booking.load, job_id="j", repeat=Repeat(times=3))
    scene.work_off()


def _repeated_with_retry(scene: Scene) -> None:
    scene.queue.enqueue(booking.load, 1, job_id="j", repeat=Repeat(times=1), retry=Retry(max=1))
    scene.work_off()


def _repeated_later(scene: Scene) -> None:
    scene.queue.enqueue(booking.load, job_id="j", repeat=Repeat(times=1, interval=3600))
    scene.work_off()


def _used_thrice(scene: Scene) -> None:
    for failing in ((), (2,), ()):
        scene.queue.enqueue(booking.load, *failing, job_id="j")
        scene.work_off()


def _requeued(scene: Scene) -> None:
    job = scene.queue.enqueue(booking.load, 1, job_id="j")
    scene.work_off()
    job.failed_job_registry.requeue("j")
    scene.work_off()


def _requeued_after_retries(scene: Scene) -> None:
    job = scene.queue.enqueue(booking.load, 1, 2, job_id="j", retry=Retry(max=1))
    scene.work_off()
    job.failed_job_registry.requeue("j")
    scene.work_off()


RUNS: Final[dict[str, Callable[[Scene], None]]] = {
    "scheduled": _scheduled,
    "scheduled on a plain queue": _scheduled_plainly,
    "scheduled with retries": _scheduled_with_retry,
    "repeated": _repeated,
    "repeated with retries": _repeated_with_retry,
    "repeated later": _repeated_later,
    "used three times": _used_thrice,
    "requeued": _requeued,
    "requeued after retries": _requeued_after_retries,
}
"""How the job `j` comes to run more than once."""


class Scenes:
    """Scenes, each played once a session."""

    def __init__(self, redis_url: str, make_directory: Callable[[str], Path]) -> None:
        self._redis_url, self._make_directory = redis_url, make_directory
        self._played: dict[tuple[str, str], tuple[list[TraceEvent], Any]] = {}

    def play(self, name: str, kind: str = "sagatrace.rq.Worker") -> tuple[list[TraceEvent], Any]:
        """Return the stored events, and the job if the scene has one."""
        if (name, kind) not in self._played:
            scene = self.make(name.replace(" ", "-"), kind)
            # RQ and reconciler see the whole Redis, which holds only this scene.
            scene.redis.flushall()
            job = ENDS[name](scene) if name in ENDS else RUNS[name](scene)
            self._played[name, kind] = scene.events(), job
            scene.redis.close()
        return self._played[name, kind]

    def make(self, name: str, kind: str = "sagatrace.rq.Worker") -> Scene:
        """Return an empty scene."""
        return Scene(name, self._redis_url, self._make_directory(name), kind)


def phases(events: Sequence[TraceEvent], span_id: str) -> list[str]:
    """Return the phases of a span's events, with `?` after presumed ones."""
    return [
        event.event_type.rpartition(":")[2] + "?" * (event.data.get("presumed") is True)
        for event in events
        if event.span_id == span_id
    ]
