"""The errors of sagatrace. Each is one line with the fault, the value, and the way to fix it.

SagatraceError
├── EventError            an event or document that does not fit the contract
├── OutboxFullError       an event that the outbox refused, as it holds all it may
├── SettingsError         an environment variable or argument that cannot be used
├── SearchError           a search that no store can answer
├── ShipperRunningError   another process is delivering this outbox
└── StoreError            a store that could not be read or written
    ├── AppendError            some events were not stored, and which of them never will be (sagatrace.stores)
    ├── StoreAccessError       the store does not let us in: a key, a token, a permission
    ├── StoreNotFoundError     there is nothing at that address yet
    ├── StoreUrlError          a store URL that cannot be used; also a SettingsError
    └── StoreUnavailableError  unreachable, overloaded or too slow: the same call may succeed later
"""

from __future__ import annotations

import os
import sys
from typing import Final

from sagatrace.shown import logger

__all__ = [
    "EventError",
    "OutboxFullError",
    "SagatraceError",
    "SearchError",
    "SettingsError",
    "ShipperRunningError",
    "StoreAccessError",
    "StoreError",
    "StoreNotFoundError",
    "StoreUnavailableError",
    "StoreUrlError",
    "interruption",
    "is_switched_off",
    "log_fault",
    "must_pass",
    "traceback_of",
]

log: Final = logger("sagatrace")


class SagatraceError(Exception):
    """Base of every error this package raises on purpose."""


class EventError(SagatraceError):
    """An event or stored document that does not fit the contract."""


class OutboxFullError(SagatraceError):
    """An outbox that holds as much as it may, and refused an event."""


class SettingsError(SagatraceError):
    """A setting that cannot be used."""


class SearchError(SagatraceError):
    """A search that no store can answer."""


class ShipperRunningError(SagatraceError):
    """An outbox that another process is delivering."""


class StoreError(SagatraceError):
    """A store that could not be opened, read or written."""


class StoreNotFoundError(StoreError):
    """A store that does not exist yet."""


class StoreUrlError(StoreError, SettingsError):
    """A store URL that cannot be used."""


class StoreAccessError(StoreError):
    """A store that refuses access, until a key, a sign-in or a role changes."""


class StoreUnavailableError(StoreError):
    """A store that cannot answer now. `retry_after` is the wait in seconds that the store asked for, if it did."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def must_pass(error: BaseException) -> bool:
    """Return whether an exception interrupts the job on purpose: RQ's timeout, or that of a signal handler.

    Tracing errors are swallowed. Such an exception must reach the job, even if it was raised inside this package.
    """
    timeouts = sys.modules.get("rq.timeouts")  # not imported here: without the module there is no such timeout
    # Not `isinstance`: it reads the `__class__` of the exception, which may be foreign code.
    if timeouts is not None and issubclass(type(error), timeouts.BaseTimeoutException):
        return True
    trace = traceback_of(error)
    while trace is not None and trace.tb_next is not None:
        interrupted, trace = trace.tb_frame, trace.tb_next
        # The interpreter calls a signal handler with the frame that it interrupted.
        for value in trace.tb_frame.f_locals.values():
            if value is interrupted or (type(value) is tuple and any(one is interrupted for one in value)):
                return True
    return False


def interruption(error: BaseException, before: BaseException | None) -> BaseException | None:
    """Return the exception that must pass: the error, or one that a library wrapped in it; None without one.

    `before` is the exception that was being handled when the call began. It is not part of the call.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and current is not before and id(current) not in seen:
        if must_pass(current):
            return current
        seen.add(id(current))
        current = _context_of(current)
    return None


def is_switched_off() -> bool:
    """Return whether the environment switches recording off. Then nothing is warned of either."""
    return "off" in (os.environ.get(name, "").strip() for name in ("SAGATRACE", "SAGATRACE_STORE"))


def log_fault(message: str, *arguments: object, error: BaseException | None = None) -> None:
    """Log a fault of tracing, with the traceback of an error. Exceptions of log handlers must not reach a job."""
    exc_info = None if error is None else (type(error), error, traceback_of(error))
    try:
        log.error(message, *arguments, stacklevel=2, exc_info=exc_info)
    except Exception as fault:
        if must_pass(fault):
            raise


# Read past a class's own attributes of these names, which are foreign code.
traceback_of: Final = BaseException.__dict__["__traceback__"].__get__
_context_of: Final = BaseException.__dict__["__context__"].__get__
