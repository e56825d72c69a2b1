"""The shop as an orchestrated saga."""

from __future__ import annotations

import os

from redis import Redis
from rq.job import Job

from sagatrace import Tracer
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue as Queue

tracer = Tracer()

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
    with tracer.saga("order", current_trace()) as saga:
        saga.run(steps(), charge, order, undo=refund, timeout=60)
        saga.run(steps(), reserve, order, undo=release, timeout=60)
        saga.run(steps(), ship, order, timeout=60)


def submit(order: str) -> Job:
    """Enqueue the saga."""
    return Queue("sagas", connection=redis()).under(f"order-{order}").enqueue(buy, order)
