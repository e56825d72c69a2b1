"""A loan approval as a saga of RQ jobs: what the demo runs and the README shows.

`approve_loan` runs on the queue `sagas`. What it does to the outside world are jobs of their own on the queue
`steps`, worked by other workers: a saga waits for its steps, and no step waits for a saga.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, get_args

from redis import Redis
from rq import Queue, Retry, get_current_job
from rq.job import Job
from rq.results import Result

from sagatrace import Span, TraceContext, Tracer, TraceRef, trace_meta
from sagatrace.rq import current_trace

__all__ = ["SAGAS", "SCENARIOS", "STEPS", "Loan", "LoanError", "Scenario", "approve_loan", "submit"]

SAGAS: Final = "sagas"
STEPS: Final = "steps"

Scenario = Literal["success", "rollback", "retry", "undo_fails", "forgotten_undo", "timeout"]
SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)

_STEP_WAIT: Final = 30  # seconds a saga waits for one step
_KEEP: Final = 600  # seconds Redis keeps finished jobs

tracer = Tracer()


@dataclass(frozen=True)
class Loan:
    """An application for a loan; `scenario` decides what will go wrong with it."""

    loan_id: str
    amount: int
    scenario: Scenario = "success"


Step = Callable[[Loan], str]


class LoanError(Exception):
    """The loan cannot be granted: what was done for it must be undone."""


class AccountClosedError(LoanError):
    """The customer's account takes no money, or gives none back."""


class BureauUnavailableError(LoanError):
    """The credit bureau did not answer; it may when asked again."""


class CustomerWithdrewError(LoanError):
    """The customer no longer wants the loan."""


def submit(loan: Loan, connection: Redis) -> Job:
    """Enqueue the saga as the root of a trace of its own, `loan-<loan id>`."""
    return Queue(SAGAS, connection=connection).enqueue(
        approve_loan,
        loan,
        meta=trace_meta(TraceContext.new(f"loan-{loan.loan_id}")),
        job_timeout=3 if loan.scenario == "timeout" else 120,
        result_ttl=_KEEP,
        failure_ttl=_KEEP,
    )


def approve_loan(loan: Loan) -> str:
    """The saga: takes a loan through its stages, and undoes them in reverse order when one fails."""
    trace = current_trace() or TraceContext.new()
    undo: list[tuple[Span, Step]] = []
    about = {"loan_id": loan.loan_id, "amount": loan.amount}
    with tracer.span("workflow:loan-approval", trace, data=about) as saga:
        try:
            with tracer.span("stage:validate", saga):
                validate(loan)

            with tracer.span("stage:credit", saga, compensation="release_credit") as credit:
                run(reserve_credit, loan, credit, retry=Retry(max=1))
                tracer.emit("ai:decision", credit, data={"decision": "approve", "score": 0.93, "model": "risk-3"})
            undo.append((credit, release_credit))

            if loan.scenario == "forgotten_undo":
                # Says what would undo it, and nobody adds that to `undo`: the trace shows it as still standing.
                with tracer.span("stage:insurance", saga, compensation="cancel_insurance") as insurance:
                    run(insure, loan, insurance)

            with tracer.span("stage:funding", saga, compensation="return_funds") as funding:
                run(reserve_funds, loan, funding)
            undo.append((funding, return_funds))

            with tracer.span("stage:disbursement", saga, compensation="reverse_transfer") as disbursement:
                run(transfer_money, loan, disbursement)
            undo.append((disbursement, reverse_transfer))

            with tracer.span("stage:notify", saga) as notify:
                run(notify_customer, loan, notify)
        except LoanError as error:
            unwind(undo, loan, saga, reason=str(error))
            raise
    return "approved"


def unwind(undo: list[tuple[Span, Step]], loan: Loan, saga: TraceRef, *, reason: str) -> None:
    """Undo what was done, last thing first."""
    for step, action in reversed(undo):
        # One undo that fails must not keep the others from being tried: its span says that it failed.
        with suppress(LoanError), tracer.compensation(original=step, parent=saga, reason=reason) as undoing:
            run(action, loan, undoing)


def run(step: Step, loan: Loan, parent: TraceRef, *, retry: Retry | None = None) -> None:
    """Have a worker of the other queue run the step under `parent`, and wait for it. Raises LoanError."""
    saga_job = get_current_job()
    if saga_job is None:
        raise LoanError(f"{step.__name__} was called outside of an RQ job: enqueue the saga with submit()")
    steps = Queue(STEPS, connection=saga_job.connection)
    job = steps.enqueue(step, loan, meta=trace_meta(parent), retry=retry, result_ttl=_KEEP, failure_ttl=_KEEP)
    result = job.latest_result(timeout=_STEP_WAIT)
    if result is None:
        raise LoanError(f"{step.__name__} gave no result within {_STEP_WAIT} s")
    if result.type is not Result.Type.SUCCESSFUL:
        last_line = (result.exc_string or "no reason given").rstrip().rpartition("\n")[2]
        raise LoanError(f"{step.__name__}: {last_line.partition(': ')[2] or last_line}")


def validate(loan: Loan) -> None:
    """Check the application; nothing to undo."""
    _take(0.1)
    if loan.amount <= 0:
        raise LoanError(f"a loan of {loan.amount} is none")


def reserve_credit(loan: Loan) -> str:
    """Have the credit bureau set the amount aside."""
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
    """Set the money aside."""
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
        _take(5)  # longer than the saga may take
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
    """Tell the customer; who may want out after all."""
    _take(0.05)
    if loan.scenario == "undo_fails":
        raise CustomerWithdrewError("the customer withdrew the application")
    return f"customer of {loan.loan_id} notified"


def _take(seconds: float) -> None:
    """Last as long as a call to another system might."""
    time.sleep(seconds * random.uniform(0.8, 1.3))  # noqa: S311 - no secret
