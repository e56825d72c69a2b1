"""Steps of a saga as RQ jobs on a real worker: their results, their compensations, and results that come too late."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import step_jobs
from redis import ConnectionError as ConnectionFailure
from redis import Redis
from rq import Queue, Retry, Worker
from rq.job import Job

from sagatrace import MemoryStore, StepError, Tracer, open_store
from sagatrace.rq.queue import TracedQueue
from sagatrace_tui.demo.workers import worker_command, worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace
from servers import end_worker, running_redis, until

HERE = Path(__file__).parent


class Shop:
    """A worker of steps, its queue and its store."""

    def __init__(self, redis: Redis, redis_url: str, directory: Path, kind: str) -> None:
        self.redis, self.url = redis, f"sqlite:///{directory}/traces.db"
        self.tracer = Tracer(self.url)
        traced: type[Queue] = type("Recording", (TracedQueue,), {"tracer": self.tracer})
        self.queue = (Queue if kind == "plain" else traced)("steps", connection=redis)
        self.log = directory / "worker.log"
        with self.log.open("wb") as log:
            command = worker_command(redis_url, "--path", str(HERE), "steps")
            self.worker = subprocess.Popen(command, env=worker_environment(self.url), stdout=log, stderr=log)

    def read(self) -> Trace:
        store = open_store(self.url, read_only=True)
        events = store.fetch_trace("order-7").events
        store.close()
        return build_trace("order-7", events, now=wall_clock())

    def ended(self) -> Trace:
        """Let the worker end, and return the trace."""
        # RQ misses a signal that comes between two jobs, after it looked for one and before it is idle.
        until(lambda: {one.get_state() for one in Worker.all(connection=self.redis)} <= {"idle"}, "the idle worker")
        assert end_worker(self.worker, self.log) == 0, self.log.read_text()
        return self.read()


@pytest.fixture(params=["traced", "plain"])
def shop(request: pytest.FixtureRequest, redis: Redis, redis_server: str, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(redis, redis_server, tmp_path, request.param)
    yield shop
    redis.rpush("let", "succeed")
    end_worker(shop.worker, shop.log)
    shop.tracer.close()


def names(trace: Trace) -> dict[str, str]:
    return {span.name.rpartition(".")[2]: span.kind for span in trace.spans.values()}


def undone(trace: Trace) -> list[tuple[str, str, str]]:
    rows = [(row.original_name, row.name or "", row.outcome) for row in trace.compensations]
    return [(step.rpartition(".")[2], undo.rpartition(".")[2], outcome) for step, undo, outcome in rows]


def test_steps_that_are_jobs_return_their_results_and_are_one_span_each(shop: Shop) -> None:
    with shop.tracer.saga("order", "order-7") as saga:
        assert saga.run(shop.queue, step_jobs.charge, 4, currency="CHF", undo=step_jobs.refund) == "4 CHF charged"
        shipped = saga.run(shop.queue, step_jobs.ship_at_the_second_try, "order-7", retry=Retry(max=1), timeout=240)
        assert shipped == "order-7 shipped"
    trace = shop.ended()
    assert trace.verdict == "succeeded"
    assert names(trace) == {"workflow:order": "workflow", "charge": "job", "ship_at_the_second_try": "job"}


def test_jobs_undo_the_steps_of_a_saga_that_fails(shop: Shop) -> None:
    def order() -> None:
        with shop.tracer.saga("order", "order-7") as saga:
            saga.run(shop.queue, step_jobs.charge, 4, currency="CHF", undo=step_jobs.refund, timeout=240)
            try:
                saga.run(shop.queue, step_jobs.ship, "order-7", undo=step_jobs.refund, timeout=240)
            finally:
                assert len(saga.to_undo) == 1

    with pytest.raises(StepError, match=r"ship: ValueError: order-7 is out of stock"):
        order()
    trace = shop.ended()
    assert (trace.verdict, trace.cause and trace.cause.name) == ("rolled_back", "step_jobs.ship")
    assert undone(trace) == [("charge", "refund", "compensated")]
    assert names(trace) == {"workflow:order": "workflow", "charge": "job", "ship": "job", "refund": "compensation"}
    assert trace.compensations[0].reason == "StepError: ship: ValueError: order-7 is out of stock"
    refunds = [job for job in shop.queue.finished_job_registry.get_job_ids() if job == trace.compensations[0].span_id]
    assert [shop.queue.fetch_job(job).return_value() for job in refunds] == ["4 CHF refunded"]  # type: ignore[union-attr]


def test_after_a_failed_undo_job_the_next_one_is_tried(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with shop.tracer.saga("order", "order-7") as saga:
        saga.run(shop.queue, step_jobs.charge, 1, undo=step_jobs.refund, timeout=240)
        saga.run(shop.queue, step_jobs.charge, 2, undo=step_jobs.refund_that_fails, timeout=240)
        saga.rolled_back("the customer withdrew")
    trace = shop.ended()
    assert trace.verdict == "rollback_incomplete"
    assert undone(trace) == [("charge", "refund_that_fails", "failed"), ("charge", "refund", "compensated")]
    assert [(one.name, one.certain) for one in trace.still_standing] == [("step_jobs.charge", True)]
    assert "the bank did not answer" in caplog.text


def test_an_undo_that_cannot_be_enqueued_is_recorded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_redis(*_: object, **__: object) -> None:
        raise ConnectionError("Redis is gone")

    with shop.tracer.saga("order", "order-7") as saga:
        saga.run(shop.queue, step_jobs.charge, 1, undo=step_jobs.refund, timeout=240)
        monkeypatch.setattr(shop.queue, "enqueue_call", no_redis)
        saga.fail("the customer withdrew")
    trace = shop.ended()
    assert trace.verdict == "rollback_incomplete"
    (row,) = trace.compensations
    assert (row.name, row.outcome, row.error, row.reason) == (
        "refund",
        "failed",
        "Redis is gone",
        "the customer withdrew",
    )


@pytest.mark.parametrize(
    ("end", "jobs", "verdict", "outcome"),
    [("succeed", 2, "rolled_back", "compensated"), ("fail", 1, "failed", "not_started")],
)
def test_a_step_that_outlives_the_wait_is_undone_after_it_succeeded(
    shop: Shop, end: str, jobs: int, verdict: str, outcome: str
) -> None:
    def order() -> None:
        with shop.tracer.saga("order", "order-7") as saga:
            try:
                saga.run(shop.queue, step_jobs.charge_when_let, 4, undo=step_jobs.refund, timeout=1)
            finally:
                until(lambda: shop.redis.llen("begun"), "the step's begin")

    with pytest.raises(StepError, match=r"charge_when_let gave no result within 1 s"):
        order()
    until(lambda: "queued" in states(shop.read()), "the undo that waits")
    before = shop.read()
    assert (before.verdict, before.ended) == ("running", False)
    shop.redis.rpush("let", end)
    ended = (shop.queue.finished_job_registry, shop.queue.failed_job_registry)
    until(lambda: sum(map(len, ended)) == jobs, "the end of the jobs")
    trace = shop.ended()
    assert (trace.verdict, undone(trace)) == (verdict, [("charge_when_let", "refund", outcome)])
    assert trace.still_standing == ()


@pytest.mark.parametrize("queue_class", [Queue, TracedQueue])
def test_steps_of_a_synchronous_queue_are_undone_as_well(redis: Redis, queue_class: type[Queue]) -> None:
    store = MemoryStore()
    own: type[Queue] = type("Own", (queue_class,), {"tracer": Tracer(store)})
    queue = own("steps", connection=redis, is_async=False)

    def order() -> None:
        with Tracer(store).saga("order", "order-7") as saga:
            assert saga.run(queue, step_jobs.charge, 4, undo=step_jobs.refund) == "4 EUR charged"
            saga.run(queue, step_jobs.ship, "order-7", undo=step_jobs.refund)

    with pytest.raises(StepError):
        order()
    trace = build_trace("order-7", store.fetch_trace("order-7").events, now=wall_clock())
    assert (trace.verdict, undone(trace)) == ("rolled_back", [("charge", "refund", "compensated")])
    assert trace.cause is not None
    assert (trace.cause.name, trace.cause.error) == ("step_jobs.ship", "order-7 is out of stock")


@pytest.mark.parametrize("option", ["result_ttl", "failure_ttl"])
def test_a_step_whose_result_would_be_dropped_is_refused_before_it_begins(redis: Redis, option: str) -> None:
    store, queue = MemoryStore(), Queue("steps", connection=redis)
    with (
        pytest.raises(ValueError, match=rf"saga\.run\(…, {option}=0\)"),
        Tracer(store).saga("order", "order-7") as saga,
    ):
        saga.run(queue, step_jobs.charge, 4, undo=step_jobs.refund, **{option: 0})
    assert (queue.count, saga.to_undo) == (0, [])
    assert build_trace("order-7", store.fetch_trace("order-7").events, now=wall_clock()).verdict == "failed"


def test_a_step_that_a_queue_enqueues_later_is_refused(redis: Redis) -> None:
    class LaterQueue(Queue):
        def enqueue_call(self, *_: object, **__: object) -> Any:
            """Wait for the commit, as a queue of django-rq does."""

    saga = Tracer(MemoryStore()).saga("order", "order-7")
    with pytest.raises(TypeError, match="in a transaction"), saga:
        saga.run(LaterQueue("steps", connection=redis), step_jobs.charge, 4, undo=step_jobs.refund)
    assert saga.to_undo == []


def test_a_queue_whose_class_allows_no_class_below_it_runs_a_step(redis: Redis) -> None:
    class LastQueue(Queue):
        def __init_subclass__(cls) -> None:
            raise TypeError(cls)

    with Tracer(MemoryStore()).saga("order", "order-7") as saga:
        assert saga.run(LastQueue("steps", connection=redis, is_async=False), abs, -3) == 3


def test_the_error_of_a_step_names_its_group_of_errors(redis: Redis) -> None:
    queue = Queue("steps", connection=redis, is_async=False)
    store = MemoryStore()
    expected = r"charge_at_two_banks: ExceptionGroup: both banks \(2 sub-exceptions\)$"
    with pytest.raises(StepError, match=expected), Tracer(store).saga("order", "order-7") as saga:
        saga.run(queue, step_jobs.charge_at_two_banks)


@pytest.mark.parametrize("queue_class", [Queue, TracedQueue])
def test_a_redis_that_dies_during_the_wait_leaves_the_step_standing(
    queue_class: type[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    own: type[Queue] = type("Own", (queue_class,), {"tracer": Tracer(store)})
    with running_redis() as server:

        def read_without_redis(job: Job, *arguments: Any, **options: Any) -> Any:
            server.stop()
            return read(job, *arguments, **options)

        read = Job.latest_result
        monkeypatch.setattr(Job, "latest_result", read_without_redis)
        queue = own("steps", connection=Redis.from_url(server.url))
        with pytest.raises(ConnectionFailure), Tracer(store).saga("order", "order-7") as saga:
            saga.run(queue, step_jobs.charge, 4, undo=step_jobs.refund)
    events, now = store.fetch_trace("order-7").events, wall_clock()
    assert build_trace("order-7", events, now=now).verdict == "compensating"  # the step may still run
    trace = build_trace("order-7", events, now=now + 3600 * 1_000_000)
    assert (trace.verdict, undone(trace)) == ("rollback_incomplete", [("charge", "refund", "failed")])
    assert len(trace.still_standing) == 1


def test_a_timeout_that_a_step_wraps_leaves_its_outcome_unknown(shop: Shop) -> None:
    def order() -> None:
        with shop.tracer.saga("order", "order-7") as saga:
            saga.run(shop.queue, step_jobs.charge_without_answer, undo=step_jobs.refund, timeout=240)

    with pytest.raises(StepError, match="the bank refused"):
        order()
    trace = shop.ended()
    assert (trace.verdict, [one.certain for one in trace.still_standing]) == ("rollback_missing", [False])


def states(trace: Trace) -> set[str]:
    return {span.status for span in trace.spans.values()}


def test_the_cause_is_the_step_that_ended_the_saga_not_one_whose_failure_was_caught(shop: Shop) -> None:
    def order() -> None:
        with shop.tracer.saga("order", "order-7") as saga:
            saga.run(shop.queue, step_jobs.charge, 4, undo=step_jobs.refund, timeout=240)
            with contextlib.suppress(StepError):
                saga.run(shop.queue, step_jobs.charge_without_answer, timeout=240)
            saga.run(shop.queue, step_jobs.ship, "order-7", timeout=240)

    with pytest.raises(StepError):
        order()
    trace = shop.ended()
    assert trace.verdict == "rolled_back"
    assert trace.failure == "failed at ship (ValueError: order-7 is out of stock)"
