"""A fault of tracing at any place changes nothing for RQ: jobs, results and callbacks are as without tracing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fates
import pytest
from redis import Redis
from rq import Callback, Queue, Repeat, Retry
from rq.job import Job, JobStatus

from sagatrace.faults import faults
from sagatrace.rq.queue import TracedQueue
from sagatrace.rq.recorder import JobRecorder
from sagatrace.tracer import Tracer
from sagatrace_tui.demo.workers import worker_environment

pytestmark = pytest.mark.xdist_group("faults")  # one process, as they share a slow set-up

HERE = Path(__file__).parent
PLACES = [
    "JobRecorder.__init__",
    "JobRecorder.begin",
    "JobPlaces.of",
    "JobPlaces.carry",
    "JobPlaces.keep_meta",
    "JobRecorder.repeat",
    "JobRecorder.failure",
    "JobRecorder.record",
    "JobRecorder.leave_note",
    "SharedPage.read",
    "JobRecorder.has_end",
    "TracedWorkerMixin._keep_shipper",
    "TracedWorkerMixin._ensure_end",
    "ShipperKeeper.__init__",
    "ShipperKeeper.attend",
    "ShipperKeeper.close",
    "Tracer.__init__",
    "Tracer.emit",
    "Outbox.append",
]
ASKING = ["Asking.job_data"]  # only workers that record more data call it


def enqueue(queue: Queue) -> dict[str, Job]:
    calls: dict[str, Any] = {
        "on_success": Callback(fates.mark_success),
        "on_failure": Callback(fates.mark_failure),
    }
    return {
        "well": queue.enqueue(fates.succeed, 7, **calls),
        "badly": queue.enqueue(fates.fail, **calls),
        "again": queue.enqueue(fates.fail_once, retry=Retry(max=1), **calls),
        "asked": queue.enqueue(fates.ask_once),
        "repeated": queue.enqueue(fates.succeed, 7, repeat=Repeat(times=1)),
        "killed": queue.enqueue(fates.die, **calls),
        "left": queue.enqueue(fates.leave, 0),
    }


def outcome(redis: Redis, jobs: dict[str, Job]) -> dict[str, Any]:
    """Return all data that RQ and the user's code keep of the jobs."""
    found = {}
    for name, job in jobs.items():
        job.refresh()
        result = job.latest_result()
        error = (result.exc_string or "").strip().rpartition("\n")[2] if result else None
        value = result.return_value if result else None
        calls = redis.lrange(f"called:{job.id}", 0, -1)
        found[name] = (job.get_status(), value, error, job.retries_left, redis.llen(f"ran:{job.id}"), calls)
    return found


def fault(*_: object, **__: object) -> None:
    raise MemoryError("a fault put there")


