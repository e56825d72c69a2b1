"""An order as a saga without an orchestrator. Callbacks enqueue the next step, or undo the earlier steps.

The saga's span outlives each job: `submit_order` begins it, and the last callback ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args

import msgspec
from redis import Redis
from rq import Callback
from rq.job import Dependency, Job

from sagatrace import Tracer, trace_meta
from sagatrace.rq.queue import TracedQueue
from sagatrace_tui.demo.loan_saga import STEPS

__all__ = ["ORDER_SCENARIOS", "Order", "OrderScenario", "submit_order"]

OrderScenario = Literal["delivered", "no_courier"]
ORDER_SCENARIOS: Final[tuple[OrderScenario, ...]] = get_args(OrderScenario)

_KEEP: Final = 600  # seconds Redis keeps finished jobs

tracer = Tracer()


class Order(msgspec.Struct, frozen=True):
    """An order of a shop. `saga` is the result of `Tracer.begin`. `scenario` selects the outcome to show."""

    order_id: str
    saga: str
    scenario: OrderScenario = "delivered"


class NoCourierError(Exception):
    """No courier can deliver the order."""


def charge_card(order: Order) -> str:
    """Charge the customer's card."""
    return f"{order.order_id} paid"


def refund_card(order: Order) -> str:
    """Undo charge_card."""
    return f"{order.order_id} refunded"


def reserve_stock(order: Order) -> str:
    """Reserve the goods."""
    return f"{order.order_id} reserved"


def release_stock(order: Order) -> str:
    """Undo reserve_stock."""
    return f"{order.order_id} released"


def book_courier(order: Order) -> str:
    """Book a courier. This is the last step, so it needs no undo."""
    if order.scenario == "no_courier":
        raise NoCourierError("no courier is free on this day")
    return f"{order.order_id} booked"


STEPS_IN_ORDER: Final = (charge_card, reserve_stock, book_courier)
UNDO: Final[Mapping[str, Callable[[Order], str]]] = {"charge_card": refund_card, "reserve_stock": release_stock}


def submit_order(order_id: str, connection: Redis, scenario: OrderScenario = "delivered") -> Job:
    """Begin the saga as a new trace, `order-<order id>`, and enqueue its first step. Return the job."""
    about = {"workflow_id": "order", "order_id": order_id}
    saga = tracer.begin("workflow:order", f"order-{order_id}", data=about)
    return _enqueue_step(0, Order(order_id, saga, scenario), connection)


def _enqueue_step(place: int, order: Order, connection: Redis) -> Job:
    step = STEPS_IN_ORDER[place]
    undo = UNDO.get(step.__name__)
    return TracedQueue(STEPS, connection=connection).enqueue(
        step,
        order,
        meta=trace_meta(tracer.resume(order.saga), compensation=undo.__name__ if undo else None),
        job_id=f"{order.order_id}-{step.__name__}",
        on_success=Callback(then_next),
        on_failure=Callback(undo_all),
        result_ttl=_KEEP,
        failure_ttl=_KEEP,
    )


def then_next(job: Job, connection: Redis, _result: Any) -> None:
    """Enqueue the next step. After the last step, complete the saga."""
    order, place = job.args[0], _place_of(job)
    if place + 1 < len(STEPS_IN_ORDER):
        _enqueue_step(place + 1, order, connection)
    else:
        tracer.resume(order.saga).complete()


def undo_all(job: Job, connection: Redis, _type: Any, error: Any, _trace: Any) -> None:
    """Fail the saga, and undo the earlier steps in reverse order."""
    order, queue, before = job.args[0], TracedQueue(STEPS, connection=connection), None
    saga = tracer.resume(order.saga)
    saga.fail(error)
    for step in reversed(STEPS_IN_ORDER[: _place_of(job)]):
        meta = trace_meta(saga, undoes=f"{order.order_id}-{step.__name__}", reason=str(error))
        # A failed compensation must not block the next one.
        waits_for = Dependency(jobs=[before], allow_failure=True) if before else None
        undo = UNDO[step.__name__]
        before = queue.enqueue(undo, order, meta=meta, depends_on=waits_for, result_ttl=_KEEP, failure_ttl=_KEEP)


def _place_of(job: Job) -> int:
    return [step.__name__ for step in STEPS_IN_ORDER].index(str(job.func_name).rpartition(".")[2])
