"""Timestamps of events: written in one form, read in any form of ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sagatrace.errors import EventError

__all__ = ["parse_timestamp", "utc_timestamp"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def utc_timestamp(moment: datetime | None = None) -> str:
    """Return the moment (default now) as fixed-width UTC with microseconds: `2025-12-22T10:00:01.100000Z`."""
    utc = datetime.now(UTC) if moment is None else moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:26] + "Z"


def parse_timestamp(text: str) -> int:
    """Return an ISO 8601 timestamp as microseconds since 1970 UTC; without an offset it is taken as UTC.

    Digits past the microsecond are dropped. Raises EventError that names the text.
    """
    try:
        moment = datetime.fromisoformat(text)
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise EventError(f"timestamp {text[:64]!r} is not ISO 8601: {error}") from error
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
