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
]


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
