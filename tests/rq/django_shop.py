"""A Django program with a database of its own, run by `test_django` with the RQ that PYTHONPATH names.

    python -c 'import django_shop; django_shop.main("commits")'

It prints its results as JSON. The environment completes its settings (`django_settings`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, cast

import django
import django_rq
from django.core.signals import request_finished
from django.db import connection, transaction
from django_rq.queues import DjangoRQ

from sagatrace import TraceContext, Tracer
from sagatrace.rq import SimpleWorker
from sagatrace.rq.queue import TracedQueue, TracedQueueMixin

CONTEXT: Final = TraceContext("T", "S")
TRACER: Final = Tracer(os.environ.get("SAGATRACE_STORE"))


class TracedDjangoQueue(TracedQueueMixin, DjangoRQ):
    """The queue class that a user writes."""

    tracer = TRACER


class PlainTracedQueue(TracedQueue):
    """A queue class that a user of django-rq must not write."""

    tracer = TRACER


class Worker(SimpleWorker):
    """A worker in the program's own process and transaction."""

    tracer = TRACER


class OutOfStockError(Exception):
    """Rolls a transaction back."""


def atomic() -> AbstractContextManager[None]:
    """Return a transaction of the database, which Django types as a decorator only."""
    return cast("AbstractContextManager[None]", transaction.atomic())


def shop_queue() -> TracedDjangoQueue:
    """Return the queue of the settings."""
    return cast("TracedDjangoQueue", django_rq.get_queue())


def charge(order: int) -> int:
    return order


def order() -> None:
    """Be a job that enqueues another."""
    shop_queue().enqueue(charge, 3, job_id="charge-3")


def sell(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO sold VALUES (%s)", [number])


def sold() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM sold")
        return [number for (number,) in cursor.fetchall()]


def waiting() -> list[str]:
    return shop_queue().job_ids


def commits() -> dict[str, Any]:
    with atomic():
        sell(1)
        returned = shop_queue().under(CONTEXT).enqueue(charge, 1, job_id="charge-1", meta={"own": 1})
        inside = waiting()
    return {"returned": returned and returned.id, "inside": inside}


def rolls_back() -> dict[str, Any]:
    with suppress(OutOfStockError), atomic():
        sell(1)
        shop_queue().under(CONTEXT).enqueue(charge, 1)
        django_rq.enqueue(charge, 1)
        django_rq.job(charge).delay(1)
        raise OutOfStockError
    return {}


def outside() -> dict[str, Any]:
    """Enqueue without a transaction."""
    return {"returned": shop_queue().under(CONTEXT).enqueue(charge, 1, job_id="charge-1").id}


def in_a_job() -> dict[str, Any]:
    """Commit only after the job that enqueued another has ended."""
    queue = shop_queue()
    with atomic():
        queue.under(TraceContext("T")).original_enqueue_call(order, job_id="order")
        Worker([queue], connection=queue.connection).work(burst=True)
        inside = waiting()
    return {"inside": inside}


def finishes_a_request() -> dict[str, Any]:
    shop_queue().under(CONTEXT).enqueue(charge, 1, job_id="charge-1")
    inside = waiting()
    request_finished.send("request")
    return {"inside": inside}


def enqueues_otherwise() -> dict[str, Any]:
    """Use the ways that django-rq leaves as they are, in a transaction that is rolled back."""
    queue = shop_queue().under(CONTEXT)
    with suppress(OutOfStockError), atomic():
        queue.enqueue_many([queue.prepare_data(charge, (1,), job_id="charge-1")])
        raise OutOfStockError
    return {}


ACTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    act.__name__: act for act in (commits, rolls_back, outside, in_a_job, finishes_a_request, enqueues_otherwise)
}


def main(act: str) -> None:
    """Run one act."""
    django.setup()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS sold (number INTEGER)")
    seen = ACTS[act]()
    print(json.dumps({**seen, "sold": sold(), "waiting": waiting()}))
