"""A job of a program that uses OpenTelemetry: it continues the trace of the process that enqueued it."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from rq import get_current_job

from sagatrace import Tracer
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue


def continues() -> None:
    job = get_current_job()
    assert job is not None
    context = TraceContextTextMapPropagator().extract(job.meta)
    with TracerProvider().get_tracer("shop").start_as_current_span("job", context):
        with Tracer().span("stage:pack", current_trace()):
            pass
        TracedQueue("otel", connection=job.connection).enqueue(follows, job_id="below")


def follows() -> None:
    job = get_current_job()
    assert job is not None
    found = trace.get_current_span(TraceContextTextMapPropagator().extract(job.meta)).get_span_context()
    job.connection.set("follows", f"{found.trace_id:032x}")
