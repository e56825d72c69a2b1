"""Times as text, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["clock", "iso", "length"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(micros: int | None) -> str | None:
    """Microseconds since 1970 as ISO 8601; None for None, and for what lies outside the years 1 to 9999."""
    if micros is None:
        return None
    try:
        moment = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:  # an offset carried it out of the years 1 to 9999
        return None
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def clock(micros: int | None) -> str:
    """Microseconds since 1970 to the millisecond, for a person."""
    text = iso(micros)
    return "—" if text is None else f"{text[:10]} {text[11:23]}Z"


def length(micros: int) -> str:
    """A length of time for a person: `850 µs`, `1.5 s`, `3 min 02 s`, `2 h 05 min`."""
    seconds = micros / 1_000_000
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 0.001 else f"{micros} µs"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
