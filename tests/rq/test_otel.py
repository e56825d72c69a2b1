"""Under OpenTelemetry: its trace id in the events, and `traceparent` in the jobs."""

from __future__ import annotations

import logging
from pathlib import Path

import otel_jobs
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from sagatrace import MemoryStore, TraceContext, Tracer, open_store, trace_meta
from sagatrace.otel import faults
from sagatrace.rq.queue import TracedQueue
from servers import work_off

HERE = Path(__file__).parent


@pytest.fixture
def otel() -> trace.Tracer:
    return TracerProvider().get_tracer("shop")


def test_an_event_has_the_trace_id_of_the_current_span(otel: trace.Tracer) -> None:
    store = MemoryStore()
    tracer = Tracer(store, redact=lambda _, data: {**data, "seen": sorted(data)})
    with otel.start_as_current_span("request") as span:
        tracer.emit("ai:decision", "T", data={"score": 7})
        tracer.emit("ai:decision", "T", data={"otel_trace_id": "of my own"})
    tracer.emit("ai:decision", "T")
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert [event.data.get("otel_trace_id") for event in store.fetch_trace("T").events] == [trace_id, "of my own", None]
    assert store.fetch_trace("T").events[0].data["seen"] == ["otel_trace_id", "score"]


def test_a_job_s_meta_carries_the_span(otel: trace.Tracer, redis: Redis) -> None:
    assert "traceparent" not in trace_meta("T")
    with otel.start_as_current_span("request"):
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        parent = carrier["traceparent"]
        assert trace_meta("T") == {"sagatrace": {"trace_id": "T"}, "traceparent": parent}
        assert trace_meta(None) == {"traceparent": parent}
        queue = TracedQueue("otel", connection=redis, serializer=JSONSerializer)
        queue.tracer = Tracer(MemoryStore())
        jobs = [queue.under(TraceContext("T")).enqueue("operator.not_", 1), queue.enqueue("operator.not_", 1)]
        jobs += [queue.enqueue("operator.not_", 1, meta={"traceparent": "of my own", "more": 1})]
    metas = [Job.fetch(job.id, redis, serializer=JSONSerializer).meta for job in jobs]
    assert [meta["traceparent"] for meta in metas] == [parent, parent, "of my own"]
    assert [meta["sagatrace"]["trace_id"] for meta in metas] == ["T", jobs[1].id, jobs[2].id]


@pytest.mark.parametrize("queue_class", [Queue, TracedQueue])
def test_a_job_continues_the_trace(
    otel: trace.Tracer, redis: Redis, redis_server: str, tmp_path: Path, queue_class: type[Queue]
) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    tracer = Tracer(url)
    own: type[Queue] = type("Own", (queue_class,), {"tracer": tracer})
    with otel.start_as_current_span("request") as span:
        own("otel", connection=redis).enqueue(otel_jobs.continues, job_id="above", meta=trace_meta(TraceContext("T")))
    tracer.close()
    work_off(redis_server, url, "otel", path=HERE)
    store = open_store(url, read_only=True)
    events = store.fetch_trace("T").events
    store.close()
    trace_id = f"{span.get_span_context().trace_id:032x}"
    ids = {
        event.event_type: event.data.get("otel_trace_id") for event in events if event.span_id not in ("above", "below")
    }
    assert ids == {"stage:pack:started": trace_id, "stage:pack:completed": trace_id}
    assert redis.get("follows") == trace_id.encode()


def test_a_fault_of_opentelemetry_loses_only_the_id(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise LookupError

    monkeypatch.setattr(trace, "get_current_span", fails)
    faults.clear()
    store = MemoryStore()
    with caplog.at_level(logging.ERROR, "sagatrace"):
        Tracer(store).emit("ai:decision", "T")
        assert trace_meta("T") == {"sagatrace": {"trace_id": "T"}}
    assert len(store.fetch_trace("T").events) == 1
    assert (faults, len(caplog.records)) == ({"LookupError": 2}, 1)
