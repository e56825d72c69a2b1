"""One call of a store: its deadline, its cost and its refusal. This module does not import the SDK."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from sagatrace.errors import StoreError

__all__ = ["Call", "EventRefusedError", "call_within", "this_call"]


class EventRefusedError(StoreError):
    """The service refuses the content of a request. `reason` is the reason to record for an event."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"{label} refuses the request: {reason}")
        self.reason = reason


@dataclass(slots=True)
class Call:
    """One call of a store: its deadline (`time.monotonic`) and its cost so far.

    `last_status` is the status of the last response, and `has_version` whether that response names a document version.
    `sent_items` is set when a request for items is sent.
    """

    deadline: float
    requests: int = 0
    request_units: float = 0.0
    last_status: int = 0
    has_version: bool = False
    sent_items: bool = False
    clock_offset: float | None = None

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def note(self, status: int, headers: Mapping[str, str]) -> None:
        """Count one response of the service."""
        self.last_status, self.has_version = status, "etag" in headers
        with suppress(KeyError, ValueError):  # a missing header must not fail the call
            charge = float(headers["x-ms-request-charge"])
            self.request_units += charge if math.isfinite(charge) else 0.0
        with suppress(KeyError, ValueError):
            self.clock_offset = time.time() - parsedate_to_datetime(headers["date"]).timestamp()


_current: Final = threading.local()


@contextmanager
def call_within(call: Call) -> Iterator[Call]:
    """Count all requests of this thread in the `with` block as part of the call."""
    _current.call = call
    try:
        yield call
    finally:
        _current.call = None


def this_call() -> Call | None:
    """Return the call that this thread is in; None outside a call."""
    return getattr(_current, "call", None)
