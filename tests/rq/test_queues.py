"""All ways to enqueue: the events, the job's place in its trace, and that it gets only its own arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import fates
import pytest
from redis import Redis
from rq import Queue, Repeat, Retry
from rq.group import Group
from rq.job import Dependency, Job

from sagatrace import TraceContext, TraceEvent, Tracer, trace_meta
from sagatrace.context import META_KEY, context_from_meta
from sagatrace.rq.queue import TracedQueue, job
from sagatrace.stores.codec import document_of
from sagatrace.stores.memory import MemoryStore

CONTEXT = TraceContext("T", "S")


class Producer:
    """A queue whose events are kept in memory."""

    def __init__(self, redis: Redis, **options: Any) -> None:
        self.store = MemoryStore()

        class RecordingQueue(TracedQueue):
            tracer = Tracer(self.store)

        self.redis = redis
        self.queue_class = RecordingQueue
        self.queue = RecordingQueue("producer", connection=redis, **options)
        self.here = self.queue.under(CONTEXT)

    def events_of(self, *jobs: Job, trace_id: str = "T") -> list[TraceEvent]:
        ids = {job.id for job in jobs}
        return [event for event in self.store.fetch_trace(trace_id).events if event.span_id in ids]


@pytest.fixture
def producer(redis: Redis) -> Producer:
    return Producer(redis)


WAYS: dict[str, Callable[[TracedQueue], Job]] = {
    "enqueue": lambda queue: queue.enqueue(fates.succeed, 1),
    "enqueue with args and kwargs": lambda queue: queue.enqueue(fates.succeed, args=(), kwargs={"value": 1}),
    "enqueue_call": lambda queue: queue.enqueue_call(fates.succeed, args=(1,)),
    "enqueue_many": lambda queue: queue.enqueue_many([Queue.prepare_data(fates.succeed, (1,))])[0],
    "retry": lambda queue: queue.enqueue(fates.succeed, 1, retry=Retry(max=3)),
    "repeat": lambda queue: queue.enqueue(fates.succeed, 1, repeat=Repeat(times=2)),
    "at_front": lambda queue: queue.enqueue(fates.succeed, 1, at_front=True),
    "unique": lambda queue: queue.enqueue(fates.succeed, 1, job_id="only-one", unique=True),
    "Job.create": lambda queue: queue.enqueue_job(Job.create(fates.succeed, (1,), connection=queue.connection)),
}


@pytest.mark.parametrize("is_async", [True, False])
def test_the_producer_names_a_job_with_the_user_s_serializer(redis: Redis, is_async: bool) -> None:
    producer = Producer(redis, serializer="traced_jobs.OwnSerializer", is_async=is_async)
    events = producer.events_of(producer.here.enqueue(fates.succeed, 1))
    assert events[0].event_type == ("job:enqueued" if is_async else "job:started")
    assert events[0].data["job_name"] == "fates.succeed"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_job_enqueued_under_a_context_carries_it_and_is_recorded(producer: Producer, way: Callable[..., Job]) -> None:
    found = Job.fetch(way(producer.here).id, connection=producer.redis)
    assert context_from_meta(found.meta) == CONTEXT
    assert (*found.args, *found.kwargs.values()) == (1,)
    (event,) = producer.events_of(found)
    assert (event.event_type, event.parent_span_id) == ("job:enqueued", "S")
    assert event.data["job_name"] == "fates.succeed"
    assert event.data["queue"] == "producer"
    assert event.data.get("attempts_allowed", 1) == 1 + (found.retries_left or 0)
    assert "presumed" not in event.data


def test_a_job_without_context_starts_its_own_trace(producer: Producer) -> None:
    found = producer.queue.enqueue(fates.succeed)
    (event,) = producer.events_of(found, trace_id=found.id)
    assert event.parent_span_id is None


def test_the_caller_s_meta_is_kept_and_not_changed(producer: Producer) -> None:
    own = {"own": 1}
    found = producer.here.enqueue(fates.succeed, meta=own)
    assert own == {"own": 1}
    assert found.meta == {"own": 1, META_KEY: {"trace_id": "T", "parent_span_id": "S"}}
    elsewhere = producer.here.enqueue(fates.succeed, meta=trace_meta(TraceContext("U")))
    assert [event.trace_id for event in producer.events_of(elsewhere, trace_id="U")] == ["U"]


def test_a_scheduled_job_records_its_time(producer: Producer) -> None:
    moment = datetime(2100, 1, 1, 12, tzinfo=UTC)
    at = producer.here.enqueue_at(moment, fates.succeed, 1)
    soon = producer.here.enqueue_in(timedelta(minutes=1), fates.succeed, 1)
    scheduled_at, scheduled_in = producer.events_of(at), producer.events_of(soon)
    assert [event.event_type for event in scheduled_at + scheduled_in] == ["job:scheduled"] * 2
    assert scheduled_at[0].data["scheduled_for"] == "2100-01-01T12:00:00.000000Z"
    assert scheduled_in[0].data["scheduled_for"] > scheduled_in[0].timestamp


def test_dependents_record_their_dependencies(producer: Producer) -> None:
    first = producer.here.enqueue(fates.succeed)
    strict = producer.here.enqueue(fates.succeed, depends_on=first)
    lenient = producer.here.enqueue(fates.succeed, depends_on=Dependency(jobs=[first], allow_failure=True))
    (many,) = producer.here.enqueue_many([Queue.prepare_data(fates.succeed, depends_on=[first])])
    for found in (strict, lenient, many):
        (event,) = producer.events_of(found)
        assert (event.event_type, event.data["depends_on"]) == ("job:deferred", [first.id])
    assert producer.events_of(lenient)[0].data["allow_failure"] is True


def test_a_job_in_the_caller_s_pipeline_is_only_presumed(producer: Producer) -> None:
    with producer.redis.pipeline() as pipeline:
        alone = producer.here.enqueue(fates.succeed, pipeline=pipeline)
        many = producer.here.enqueue_many([Queue.prepare_data(fates.succeed)], pipeline=pipeline)
        later = producer.here.enqueue_in(timedelta(hours=1), fates.succeed, pipeline=pipeline)
        pipeline.execute()
    grouped = Group.create(connection=producer.redis).enqueue_many(producer.here, [Queue.prepare_data(fates.succeed)])
    events = producer.events_of(alone, *many, later, *grouped)
    assert [event.data["presumed"] for event in events] == [True] * 4


def test_a_job_that_rq_refuses_is_not_recorded(producer: Producer) -> None:
    producer.here.enqueue(fates.succeed, job_id="only-one", unique=True)
    with pytest.raises(Exception, match="only-one"):
        producer.here.enqueue(fates.succeed, job_id="only-one", unique=True)
    assert len(producer.store.fetch_trace("T").events) == 1


def test_the_decorator_enqueues_here_or_under_a_context(producer: Producer) -> None:
    decorate = job(producer.queue, producer.redis, timeout=77, retry=Retry(max=1))
    approve = decorate(fates.succeed)
    try:
        assert approve is fates.succeed
        own, placed = approve.enqueue(1), approve.under(CONTEXT).enqueue(2)
        named = job("by-name", producer.redis, queue_class=producer.queue_class)(fates.succeed)
        elsewhere = named.under(CONTEXT).delay(3)
    finally:
        for mark in ("enqueue", "delay", "under"):
            delattr(fates.succeed, mark)
    assert [(found.func_name, found.args) for found in (own, placed, elsewhere)] == [
        ("fates.succeed", (1,)),
        ("fates.succeed", (2,)),
        ("fates.succeed", (3,)),
    ]
    assert (own.timeout, placed.timeout, placed.retries_left) == (77, 77, 1)
    assert [context_from_meta(found.meta) for found in (placed, elsewhere)] == [CONTEXT, CONTEXT]
    assert (placed.origin, elsewhere.origin) == ("producer", "by-name")
    assert len(producer.events_of(own, trace_id=own.id)) == 1


def test_a_job_that_runs_immediately_is_recorded_like_one_on_a_worker(redis: Redis) -> None:
    producer = Producer(redis, is_async=False)
    well, badly = producer.here.enqueue(fates.succeed, 3), producer.here.enqueue(fates.fail)
    assert well.return_value() == 3
    assert [event.event_type for event in producer.events_of(well)] == ["job:started", "job:completed"]
    started, failed = producer.events_of(badly)
    assert (failed.event_type, failed.data["error"], failed.data["error_type"]) == (
        "job:failed",
        "no luck",
        "ValueError",
    )
    assert started.data["sync"] is True


def test_no_argument_is_recorded(producer: Producer) -> None:
    confidential = "correct horse battery staple"
    producer.here.enqueue(fates.succeed, confidential, job_id="with-secret")
    assert confidential not in str([document_of(event) for event in producer.store.fetch_trace("T").events])


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_queue_is_under_a_text_or_as_before_under_nothing(
    producer: Producer, nothing: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    under = producer.queue.under("order-7").enqueue(fates.succeed, 1)
    assert context_from_meta(under.meta) == TraceContext("order-7")
    for _ in range(2):
        own = producer.queue.under(nothing).enqueue(fates.succeed, 1)
        assert context_from_meta(own.meta) == TraceContext(own.id)
    assert caplog.text.count("no trace context here") == 1
    tracer = producer.queue_class.tracer
    assert tracer is not None
    assert tracer.lost.total() == 2
    decorated = job(producer.queue, connection=producer.redis)(fates.succeed)
    assert context_from_meta(decorated.under("order-7").enqueue(1).meta) == TraceContext("order-7")
