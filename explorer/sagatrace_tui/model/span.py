"""A span: everything its events say of one unit of work, folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import msgspec

from sagatrace.errors import EventError
from sagatrace.events import CLOSING_PHASES, OPENING_PHASES, TraceEvent, split_event_type

__all__ = ["Attempt", "Span", "SpanKind", "SpanStatus", "fold_span"]

SpanStatus = Literal["queued", "running", "success", "failed", "stopped", "canceled", "point"]
SpanKind = Literal["workflow", "stage", "job", "saga", "compensation", "point", "step"]

_KINDS: Final[Mapping[str, SpanKind]] = {"workflow": "workflow", "stage": "stage", "job": "job", "saga": "saga"}
_COMPENSATION_PHASES: Final = frozenset({"compensating", "compensated", "compensation_failed"})
# Opened, but nothing runs yet.
_WAITING_PHASES: Final = frozenset({"enqueued", "scheduled", "deferred"})


class _Facts(msgspec.Struct, frozen=True, gc=False):
    """The values of `data` that the model reads; all else stays undecoded until it is shown."""

    job_name: Any = None
    error: Any = None
    error_type: Any = None
    reason: Any = None
    original_span_id: Any = None
    compensation: Any = None


_NO_FACTS: Final = _Facts()
_FACTS: Final = msgspec.json.Decoder(_Facts | None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a span; times in microseconds since 1970, None where no event tells."""

    number: int
    started_at: int | None
    ended_at: int | None
    error: str | None


@dataclass(frozen=True)
class Span:
    """One unit of work. Times are microseconds since 1970; `events` are in order of (time, id)."""

    span_id: str
    name: str
    kind: SpanKind
    status: SpanStatus
    parent_id: str | None
    enqueued_at: int | None
    started_at: int | None
    ended_at: int | None
    first_at: int
    last_at: int
    attempts: tuple[Attempt, ...]
    error: str | None
    error_type: str | None
    original_span_id: str | None
    compensation: str | None
    tags: tuple[str, ...]
    events: tuple[TraceEvent, ...] = field(repr=False)

    @property
    def is_open(self) -> bool:
        """Whether its end is still to come."""
        return self.status in ("queued", "running")

    @property
    def wait(self) -> int | None:
        """Microseconds between being enqueued and first started."""
        if self.enqueued_at is None or self.started_at is None:
            return None
        return max(0, self.started_at - self.enqueued_at)

    @cached_property
    def data(self) -> dict[str, Any]:
        """The `data` of all its events merged, later ones over earlier ones."""
        merged: dict[str, Any] = {}
        for event in self.events:
            try:
                merged.update(event.data)
            except EventError as error:
                merged["data_unreadable"] = str(error)
        return merged


def fold_span(events: Sequence[TraceEvent]) -> Span:
    """Fold the events of one span, given in order of (time, id) and each once."""
    phases = [split_event_type(event.event_type) for event in events]
    facts = [_facts(event) for event in events]
    starts = [event for event, (_, phase) in zip(events, phases, strict=True) if _runs(phase)]
    ends = [event for event, (_, phase) in zip(events, phases, strict=True) if _ends(phase)]
    enqueued = [event for event, (_, phase) in zip(events, phases, strict=True) if phase in _WAITING_PHASES]
    closings = [event for event in ends if split_event_type(event.event_type)[1] != "retrying"]
    status = _status(events, starts, ends, closings)
    is_open = status in ("queued", "running")
    failing = status in ("failed", "stopped", "canceled") or is_open
    return Span(
        span_id=events[0].span_id,
        name=_text(_last(fact.job_name for fact in facts)) or _name(phases),
        kind=_kind(phases),
        status=status,
        parent_id=next((event.parent_span_id for event in events if event.parent_span_id), None),
        enqueued_at=enqueued[0].micros if enqueued else None,
        started_at=starts[0].micros if starts else None,
        ended_at=closings[-1].micros if closings and not is_open else None,
        first_at=events[0].micros,
        last_at=events[-1].micros,
        attempts=_attempts(starts, ends),
        error=_text(_last(fact.error for fact in facts)) if failing else None,
        error_type=_text(_last(fact.error_type for fact in facts)) if failing else None,
        original_span_id=_text(_last(fact.original_span_id for fact in facts)),
        compensation=_text(_last(fact.compensation for fact in facts)),
        tags=tuple(dict.fromkeys(tag for event in events for tag in event.tags or ())),
        events=tuple(events),
    )


def _runs(phase: str | None) -> bool:
    return phase in OPENING_PHASES and phase not in _WAITING_PHASES


def _ends(phase: str | None) -> bool:
    return phase in CLOSING_PHASES or phase == "retrying"


def _status(
    events: Sequence[TraceEvent], starts: list[TraceEvent], ends: list[TraceEvent], closings: list[TraceEvent]
) -> SpanStatus:
    # Counted, not compared by time: clocks of different hosts disagree.
    if closings and len(ends) >= len(starts):
        return _outcome(closings[-1])
    if starts and len(ends) < len(starts):
        return "running"
    explicit = _last(event.status for event in events)
    if any(split_event_type(event.event_type)[1] for event in events):
        return "queued"
    if explicit in ("success", "failed"):
        return "success" if explicit == "success" else "failed"
    return "point"


def _outcome(closing: TraceEvent) -> SpanStatus:
    if closing.status == "success":
        return "success"
    if closing.status == "failed":
        return "failed"
    return CLOSING_PHASES[split_event_type(closing.event_type)[1] or ""]


def _attempts(starts: list[TraceEvent], ends: list[TraceEvent]) -> tuple[Attempt, ...]:
    attempts = []
    for index in range(max(len(starts), len(ends))):
        end = ends[index] if index < len(ends) else None
        error = _text(_facts(end).error) if end is not None else None
        started_at = starts[index].micros if index < len(starts) else None
        attempts.append(Attempt(index + 1, started_at, end.micros if end else None, error))
    return tuple(attempts)


def _kind(phases: Sequence[tuple[str, str | None]]) -> SpanKind:
    known = {phase for _, phase in phases if phase}
    if known & _COMPENSATION_PHASES:
        return "compensation"
    if not known:
        return "point"
    return _KINDS.get(_name(phases).partition(":")[0], "step")


def _name(phases: Sequence[tuple[str, str | None]]) -> str:
    return next((name for name, phase in phases if phase), phases[0][0])


def _facts(event: TraceEvent) -> _Facts:
    if event.raw_data is msgspec.UNSET:
        return _NO_FACTS
    try:
        return _FACTS.decode(event.raw_data) or _NO_FACTS
    except (msgspec.MsgspecError, RecursionError):
        return _NO_FACTS


def _last(values: Iterable[Any]) -> Any:
    found = None
    for value in values:
        if value is not None:
            found = value
    return found


def _text(value: object) -> str | None:
    """What jobs wrote where a text belongs, as a text."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
