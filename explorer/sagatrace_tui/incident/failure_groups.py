"""Failures of one kind as one row: traces of one saga that failed at one step with one error, whatever its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.incident.trace_row import Failure, TraceRow

__all__ = ["FailureGroup", "began_at", "failure_groups", "histogram"]

_NEW: Final = 4  # the part of the time in which a new kind was first seen: the last quarter


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Traces that failed alike, the latest failure first. Times are microseconds since 1970.

    `key` names the group from one reading to the next. `standing` counts the steps that still stand in these traces,
    `standing_in` the traces that have any. `is_new`: none failed so before the last quarter of the time that was read.
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
        """What the failed events, or the key asked for, say they have in common; empty where the error decided."""
        return "" if self.key[0] == "error" else self.key[1]

    @property
    def label(self) -> str:
        """The value for a row; `(no value)` of failures that lack the key asked for."""
        return "(no value)" if self.key == ("by", "") else self.value

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
    """Return the failures by kind: new kinds first, then those with the most traces.

    Args:
        rows: The traces, failed or not.
        began: The beginning of the time that was read, in microseconds since 1970.
        ended: The end of that time.
        by: Group by the value of the rows' last business key, and not by saga, step and error.
    """
    members: dict[tuple[str, ...], list[TraceRow]] = {}
    for row in rows:
        if row.failure is not None:
            members.setdefault(_key(row, row.failure, by=by), []).append(row)
    new_since = ended - (ended - began) // _NEW
    groups = [_group(key, found, new_since) for key, found in members.items()]
    return sorted(groups, key=lambda one: (not one.is_new, -len(one.rows), -one.last_at, one.key))


def began_at(rows: Iterable[TraceRow], began: int) -> int:
    """Return when the first of the traces started, and no earlier than the window began.

    A trace may have started long before, or its host's clock be wrong.
    """
    return max(began, min((row.started_at for row in rows if row.started_at is not None), default=began))


def histogram(group: FailureGroup, began: int, ended: int, bars: int) -> list[int]:
    """Return how many of a group failed in each of `bars` equal parts of the time from `began` to `ended`."""
    length = max(1, ended - began)
    counts = Counter(
        min(bars - 1, max(0, (row.failure.at - began) * bars // length))
        for row in group.rows
        if row.failure is not None
    )
    return [counts[bar] for bar in range(bars)]


def _key(row: TraceRow, failure: Failure, *, by: bool) -> tuple[str, ...]:
    if by:
        return "by", "".join(row.values[-1:])
    if failure.group:
        return "label", failure.group
    return "error", row.name, failure.step, failure.error_type, failure.shape


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
