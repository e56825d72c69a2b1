"""A trace as one row of a list, without its spans: verdict, cause and standing steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zlib import crc32

import msgspec

from sagatrace_tui.incident.error_text import shape_of
from sagatrace_tui.incident.report import error_of
from sagatrace_tui.model import Span, Trace, Verdict
from sagatrace_tui.model.standing import reason_of
from sagatrace_tui.model.text import one_line
from sagatrace_tui.model.verdict import elapsed
from sagatrace_tui.views.landmarks import error_counts

__all__ = ["Failure", "StandingStep", "TraceRow", "reason_text", "standing_texts", "trace_row"]

_MOST: Final = 300  # characters kept of an error, a sentence or a value
_PATH: Final = 12  # names kept of a failure path: half from its start, half from its end


class Failure(msgspec.Struct, frozen=True):
    """The cause of a failed trace. `at` is the time of the failure, in microseconds since 1970.

    `group` is `data.group` of the failed event. `shape` is the error without values. Both are empty if absent.
    """

    span_id: str
    step: str
    error: str
    error_type: str
    at: int
    group: str
    shape: str

    @property
    def text(self) -> str:
        """The error with its type (without the package), for a row."""
        return ": ".join(filter(None, (self.error_type.rpartition(".")[2], self.error)))


class StandingStep(msgspec.Struct, frozen=True):
    """A step that still stands. `since` is its completion in microseconds since 1970; None if unknown.

    `compensation` is the declared compensation, or empty. `certain` is False if the step may have had no effect.
    `error` is the error of the last try to undo it, or empty.
    `undo_goes_on` is True while a running rollback undoes the step, or has yet to reach it.
    `values` are the values of the requested business keys, in their order; empty texts for missing values.
    """

    trace_id: str
    saga: str
    span_id: str
    step: str
    compensation: str
    since: int | None
    certain: bool
    code: str
    reason: str
    error: str = ""
    undo_goes_on: bool = False
    values: tuple[str, ...] = ()


class TraceRow(msgspec.Struct, frozen=True):
    """One trace of a list. Times are microseconds since 1970. `verdict` is None until the trace is read.

    `latest` is the time of its last matching event. `error_count` counts no consequences and no recovered failures.
    `steps` is the number of steps with something to undo, and `undone` of those that were undone. `path` are the names
    from the root to the cause. `values` are the values of the requested business keys. `unreadable` is the number of
    documents that are not events: they may hide further standing steps.
    """

    trace_id: str
    latest: int
    verdict: Verdict | None = None
    name: str = ""
    started_at: int | None = None
    duration: int | None = None
    span_count: int = 0
    error_count: int = 0
    failure: Failure | None = None
    standing: tuple[StandingStep, ...] = ()
    steps: int = 0
    undone: int = 0
    summary: str = ""
    path: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    matches: bool = True
    unreadable: int = 0

    @property
    def is_running(self) -> bool:
        """Whether the trace was running at its last reading."""
        return self.verdict in ("running", "compensating")

    def elapsed(self, now: int) -> int | None:
        """Return the duration in microseconds. For a running trace it is the duration until `now`."""
        return elapsed(self.started_at, self.duration, now, is_running=self.is_running)


def trace_row(trace: Trace, latest: int, keys: Sequence[str] = (), *, matches: bool = True) -> TraceRow:
    """Return the row of a trace.

    Args:
        trace: the trace.
        latest: the time of its last matching event, in microseconds since 1970.
        keys: business keys, like `order_id` or `customer.id`.
        matches: whether the trace matches the query.
    """
    values = tuple(_value_in(trace.spans.values(), key) for key in keys)
    return TraceRow(
        trace_id=trace.trace_id,
        latest=latest,
        verdict=trace.verdict,
        name=one_line(trace.name, _MOST),
        started_at=trace.started_at,
        duration=trace.duration,
        span_count=len(trace.spans),
        error_count=error_counts(trace)[0],
        failure=_failure(trace),
        standing=tuple(_standing(trace, keys, values)),
        steps=trace.undone[1],
        undone=trace.undone[0],
        summary=one_line(trace.summary, 2 * _MOST),
        path=tuple(_path(trace)),
        values=values,
        matches=matches,
        unreadable=trace.unreadable,
    )


def reason_text(row: TraceRow) -> str:
    """Return the failure and the number of standing steps in one line; empty without both."""
    failure = f"{row.failure.step} {row.failure.text}".rstrip() if row.failure is not None else ""
    return " · ".join(filter(None, (failure, *standing_texts(row)[:1])))


def standing_texts(row: TraceRow) -> list[str]:
    """Return the number of standing steps in a long and a short form: `1 of 3 standing`. Empty if none stands.

    While a saga compensates, the forms are `1 of 3 undone, 1 standing`, if no undo will follow for the one, and
    `1 of 3 undone`.
    """
    standing = len(row.standing)
    if not standing:
        return []
    if row.verdict == "compensating":
        undone, passed_by = f"{row.undone} of {row.steps} undone", sum(not one.undo_goes_on for one in row.standing)
        return [f"{undone}, {passed_by} standing" if passed_by else undone, undone]
    return [f"{standing} of {max(row.steps, standing)} standing", f"{standing} standing"]


def _value_in(spans: Iterable[Span], key: str) -> str:
    """Return the value of a data key in the first span that has it, as text; empty without one."""
    path = key.split(".")
    for span in spans:
        if (found := _at(span.data, path)) is not None:
            return _text_of(found)
    return ""


def _text_of(value: object) -> str:
    """Return a data value as one line. A cut value gets a checksum, so that different values stay different."""
    text = value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
    line = one_line(text, _MOST)
    return line if line == text.strip() else f"{line} #{crc32(text.encode('utf-8', 'backslashreplace')):08x}"


def _at(data: object, path: Sequence[str]) -> object:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _failure(trace: Trace) -> Failure | None:
    cause = trace.cause
    if cause is None:
        return None
    error, error_type = error_of(cause) or "", cause.error_type or ""
    group = cause.data.get("group")
    return Failure(
        span_id=cause.span_id,
        step=one_line(cause.short_name, _MOST),
        error=one_line(error, _MOST),
        error_type=one_line(error_type, _MOST),
        at=cause.over_at,
        group="" if group is None else _text_of(group),
        shape=shape_of(error, error_type),
    )


def _standing(trace: Trace, keys: Sequence[str], values: Sequence[str]) -> Iterable[StandingStep]:
    """Yield the standing steps, with key values of the step or else of the trace."""
    if not trace.still_standing:
        return
    last_try = {row.original_span_id: row for row in trace.compensations}
    for one in trace.still_standing:
        tried = last_try.get(one.span_id)
        span = trace.spans.get(one.span_id)
        done = span is not None and not span.is_open
        yield StandingStep(
            trace_id=trace.trace_id,
            saga=one_line(trace.name, _MOST),
            span_id=one.span_id,
            step=one_line(one.name, _MOST),
            compensation=one_line((span.compensation if span is not None else None) or "", _MOST),
            since=span.over_at if span is not None and done else None,
            certain=one.certain,
            code=str(one.code),
            reason=one_line(reason_of(one, ended=trace.ended), _MOST),
            error=one_line(": ".join(filter(None, (tried.error_type, tried.error) if tried else ())), _MOST),
            undo_goes_on=one.undo_goes_on,
            values=tuple(
                _value_in([] if span is None else [span], key) or value for key, value in zip(keys, values, strict=True)
            ),
        )


def _path(trace: Trace) -> list[str]:
    """Return the names of the failure path. Of a long path, return its ends and the number of names between."""
    ids = trace.failure_path
    half = _PATH // 2
    names = [
        one_line(trace.spans[one].short_name, _MOST)
        for one in (ids if len(ids) <= _PATH else (*ids[:half], *ids[-half:]))
    ]
    return names if len(ids) <= _PATH else [*names[:half], f"{len(ids) - _PATH} more", *names[half:]]
