"""A shop whose steps call each other by callbacks, without tracing and without undoing."""

from __future__ import annotations

import os
from typing import Any

from redis import Redis
from rq import Callback, Queue
from rq.job import Job

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


def run(place: int, order: str) -> Job:
    """Enqueue the step at this place."""
    return steps().enqueue(ORDER[place], order, on_success=Callback(then_next))


def then_next(job: Job, _redis: Redis, _result: Any) -> None:
    """Enqueue the next step."""
    place = [step.__name__ for step in ORDER].index(str(job.func_name).rpartition(".")[2]) + 1
    if place < len(ORDER):
        run(place, job.args[0])


def submit(order: str) -> Job:
    """Enqueue the first step."""
    return run(0, order)
