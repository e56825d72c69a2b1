"""The shop as a saga without an orchestrator."""

from __future__ import annotations

import os
from typing import Any

from redis import Redis
from rq import Callback
from rq.job import Dependency, Job

from sagatrace import trace_meta
from sagatrace.rq.queue import TracedQueue as Queue

BROKEN = os.environ.get("SHOP_BROKEN", "").split()  # the actions that fail


def redis() -> Redis:
    """Return the shop's Redis."""
    return Redis.from_url(os.environ["SHOP_REDIS"])


def steps() -> Queue:
    """Return the queue of the steps."""
    return Queue("steps", connection=redis())


def do(action: str, order: str) -> str:
    """Act on another system, and write the action to the shop's book."""
    if action in BROKEN:
        raise RuntimeError(f"{action} does not work today")
    redis().rpush("book", f"{action} {order}")
    return f"{action} {order}"


def charge(order: str) -> str:
    """Take the money."""
    return do("charge", order)


def refund(order: str) -> str:
    """Give it back."""
    return do("refund", order)


def reserve(order: str) -> str:
    """Reserve the goods."""
    return do("reserve", order)


def release(order: str) -> str:
    """Put them back."""
    return do("release", order)


def ship(order: str) -> str:
    """Send them."""
    return do("ship", order)


ORDER = (charge, reserve, ship)
UNDO = (refund, release)


def run(place: int, order: str) -> Job:
    """Enqueue the step at this place."""
    meta = trace_meta(f"order-{order}", compensation=UNDO[place].__name__ if place < len(UNDO) else None)
    callbacks = {"on_success": Callback(then_next), "on_failure": Callback(undo_all)}
    return steps().enqueue(ORDER[place], order, job_id=f"{order}-{place}", meta=meta, **callbacks)


def then_next(job: Job, _redis: Redis, _result: Any) -> None:
    """Enqueue the next step."""
    place = [step.__name__ for step in ORDER].index(str(job.func_name).rpartition(".")[2]) + 1
    if place < len(ORDER):
        run(place, job.args[0])


def undo_all(last: Job, _redis: Redis, *_error: Any) -> None:
    """Undo the earlier steps in reverse order. A failed undo does not stop the next one."""
    for place in reversed(range(int(last.id.rpartition("-")[2]))):
        meta = trace_meta(f"order-{last.args[0]}", undoes=f"{last.args[0]}-{place}")
        last = steps().enqueue(UNDO[place], last.args[0], meta=meta, depends_on=Dependency([last], allow_failure=True))


def submit(order: str) -> Job:
    """Enqueue the first step."""
    return run(0, order)
