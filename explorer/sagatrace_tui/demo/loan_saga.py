"""A loan approval as a saga of RQ jobs, for the demo and the documentation.

`approve_loan` runs on the queue `sagas`. Its steps are jobs on the queue `steps`, with other workers. So a saga that
waits for its steps never takes their workers.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Final, Literal, get_args

import msgspec
from redis import Redis
from rq import Retry, get_current_job
from rq.job import Job

from sagatrace import Tracer
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue

__all__ = ["SAGAS", "SCENARIOS", "STEPS", "Loan", "LoanError", "Scenario", "approve_loan", "submit"]

SAGAS: Final = "sagas"
STEPS: Final = "steps"

Scenario = Literal["success", "rollback", "retry", "undo_fails", "forgotten_undo", "timeout", "killed"]
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)

_KEEP: Final = 600  # seconds Redis keeps finished jobs

tracer = Tracer()


class Loan(msgspec.Struct, frozen=True):
    """An application for a loan. `scenario` selects the failure to show."""

    loan_id: str
    amount: int
    scenario: Scenario = "success"


class LoanError(Exception):
    """The loan cannot be granted."""


class AccountClosedError(LoanError):
    """The customer's account is closed."""


class BureauUnavailableError(LoanError):
    """The credit bureau did not answer. A retry may succeed."""


class CustomerWithdrewError(LoanError):
    """The customer no longer wants the loan."""


def submit(loan: Loan, connection: Redis) -> Job:
    """Enqueue the saga as a new trace, `loan-<loan id>`. Return the job."""
    queue = TracedQueue(SAGAS, connection=connection).under(f"loan-{loan.loan_id}")
    return queue.enqueue(
        approve_loan,
        loan,
        job_timeout=3 if loan.scenario == "timeout" else 120,
        result_ttl=_KEEP,
        failure_ttl=_KEEP,
    )


def approve_loan(loan: Loan) -> str:
    """Run the saga: take a loan through its steps. An exception undoes the completed steps in reverse order."""
    job = get_current_job()
    if job is None:
        raise LoanError("approve_loan runs as an RQ job: enqueue it with submit()")
    steps = TracedQueue(STEPS, connection=job.connection)
    about = {"loan_id": loan.loan_id, "amount": loan.amount}
    with tracer.saga("loan-approval", current_trace(), data=about) as saga:
        saga.call("validate", validate, loan)
        saga.run(steps, reserve_credit, loan, undo=release_credit, retry=Retry(max=1))
        tracer.emit("ai:decision", saga, data={"decision": "approve", "score": 0.93, "model": "risk-3"})
        if loan.scenario == "forgotten_undo":
            # The step declares a compensation, but the saga never runs it. The trace shows the step as still standing.
            with tracer.span("step:insure", saga, compensation="cancel_insurance"):
                insure(loan)
        saga.run(steps, reserve_funds, loan, undo=return_funds)
        if loan.scenario == "killed":
            os.kill(os.getpid(), signal.SIGKILL)  # like the kernel when memory runs out
        saga.run(steps, transfer_money, loan, undo=reverse_transfer)
        saga.run(steps, notify_customer, loan)
    return "approved"


def validate(loan: Loan) -> None:
    """Check the application. This step needs no undo."""
    _take(0.1)
    if loan.amount <= 0:
        raise LoanError(f"{loan.amount} is not an amount for a loan")


def reserve_credit(loan: Loan) -> str:
    """Reserve the amount at the credit bureau."""
    _take(0.15)
    job = get_current_job()
    if loan.scenario == "retry" and job is not None and job.retries_left:
        raise BureauUnavailableError("the credit bureau did not answer")
    return f"credit of {loan.amount} reserved"


def release_credit(loan: Loan) -> str:
    """Undo reserve_credit."""
    _take(0.1)
    return f"credit of {loan.amount} released"


def insure(loan: Loan) -> str:
    """Buy a payment protection policy."""
    _take(0.1)
    return f"{loan.amount} insured"


def reserve_funds(loan: Loan) -> str:
    """Reserve the money."""
    _take(0.2)
    return f"{loan.amount} reserved"


def return_funds(loan: Loan) -> str:
    """Undo reserve_funds."""
    _take(0.15)
    return f"{loan.amount} returned"


def transfer_money(loan: Loan) -> str:
    """Send the money to the customer's account."""
    _take(0.3)
    if loan.scenario == "timeout":
        _take(5)  # longer than the saga's timeout
    if loan.scenario in ("rollback", "forgotten_undo"):
        raise AccountClosedError("the customer's account is closed")
    return f"{loan.amount} transferred"


def reverse_transfer(loan: Loan) -> str:
    """Undo transfer_money."""
    _take(0.2)
    if loan.scenario == "undo_fails":
        raise AccountClosedError("the money cannot be taken back: the account is closed")
    return f"{loan.amount} taken back"


def notify_customer(loan: Loan) -> str:
    """Notify the customer, who may withdraw the application."""
    _take(0.05)
    if loan.scenario == "undo_fails":
        raise CustomerWithdrewError("the customer withdrew the application")
    return f"customer of {loan.loan_id} notified"


def _take(seconds: float) -> None:
    """Wait about `seconds`, like a call to another system."""
    time.sleep(seconds * random.uniform(0.8, 1.3))  # noqa: S311 - no secret
