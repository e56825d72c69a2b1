"""Format moments in the form that the reader chose: relative, UTC or local time. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, get_args

import msgspec
from msgspec.structs import replace

from sagatrace_tui.labels import offset, when

__all__ = ["Mode", "Times"]

Mode = Literal["relative", "UTC", "local"]
_MODES: Final[tuple[Mode, ...]] = get_args(Mode)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = 60_000_000
_STAMP: Final = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


class Times(msgspec.Struct, frozen=True):
    """A form of times. Moments are microseconds since 1970. Every time of day has its zone.

    `zone` is the reader's time zone; None is the zone of this machine. In `relative` mode, `of_day`, `clock` and
    `moment` write UTC.
    """

    mode: Mode = "relative"
    zone: tzinfo | None = None

    @property
    def following(self) -> Times:
        """The form with the next mode."""
        return replace(self, mode=_MODES[(_MODES.index(self.mode) + 1) % len(_MODES)])

    def words(self, now: int) -> str:
        """Return the mode in words, with the zone: `Times are local, +01`."""
        said = {"relative": "relative; times of day are UTC", "UTC": "UTC", "local": f"local, {self._zone(now)}"}
        return f"Times are {said[self.mode]}"

    def width(self, now: int) -> int:
        """Return the terminal columns of `brief`."""
        return {"relative": 8, "UTC": 12, "local": 11 + len(self._zone(now))}[self.mode]

    def brief(self, micros: int | None, now: int) -> str:
        """Return a moment for a narrow column: `12s ago`, or the time of day, or `12-22 10:00Z` for another day."""
        return when(micros, now) if self.mode == "relative" else self.of_day(micros, now)

    def of_day(self, micros: int | None, now: int) -> str:
        """Return `10:00:01Z` for a moment today, `12-22 10:00Z` for another day, `2024-12-22Z` for another year."""
        if micros is None:
            return "—"
        at, today = self._at(micros), self._at(now)
        same_day, same_year = at.date() == today.date(), at.year == today.year
        return f"{at:{'%H:%M:%S' if same_day else '%m-%d %H:%M' if same_year else '%Y-%m-%d'}}{self._zone(micros)}"

    def clock(self, micros: int | None) -> str:
        """Return a moment to the second: `2025-12-22 10:00:01Z`."""
        return "—" if micros is None else f"{self._at(micros):%Y-%m-%d %H:%M:%S}{self._zone(micros)}"

    def moment(self, micros: int | None) -> str:
        """Return a moment to the millisecond: `2025-12-22 10:00:01.100Z`."""
        if micros is None:
            return "—"
        return f"{self._at(micros):%Y-%m-%d %H:%M:%S}.{micros // 1000 % 1000:03}{self._zone(micros)}"

    def moment_from(self, micros: int, origin: int) -> str:
        """Return a moment to the millisecond. Omit the date if it is the day of `origin`."""
        day, _, time = self.moment(micros).partition(" ")
        return time if self.moment(origin).startswith(day) else f"{day} {time}"

    def in_trace(self, moments: Sequence[int], origin: int) -> list[str]:
        """Return moments of one trace in one form. Distances from `origin` look like `+1.10s` or `+2:05:03.1`."""
        if self.mode != "relative":
            return [self.moment_from(micros, origin) for micros in moments]
        if all(abs(micros - origin) < _MINUTE for micros in moments):
            return [offset(micros, origin) for micros in moments]
        return [_stopwatch(micros - origin) for micros in moments]

    def in_text(self, text: str) -> str:
        """Return a sentence of the model with its moments in local time, if that is the mode."""
        return _STAMP.sub(self._local, text) if self.mode == "local" else text

    def _local(self, match: re.Match[str]) -> str:
        try:
            micros = (datetime.fromisoformat(match[0]) - _EPOCH) // timedelta(microseconds=1)
        except ValueError:
            return match[0]
        return self.clock(micros)

    def _at(self, micros: int) -> datetime:
        try:
            at = _EPOCH + timedelta(microseconds=micros)
            return at.astimezone(self.zone) if self.mode == "local" else at
        except (OverflowError, ValueError):  # the UTC offset of a valid timestamp can lead outside the years 1 to 9999
            return datetime.min.replace(tzinfo=UTC)

    def _zone(self, micros: int) -> str:
        return f"{self._at(micros):%z}".removesuffix("00") if self.mode == "local" else "Z"


def _stopwatch(micros: int) -> str:
    """Return a distance as hours, minutes and seconds, like `+2:05:03.1`."""
    tenths = abs(micros) // 100_000
    hours, minutes, seconds = tenths // 36_000, tenths // 600 % 60, tenths % 600
    return f"{'-' if micros < 0 else '+'}{hours}:{minutes:02}:{seconds // 10:02}.{seconds % 10}"
