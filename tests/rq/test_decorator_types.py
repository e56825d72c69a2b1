"""The `job` decorator keeps the type of the function. mypy and pyright check this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_type

from redis import Redis
from rq.job import Job

from sagatrace import TraceContext
from sagatrace.rq.queue import TracedQueue, job


@dataclass
class Loan:
    amount: int


def test_a_decorated_function_keeps_its_type_and_is_enqueued(redis: Redis) -> None:
    queue = TracedQueue("loans", connection=redis)

    @job(queue, connection=redis)
    def approve(loan: Loan, *, limit: int = 100) -> str:
        return "approved" if loan.amount <= limit else "refused"

    assert_type(approve(Loan(50)), str)
    assert_type(approve.enqueue(Loan(50), limit=10, job_id="first"), Job)
    assert_type(approve.delay(Loan(50)), Job)
    assert_type(approve.under(TraceContext("T"))(Loan(500)), str)
    placed = assert_type(approve.under(TraceContext("T")).enqueue(Loan(50)), Job)
    assert (approve(Loan(50)), approve(Loan(50), limit=10), approve.__name__) == ("approved", "refused", "approve")
    assert placed.meta["sagatrace"] == {"trace_id": "T"}
    assert len(queue) == 3


def test_a_call_with_wrong_arguments_is_a_type_error() -> None:
    """mypy reports an unused ignore as an error."""

    @job("loans", connection=Redis())
    def approve(loan: Loan) -> str:
        return str(loan.amount)

    if TYPE_CHECKING:
        approve("loan")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        approve()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert approve(Loan(1)) == "1"
