"""Each run of a schedule starts a trace, unless the schedule's meta names one for all of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import odd_jobs
import pytest
from redis import Redis
from rq import Queue, cron
from rq.job import Job
from rq_scheduler import Scheduler

from sagatrace import TraceContext, TraceEvent, Tracer, trace_meta
from sagatrace.rq import SimpleWorker
from sagatrace.rq.queue import TracedQueue
from sagatrace.stores import Search
from sagatrace.stores.memory import MemoryStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),  # rq-scheduler's
    pytest.mark.filterwarnings("ignore:Version 0.22.0:FutureWarning"),
]
RUNS = 3


class Schedule:
    """A queue class and a worker that record into memory."""

    def __init__(self, redis: Redis) -> None:
        self.redis, self.store = redis, MemoryStore()
        tracer = Tracer(self.store)
        self.traced: type[TracedQueue] = type("RecordingQueue", (TracedQueue,), {"tracer": tracer})
        self._worker: type[SimpleWorker] = type("Worker", (SimpleWorker,), {"tracer": tracer})

    def work_off(self) -> None:
        """Run the jobs that wait."""
        self._worker([Queue("odd", connection=self.redis)], connection=self.redis).work(burst=True)

    def traces(self) -> list[list[str]]:
        """Return the kinds of events of each trace, oldest trace first."""
        found = [self.store.fetch_trace(hit.trace_id).events for hit in self.store.search(Search())]
        ordered = sorted((sorted(events, key=_when) for events in found), key=lambda events: _when(events[0]))
        return [[event.event_type.removeprefix("job:") for event in events] for events in ordered]

    def trace_ids(self) -> set[str]:
        return {hit.trace_id for hit in self.store.search(Search())}


def _when(event: TraceEvent) -> int:
    return event.micros


@pytest.fixture
def schedule(redis: Redis) -> Schedule:
    return Schedule(redis)


def run_cron(schedule: Schedule, monkeypatch: pytest.MonkeyPatch, queue_class: type[Queue], **options: Any) -> None:
    """Let RQ's scheduler enqueue three times. It makes its queues itself."""
    monkeypatch.setattr(cron, "Queue", queue_class)
    scheduler = cron.CronScheduler(connection=schedule.redis)
    registered = scheduler.register(odd_jobs.succeeds, "odd", interval=3600, **options)
    for _ in range(RUNS):
        assert scheduler.enqueue_jobs() == [registered]
        registered.latest_enqueue_time = None  # an hour passes
        schedule.work_off()


def run_rq_scheduler(schedule: Schedule, queue_class: type[Queue], job: Callable[[Scheduler], Job]) -> Job:
    """Let rq-scheduler enqueue one job three times."""
    scheduler = Scheduler("odd", connection=schedule.redis, queue_class=queue_class)
    scheduled = job(scheduler)
    for _ in range(RUNS):
        scheduler.change_execution_time(scheduled, datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1))
        scheduler.enqueue_jobs()
        schedule.work_off()
    return scheduled


LIFE = ["enqueued", "started", "completed"]
PERIODIC: dict[str, Callable[..., Job]] = {
    "interval": lambda scheduler, **options: scheduler.schedule(
        datetime.now(UTC), odd_jobs.succeeds, interval=3600, **options
    ),
    "cron": lambda scheduler, **options: scheduler.cron("0 3 * * *", odd_jobs.succeeds, **options),
    "of a name": lambda scheduler, **options: scheduler.cron("0 3 * * *", odd_jobs.succeeds, id="nightly", **options),
}


def test_each_run_of_a_cron_scheduler_is_a_trace(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    run_cron(schedule, monkeypatch, Queue)
    assert schedule.traces() == [["started", "completed"]] * RUNS


@pytest.mark.parametrize("meta", [None, {}, {"own": 1}])
def test_each_run_of_a_cron_scheduler_with_a_traced_queue_is_a_trace(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch, meta: dict[str, Any] | None
) -> None:
    """Its runs share one dictionary of meta."""
    run_cron(schedule, monkeypatch, schedule.traced, meta=meta)
    assert schedule.traces() == [LIFE] * RUNS


@pytest.mark.parametrize("is_traced", [False, True])
def test_a_fixed_context_of_a_cron_scheduler_is_of_all_runs(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch, is_traced: bool
) -> None:
    run_cron(schedule, monkeypatch, schedule.traced if is_traced else Queue, meta=trace_meta("nightly"))
    assert schedule.trace_ids() == {"nightly"}
    assert [kinds.count("completed") for kinds in schedule.traces()] == [RUNS]


@pytest.mark.parametrize("kind", PERIODIC)
def test_each_run_of_rq_scheduler_with_a_traced_queue_is_a_trace(schedule: Schedule, kind: str) -> None:
    job = run_rq_scheduler(schedule, schedule.traced, PERIODIC[kind])
    assert schedule.traces() == [LIFE] * RUNS
    assert all(trace_id.startswith(f"{job.id}-20") for trace_id in schedule.trace_ids())


@pytest.mark.parametrize("kind", PERIODIC)
def test_a_fixed_context_of_rq_scheduler_is_of_all_runs(schedule: Schedule, kind: str) -> None:
    meta = trace_meta(TraceContext("nightly"))
    run_rq_scheduler(schedule, schedule.traced, lambda scheduler: PERIODIC[kind](scheduler, meta=meta))
    assert schedule.trace_ids() == {"nightly"}
    assert schedule.traces() == [LIFE * RUNS]


def test_the_runs_of_rq_scheduler_with_a_plain_queue_are_runs_of_one_job(schedule: Schedule) -> None:
    job = run_rq_scheduler(schedule, Queue, PERIODIC["interval"])
    assert schedule.trace_ids() == {job.id}
    assert schedule.traces() == [["started", "completed"] * RUNS]


def test_a_retried_run_stays_in_its_trace_and_the_next_run_starts_another(schedule: Schedule) -> None:
    """A retry leaves the trace of its run in the meta of the job."""

    def retried(scheduler: Scheduler) -> Job:
        job: Job = PERIODIC["interval"](scheduler)
        job.retries_left = RUNS
        job.data = Job.create(odd_jobs.fails_in_its_first_attempt, connection=schedule.redis).data
        job.save()
        return job

    run_rq_scheduler(schedule, schedule.traced, retried)
    assert schedule.traces() == [["enqueued", "started", "retrying", "started", "completed"]] * RUNS
