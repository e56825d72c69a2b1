"""A state machine for the state of a span. Each event costs one dictionary look-up.

The machine follows only the sequence that a worker writes in its normal course: waiting, then start and retry in turns,
then one end. In an irregular sequence an event is lost, a clock is behind, a job ran again, or a saga reports its own
compensation. Then `attempts` and `runs` examine all events of the span.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec.structs import force_setattr, replace

from sagatrace.event import TraceEvent
from sagatrace.phases import CLOSING_PHASES, OPENING_PHASES, PHASES

__all__ = ["NEW", "Mark", "SpanKind", "SpanStatus", "State", "mark_of", "state_of"]

SpanStatus = Literal["queued", "running", "success", "failed", "stopped", "canceled", "interrupted", "point"]
SpanKind = Literal["workflow", "stage", "job", "saga", "compensation", "point", "step"]
Unwinding = Literal["", "begun", "done", "failed"]

_KINDS: Final[Mapping[str, SpanKind]] = {"workflow": "workflow", "stage": "stage", "job": "job", "saga": "saga"}
_UNDO_PHASES: Final = frozenset({"compensating", "compensated", "compensation_failed"})
_WAITING: Final = frozenset({"enqueued", "scheduled", "deferred"})  # the span is open and waits
_UNDO_GROUPS: Final = frozenset({"compensation", "rollback"})  # spans with these names group compensations
_STEP: Final[tuple[SpanKind, bool]] = "step", False
_SHAPES: Final[Mapping[str, tuple[SpanKind, bool]]] = {
    **{name: (kind, False) for name, kind in _KINDS.items()},
    **dict.fromkeys(_UNDO_GROUPS, ("step", True)),
}


class Mark(msgspec.Struct, frozen=True, eq=False):
    """A parsed event type: its effect on its span, the status of the end, and the kind of the span.

    Equal marks are one object, because identity hashes fastest.
    """

    kind: Literal["wait", "start", "retry", "end", "other"]
    outcome: SpanStatus | None
    undo: bool = False
    group: bool = False  # whether the span groups compensations and undoes no step itself
    span_kind: SpanKind = "point"


def mark_of(event_type: str, status: str | None) -> Mark:
    """Parse an event type. The event's explicit status wins if the phase is an end."""
    name, _, phase = event_type.rpartition(":")
    return _mark(phase, status, *_shape_of(name)) if phase in PHASES else _mark(None, status)


def _shape_of(name: str) -> tuple[SpanKind, bool]:
    """Return the kind of a span with this name, and whether it groups compensations."""
    if ":" not in name:  # the quick case
        return _SHAPES.get(name, _STEP)
    return _KINDS.get(name.partition(":")[0], "step"), name.rpartition(":")[2] in _UNDO_GROUPS


@lru_cache(maxsize=4096)
def _mark(phase: str | None, status: str | None, span_kind: SpanKind = "point", group: bool = False) -> Mark:
    """Return the mark. A trace has a few dozen marks, whatever the number of span names."""
    outcome: SpanStatus | None = "success" if status == "success" else "failed" if status == "failed" else None
    if phase is None:
        return Mark("other", outcome)
    undo = phase in _UNDO_PHASES
    span_kind = "compensation" if undo else span_kind
    if phase in CLOSING_PHASES and status == "pending":
        return Mark("other", None)
    if phase in CLOSING_PHASES:
        return Mark("end", outcome or CLOSING_PHASES[phase], undo, group, span_kind)
    if phase in _WAITING:
        return Mark("wait", "queued", undo, group, span_kind)
    if phase in OPENING_PHASES:
        return Mark("start", "running", undo, group, span_kind)
    return Mark("retry", "queued", undo, group, span_kind)


class State(msgspec.Struct, frozen=True, eq=False):
    """A span's state after some of its events. Equal states are one object, because identity hashes fastest."""

    status: SpanStatus = "point"
    kind: SpanKind = "point"
    group: bool = False  # groups compensations
    opened: bool = False  # whether its first event opens it, so that its beginning is known
    marks: str = ""  # the first letter of each mark that changes the state
    unwinding: Unwinding = ""  # the state of the compensation that it reports itself
    irregular: bool = False  # whether the status depends on all events together

    retried: bool = False  # whether an attempt was followed by another
    is_compensation: bool = False  # whether its event types belong to the undoing
    plain: bool = False  # whether it succeeded normally and is not part of the undoing

    def __post_init__(self) -> None:
        """Compute the last three from the others."""
        retried, is_compensation = "r" in self.marks, self.kind == "compensation" or self.group
        force_setattr(self, "retried", retried)
        force_setattr(self, "is_compensation", is_compensation)
        plain = self.status == "success" and not (self.irregular or retried or is_compensation)
        force_setattr(self, "plain", plain)


NEW: Final = State()
_states: Final[dict[str, State]] = {}  # at most a few thousand
# By state, phase, status and the shape of the name: a few dozen for each state.
_transitions: Final[dict[tuple[State, str | None, str | None, tuple[SpanKind, bool] | None], State]] = {}
_REGULAR: Final = re.compile("w?e?|(w?s)?(rs)?[re]?")
_REPEATED: Final = re.compile("ww|rw|rsr")  # these have the same effect as their first letter


def state_of(events: Iterable[TraceEvent]) -> State:
    """Return the state of a span after these events; the same object for equal states."""
    state = NEW
    for event in events:
        name, _, phase = event.event_type.rpartition(":")
        # A span has its kind from the first event with a phase. Then names, which may all differ, no longer matter.
        shape = _shape_of(name) if state.kind == "point" else None
        state = _transitions.get((state, phase, event.status, shape)) or _after(state, event, shape)
    return state


def _after(state: State, event: TraceEvent, shape: tuple[SpanKind, bool] | None) -> State:
    """Return the state after one more event. Words that are no phase all have the same effect."""
    phase = event.event_type.rpartition(":")[2]
    key = state, phase if phase in PHASES else None, event.status, shape
    if key not in _transitions:
        after = _changed(state, mark_of(event.event_type, event.status))
        _transitions[key] = _states.setdefault(repr(after), after)
    return _transitions[key]


def _changed(state: State, mark: Mark) -> State:
    if mark.kind == "other":
        return State(mark.outcome or state.status) if state.kind == "point" else state
    if state.kind == "point":
        state = State("point", mark.span_kind, mark.group, opened=mark.kind in ("wait", "start"))
    if mark.undo and not state.is_compensation:
        unwinding: Unwinding = "begun" if mark.kind == "start" else "done" if mark.outcome == "success" else "failed"
        return replace(state, unwinding=unwinding, irregular=True)
    if mark.undo:
        state = replace(state, kind="compensation")
    if state.irregular:
        return state
    if mark.kind == "wait" and state.marks in ("s", "e", "se"):
        return replace(state, marks=f"w{state.marks}")  # from an enqueuing host whose clock is ahead
    marks = _REPEATED.sub(lambda found: found[0][0], state.marks + mark.kind[0])
    if not _REGULAR.fullmatch(marks):
        return replace(state, irregular=True)
    return replace(state, status=mark.outcome or "success", marks=marks)
