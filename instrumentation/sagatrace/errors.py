"""The errors sagatrace raises, each one line that says what is wrong, with what value, and what to do.

SagatraceError
├── EventError            an event or document that does not fit the contract
├── OutboxFullError       an event that the outbox refused, as it holds all it may
├── OutboxMismatchError   an outbox that keeps events for another store
├── SettingsError         an environment variable or argument that cannot be used
├── SearchError           a search that no store can answer
├── ShipperRunningError   another process is delivering this outbox
└── StoreError            a store that could not be read or written
    ├── AppendError            some events were not stored, and which of them never will be (sagatrace.stores)
    ├── StoreAccessError       the store does not let us in: a key, a token, a permission
    ├── StoreNotFoundError     there is nothing at that address yet
    └── StoreUnavailableError  unreachable, overloaded or too slow: the same call may succeed later
"""

from __future__ import annotations

import sys

__all__ = [
    "EventError",
    "OutboxFullError",
    "OutboxMismatchError",
    "SagatraceError",
    "SearchError",
    "SettingsError",
    "ShipperRunningError",
    "StoreAccessError",
    "StoreError",
    "StoreNotFoundError",
    "StoreUnavailableError",
    "is_job_timeout",
]


class SagatraceError(Exception):
    """Base of every error this package raises on purpose."""


class EventError(SagatraceError):
    """An event or stored document that does not fit the contract."""


class OutboxFullError(SagatraceError):
    """An outbox that holds as much as it may, and refused an event."""


class OutboxMismatchError(SagatraceError):
    """An outbox that keeps events for another store."""


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


class StoreAccessError(StoreError):
    """A store that refuses who is asking; nothing changes until somebody changes a key, a sign-in or a role."""


class StoreUnavailableError(StoreError):
    """A store that cannot answer now. `retry_after` is in seconds, as the store asked for; None when it did not say."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def is_job_timeout(error: BaseException) -> bool:
    """Whether it is RQ's timeout; rq is not imported for the question, as none can have come without it."""
    timeouts = sys.modules.get("rq.timeouts")
    return timeouts is not None and isinstance(error, timeouts.BaseTimeoutException)
