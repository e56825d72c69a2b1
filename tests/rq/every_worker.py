"""What once lost its context, or got a wrong verdict, without a word: one job or saga for each case.

Run with the RQ that PYTHONPATH names, by `test_every_worker`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout

import choreography
import odd_jobs
from redis import Redis
from rq import Callback, Queue
from rq.cron import CronScheduler
from rq.job import Job
from rq.serializers import JSONSerializer

from sagatrace import Tracer, trace_meta
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue

tracer = Tracer()


def ships_in_threads() -> None:
    """Run three steps in threads: one saga passes its place on itself, and a function is bound."""
    with tracer.saga("parcels", current_trace()) as saga, ThreadPoolExecutor(3) as pool:

        def ship(parcel: str) -> None:
            with saga.step(parcel, undo=bool), tracer.span("call:post", current_trace()):
                if parcel == "third":
                    raise RuntimeError("no courier")

        list(pool.map(tracer.bind(ship), ["first", "second", "third"]))


def noting_stopped(job: Job, connection: Redis) -> None:
    odd_jobs.note(f"on_stopped of {job.id}", job)


def sells_in_transactions() -> None:
    """Enqueue in a transaction that commits, and in one that is rolled back."""
    import django_shop  # not in the work-horses

    for act in ("commits", "rolls_back"):
        django_shop.main(act)


def wakes_up(redis: Redis) -> None:
    """Let two schedules run twice; the second one names a trace for all its runs."""
    scheduler = CronScheduler(connection=redis)
    scheduler.register(odd_jobs.succeeds, "odd", interval=3600)
    scheduler.register(odd_jobs.succeeds, "odd", interval=3600, meta=trace_meta("nightly"))
    for _ in range(2):
        for job in scheduler.enqueue_jobs():
            job.latest_enqueue_time = None  # an hour passes


def enqueue_all(redis_url: str) -> None:
    """Enqueue every case."""
    redis = Redis.from_url(redis_url)
    plain = Queue("odd", connection=redis)
    choreography.place_order(redis_url)
    for outcome in ("succeeds", "fails"):
        callbacks = {
            "on_success": Callback(odd_jobs.noting_success),
            "on_failure": Callback(odd_jobs.noting_failure),
        }
        meta = trace_meta(f"callbacks-{outcome}")
        plain.enqueue(odd_jobs.notes_and, outcome, job_id=f"outer-{outcome}", meta=meta, **callbacks)
    if os.environ["WORKER_KIND"] != "SimpleWorker":  # which cannot stop a job
        stopped = Callback(noting_stopped)
        plain.enqueue(choreography.hangs, job_id="stopped", meta=trace_meta("stopped"), on_stopped=stopped)
    charged = trace_meta("callback-fails", compensation="refund")
    plain.enqueue(odd_jobs.succeeds, meta=charged, on_success=Callback(odd_jobs.callback_that_fails))
    plain.enqueue(ships_in_threads, meta=trace_meta("threads"))
    plain.enqueue("greenlet_jobs.books", meta=trace_meta("greenlets"))
    foreign = TracedQueue("odd", connection=redis, serializer=JSONSerializer)
    foreign.under("foreign").enqueue(choreography.done, job_id="unreadable")
    plain.enqueue(odd_jobs.succeeds, job_id="order-4711")
    wakes_up(redis)
    with redirect_stdout(None):
        sells_in_transactions()
