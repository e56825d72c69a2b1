"""The errors sagatrace raises, each one line that says what is wrong, with what value, and what to do.

SagatraceError
├── EventError            an event or document that does not fit the contract
├── SettingsError         an environment variable or argument that cannot be used
└── StoreError            a store that could not be read or written
    └── StoreNotFoundError     there is nothing at that address yet
"""

from __future__ import annotations

__all__ = ["EventError", "SagatraceError", "SettingsError", "StoreError", "StoreNotFoundError"]


class SagatraceError(Exception):
    """Base of every error this package raises on purpose."""


class EventError(SagatraceError):
    """An event or stored document that does not fit the contract."""


class SettingsError(SagatraceError):
    """A setting that cannot be used."""


class StoreError(SagatraceError):
    """A store that could not be opened, read or written."""


class StoreNotFoundError(StoreError):
    """A store that does not exist yet."""
