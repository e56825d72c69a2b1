"""Steps of a saga that run as jobs of their own: some fail, and some take as long as the test wants."""

from __future__ import annotations

from rq import get_current_job


def charge(amount: int, *, currency: str = "EUR") -> str:
    return f"{amount} {currency} charged"


def refund(amount: int, *, currency: str = "EUR") -> str:
    return f"{amount} {currency} refunded"


def refund_that_fails(amount: int, *, currency: str = "EUR") -> None:
    raise ConnectionError("the bank did not answer")


def ship(order: str) -> None:
    raise ValueError(f"{order} is out of stock")


def ship_at_the_second_try(order: str) -> str:
    job = get_current_job()
    assert job is not None
    if job.retries_left:
        raise ValueError("no truck")
    return f"{order} shipped"


def charge_when_let(amount: int) -> str:
    """Charge once the test lets it, or fail if it says so."""
    job = get_current_job()
    assert job is not None
    job.connection.rpush("begun", amount)
    let = job.connection.blpop(["let"], timeout=240)
    if let is None or let[1] != b"succeed":
        raise ValueError("card refused")
    return f"{amount} charged"


def charge_at_two_banks() -> None:
    raise ExceptionGroup("both banks", [ValueError("closed"), ExceptionGroup("more", [ValueError("closed")])])


def charge_without_answer() -> None:
    try:
        raise TimeoutError("no answer")  # noqa: TRY301 - as a library does
    except TimeoutError as error:
        raise ValueError("the bank refused") from error
