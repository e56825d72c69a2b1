"""Jobs whose failures are hard to record, and a redaction for workers."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq.job import Job

from sagatrace import Tracer
from sagatrace.rq import current_trace


def fails_with_half_a_pair() -> None:
    raise ValueError("half \ud800 a pair")


def fails_with_an_epic() -> None:
    raise ValueError("\x01" * 20_000 + "\ud800")


def succeeds() -> str:
    return "done"


def fails() -> None:
    raise ValueError("no luck")


def callback_that_fails(job: Job, connection: Redis, *_: Any) -> None:
    raise LookupError("the callback's own")


def pays_with_a_card() -> None:
    with Tracer().span("step:pay", current_trace(), data={"card": "4111 1111 1111 1111"}, compensation="refund"):
        raise ValueError("card 4111 1111 1111 1111 was refused")


def mask_cards(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """Be the value of SAGATRACE_REDACT."""
    return {key: str(value).replace("4111 1111 1111 1111", "****") for key, value in data.items()}
