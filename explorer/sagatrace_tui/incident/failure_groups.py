"""Group failures by kind: traces of one saga that failed at the same step with the same shape of error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from sagatrace_tui.incident.trace_row import Failure, TraceRow

__all__ = ["FailureGroup", "bars", "began_at", "failure_groups", "histogram"]

_BARS: Final = " ▁▂▃▄▅▆▇█"
_NEW: Final = 4  # a new kind was first seen in the last quarter of the time


class FailureGroup(msgspec.Struct, frozen=True):
    """Traces with one kind of failure, the latest failure first. Times are microseconds since 1970.

    `key` identifies the group across readings. `standing` is the number of steps that still stand in these traces.
    `standing_in` is the number of traces with such steps. `is_new`: the first failure of this kind is in the last
    quarter of the time read.
    """

    key: tuple[str, ...]
    rows: tuple[TraceRow, ...]
    first_at: int
    last_at: int
    standing: int
    standing_in: int
    is_new: bool

    @property
    def value(self) -> str:
        """The common value of `data.group` or of the requested key; empty for groups by error."""
        return "" if self.key[0] == "error" else self.key[1]

    @property
    def label(self) -> str:
        """The value for a row; `(no value)` for failures without the requested key."""
        return "(no value)" if self.key[:2] == ("by", "") else self.value

    @property
    def example(self) -> Failure:
        """The latest failure."""
        failure = self.rows[0].failure
        assert failure is not None  # noqa: S101 - only failed traces are in a group
        return failure

    @property
    def saga(self) -> str:
        """The name of the saga."""
        return self.rows[0].name


def failure_groups(rows: Iterable[TraceRow], began: int, ended: int, *, by: bool = False) -> list[FailureGroup]:
    """Return the failures by kind: new kinds first, then by the number of traces.

    Args:
        rows: the traces, failed or not.
        began: the start of the time read, in microseconds since 1970.
        ended: the end of that time.
        by: group by the rows' last business key instead of saga, step and error.
    """
    members: dict[tuple[str, ...], list[TraceRow]] = {}
    for row in rows:
        if row.failure is not None:
            members.setdefault(_key(row, row.failure, by=by), []).append(row)
    new_since = ended - (ended - began) // _NEW
    groups = [_group(key, found, new_since) for key, found in members.items()]
    return sorted(groups, key=lambda one: (not one.is_new, -len(one.rows), -one.last_at, one.key))


def began_at(rows: Iterable[TraceRow], began: int) -> int:
    """Return the start of the first trace, but not before the start of the window (`began`).

    A trace can start long before the window, and the clock of its host can be wrong.
    """
    return max(began, min((row.started_at for row in rows if row.started_at is not None), default=began))


def histogram(group: FailureGroup, began: int, ended: int, bars: int) -> list[int]:
    """Return the number of failures of a group in each of `bars` equal parts of the time."""
    length = max(1, ended - began)
    counts = Counter(
        min(bars - 1, max(0, (row.failure.at - began) * bars // length))
        for row in group.rows
        if row.failure is not None
    )
    return [counts[bar] for bar in range(bars)]


def bars(counts: Sequence[int]) -> str:
    """Return numbers as bars, one column each. The highest is a full block, 0 is a blank."""
    most = max(counts, default=0)
    return "".join(_BARS[-(-count * 8 // most) if most else 0] for count in counts)


def _key(row: TraceRow, failure: Failure, *, by: bool) -> tuple[str, ...]:
    if by and (value := "".join(row.values[-1:])):
        return "by", value
    if failure.group and not by:
        return "label", failure.group
    # Without the requested value too, failures of different kinds stay apart.
    kind = row.name, failure.step, failure.error_type, failure.shape
    return ("by", "", *kind) if by else ("error", *kind)


def _group(key: tuple[str, ...], rows: list[TraceRow], new_since: int) -> FailureGroup:
    ordered = sorted(rows, key=lambda row: (_at(row), row.trace_id), reverse=True)
    first = _at(ordered[-1])
    return FailureGroup(
        key=key,
        rows=tuple(ordered),
        first_at=first,
        last_at=_at(ordered[0]),
        standing=sum(len(row.standing) for row in ordered),
        standing_in=sum(bool(row.standing) for row in ordered),
        is_new=first >= new_since,
    )


def _at(row: TraceRow) -> int:
    return row.failure.at if row.failure is not None else row.latest