class Bench:
    """Run workers that each fail in one place, on their own queues."""

    def __init__(self, redis: Redis, url: str, directory: Path) -> None:
        self.redis, self._url, self._directory = redis, url, directory

    def run(self, name: str, kind: str, **settings: str) -> tuple[dict[str, Any], str]:
        queue = Queue(name, connection=self.redis)
        jobs = enqueue(queue)
        environment = worker_environment(f"sqlite:///{self._directory}/traces.db") | settings
        command = [sys.executable, "-P", "-m", "rq.cli", "worker", "-u", self._url, "-w", kind, "--path", str(HERE)]
        worker = subprocess.run(
            [*command, "--burst", name], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert worker.returncode == 0, worker.stderr
        return outcome(self.redis, jobs), worker.stderr


@pytest.fixture(scope="module")
def bench(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Redis.from_url(redis_server) as redis:
        redis.flushall()
        yield Bench(redis, redis_server, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def untraced(bench: Bench) -> dict[str, Any]:
    return bench.run("untraced", "rq.Worker")[0]


def test_a_fault_at_any_place_changes_no_job_and_is_logged_once(bench: Bench, untraced: dict[str, Any]) -> None:
    def run(place: str) -> tuple[str, dict[str, Any], str]:
        return place, *bench.run(place, "faulty.Asking" if place in ASKING else "faulty.Worker", FAULT=place)

    assert [untraced[name][0] for name in ("well", "badly", "again", "killed")] == [
        "finished",
        "failed",
        "finished",
        "failed",
    ]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(run, PLACES + ASKING))
    assert {place: happened for place, happened, _ in found if happened != untraced} == {}
    logged = {place: said.count("a hook failed") for place, _, said in found}
    # Without the shared page each work-horse logs for itself. A function that no hook calls logs nothing.
    apart = {"JobRecorder.__init__", "JobRecorder.leave_note", "SharedPage.read", "Tracer.__init__", "Outbox.append"}
    assert {place: times for place, times in logged.items() if times != 1 and place not in apart} == {}
    assert all(logged[place] >= 1 for place in apart - {"JobRecorder.leave_note", "Tracer.__init__", "Outbox.append"})
    assert [said.count("event lost: MemoryError") for place, _, said in found if place == "Outbox.append"] == [1]


@pytest.mark.parametrize(
    "settings",
    [
        {"SAGATRACE_STORE": "sqlite:////dev/null/x.db", "SAGATRACE_OUTBOX": "/dev/null/outbox"},
        {"SAGATRACE_STORE": "sqlite:////dev/null/x.db", "SAGATRACE_OUTBOX": "off"},
        {"SAGATRACE_STORE": "sqlite:////dev/full", "SAGATRACE_OUTBOX": "/dev/full"},
        {"SAGATRACE_STORE": "nonsense"},
        {"SAGATRACE_MAX_WAIT": "nonsense"},
    ],
    ids=["no place for the outbox", "store down", "full", "no such store", "wrong setting"],
)
def test_without_a_usable_target_each_cause_is_logged_once(
    bench: Bench, untraced: dict[str, Any], settings: dict[str, str], request: pytest.FixtureRequest
) -> None:
    happened, said = bench.run(request.node.name, "sagatrace.rq.Worker", **settings)
    assert happened == untraced
    complaints = [line.partition("sagatrace: ")[2] for line in said.splitlines() if "sagatrace: " in line]
    assert complaints
    assert len(complaints) == len(set(complaints)), complaints


def test_a_store_that_fails_during_rq_s_clean_up_does_not_change_the_clean_up(bench: Bench) -> None:
    """The handler for abandoned jobs runs inside RQ's clean-up, which must continue."""
    queue = Queue("abandoned", connection=bench.redis)
    job = queue.enqueue(fates.succeed)
    bench.redis.lpop(queue.key)
    job.set_status(JobStatus.STARTED)
    bench.redis.zadd(queue.started_job_registry.key, {f"{job.id}:{'0' * 32}": 1})
    bench.run("abandoned", "faulty.Worker", FAULT="JobRecorder.record")
    assert job.get_status() == "failed"


@pytest.mark.parametrize("place", ["_place", "_record_wait"])
def test_a_queue_whose_tracing_fails_enqueues(bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    class Faulty(TracedQueue):
        tracer = Tracer("memory:")

    monkeypatch.setattr(Faulty, place, fault)
    known = faults.total()
    queue = Faulty("faulty-queue", connection=bench.redis)
    now = Faulty("faulty-queue", is_async=False, connection=bench.redis)
    many = queue.enqueue_many([Queue.prepare_data(fates.succeed)])
    jobs = [queue.enqueue(fates.succeed), *many]
    assert [job.get_status() for job in jobs] == ["queued", "queued"]
    assert now.enqueue(fates.succeed, 5).return_value() == 5
    assert faults.total() - known >= 3


def test_a_job_that_runs_in_the_producer_keeps_its_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobRecorder, "__init__", fault)
    now = TracedQueue("faulty-sync", is_async=False, connection=bench.redis)
    job = now.enqueue(fates.fail)
    assert job.get_status() == "failed"
    result = job.latest_result()
    assert result is not None
    assert "no luck" in (result.exc_string or "")
