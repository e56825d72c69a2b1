"""Format times (in UTC), durations and names as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["LONGEST_NAME", "SHOWN", "clipped", "clock", "counted", "iso", "length", "listed", "one_line"]

SHOWN: Final = 3
"""The number of names in a sentence. Further names are only counted."""
LONGEST_NAME: Final = 120
"""The limit in characters for a name in a sentence. A job may have any name."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(micros: int | None) -> str | None:
    """Return microseconds since 1970 as ISO 8601, or None for None and for years outside 1 to 9999."""
    if micros is None:
        return None
    try:
        moment = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:  # a time zone's offset can carry a time out of these years
        return None
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def clock(micros: int | None) -> str:
    """Return microseconds since 1970 as a time to the millisecond."""
    text = iso(micros)
    return "—" if text is None else f"{text[:10]} {text[11:23]}Z"


def length(micros: int) -> str:
    """Return a number of microseconds as a duration, such as `850 µs`, `1.5 s`, `3 min 02 s` or `2 h 05 min`."""
    seconds = micros / 1_000_000
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 0.001 else f"{micros} µs"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def counted(count: int, noun: str) -> str:
    """Return `1 span` or `2 spans`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], count: int | None = None) -> str:
    """Return the first `SHOWN` names, and the number of the others. `count` is the number of all names."""
    rest = (len(names) if count is None else count) - SHOWN
    clause = ", ".join(clipped(name, LONGEST_NAME) for name in names[:SHOWN])
    return f"{clause} and {rest} more" if rest > 0 else clause


def clipped(text: str, limit: int) -> str:
    """Return the text in at most `limit` characters. A cut text ends in `…`."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def one_line(text: str, limit: int) -> str:
    """Return the first line that is not blank, in at most `limit` characters. A cut line ends in `…`."""
    lines = [line.strip() for line in text[: 10 * limit].splitlines() if line.strip()]
    more = len(lines) > 1 or len(text) > 10 * limit
    return clipped(f"{lines[0] if lines else ''}{'…' if more else ''}", limit)
