"""A shop without tracing and without undoing: the business code that the other two shops add to."""

from __future__ import annotations

import os

from redis import Redis
from rq import Queue
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


def buy(order: str) -> None:
    """Charge, reserve and ship, each as a job, and wait for each."""
    for step in (charge, reserve, ship):
        job = steps().enqueue(step, order)
        job.latest_result(timeout=60)


def submit(order: str) -> Job:
    """Enqueue the order."""
    return Queue("sagas", connection=redis()).enqueue(buy, order)
