"""Failures of one kind as one row: traces of one saga that failed at one step with one error, whatever its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.incident.trace_row import Failure, TraceRow

__all__ = ["FailureGroup", "failure_groups", "histogram"]

_NEW: Final = 4  # the part of the time in which a new kind was first seen: the last quarter


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Traces that failed alike, the latest failure first. Times are microseconds since 1970.

    `key` names the group from one reading to the next. `label` is what the failed events, or the key asked for, say
    they have in common; empty where the error decided. `standing` counts the steps that still stand in these traces,
    `standing_in` the traces that have any. `is_new`: none failed so before the last quarter of the time that was read.
    """

    key: str
    label: str
    rows: tuple[TraceRow, ...]
    first_at: int
    last_at: int
    standing: int
    standing_in: int
    is_new: bool

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


def failure_groups(rows: Iterable[TraceRow], *, by: bool = False) -> list[FailureGroup]:
    """Return the failures by kind: new kinds first, then those with the most traces.

    Args:
        rows: The traces, failed or not.
        by: Group by the value of the rows' last business key, and not by saga, step and error.
    """
    listed = list(rows)
    members: dict[str, list[TraceRow]] = {}
    labels: dict[str, str] = {}
    for row in listed:
        if row.failure is not None:
            label = "".join(row.values[-1:]) if by else row.failure.group
            parts = (label,) if by or label else (row.name, row.failure.step, row.failure.error_type, row.failure.shape)
            key = "\0".join(("by" if by else "label" if label else "error", *parts))
            members.setdefault(key, []).append(row)
            labels[key] = label
    new_since = _last_quarter(listed)
    groups = [_group(key, labels[key], found, new_since) for key, found in members.items()]
    return sorted(groups, key=lambda one: (not one.is_new, -len(one.rows), -one.last_at, one.key))


def histogram(group: FailureGroup, began: int, ended: int, bars: int) -> list[int]:
    """Return how many of a group failed in each of `bars` equal parts of the time from `began` to `ended`."""
    length = max(1, ended - began)
    counts = Counter(
        min(bars - 1, max(0, (row.failure.at - began) * bars // length))
        for row in group.rows
        if row.failure is not None
    )
    return [counts[bar] for bar in range(bars)]


def _last_quarter(rows: Sequence[TraceRow]) -> int:
    """Return the moment at which the last quarter of the time begins that the traces span."""
    first = min((row.started_at for row in rows if row.started_at is not None), default=0)
    last = max((row.latest for row in rows), default=0)
    return last - (last - first) // _NEW


def _group(key: str, label: str, rows: list[TraceRow], new_since: int) -> FailureGroup:
    ordered = sorted(rows, key=lambda row: (_at(row), row.trace_id), reverse=True)
    first = _at(ordered[-1])
    return FailureGroup(
        key=key,
        label=label,
        rows=tuple(ordered),
        first_at=first,
        last_at=_at(ordered[0]),
        standing=sum(len(row.standing) for row in ordered),
        standing_in=sum(bool(row.standing) for row in ordered),
        is_new=first >= new_since,
    )


def _at(row: TraceRow) -> int:
    return row.failure.at if row.failure is not None else row.latest
