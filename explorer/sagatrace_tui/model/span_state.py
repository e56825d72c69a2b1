"""A span's state after each of its events, as a state machine: one dictionary look-up per event.

The machine follows only the sequences that a worker writes in its normal course: waiting, then start and retry in
turns, then one end. Any other sequence is irregular: an event is lost, a clock is behind, or a job ran again. Then
`attempts` and `runs` look at all events of the span.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Final, Literal

from sagatrace.event import CLOSING_PHASES, OPENING_PHASES, split_event_type

__all__ = ["NEW", "UNDO_GROUPS", "Mark", "SpanKind", "SpanStatus", "State", "mark_of", "state_after"]

SpanStatus = Literal["queued", "running", "success", "failed", "stopped", "canceled", "interrupted", "point"]
SpanKind = Literal["workflow", "stage", "job", "saga", "compensation", "point", "step"]
Unwinding = Literal["", "begun", "done", "failed"]
MarkKind = Literal["wait", "start", "retry", "end", "other"]

_KINDS: Final[Mapping[str, SpanKind]] = {"workflow": "workflow", "stage": "stage", "job": "job", "saga": "saga"}
_UNDO_PHASES: Final = frozenset({"compensating", "compensated", "compensation_failed"})
_WAITING: Final = frozenset({"enqueued", "scheduled", "deferred"})  # opened, and nothing runs yet
UNDO_GROUPS: Final = frozenset({"compensation", "rollback"})
"""A span of such a name groups compensations and undoes nothing itself."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An event type, parsed: its name, what it does to its span, and the status it ends the span with."""

    name: str
    kind: MarkKind
    outcome: SpanStatus | None = None
    undo: bool = False


@lru_cache(maxsize=4096)
def mark_of(event_type: str, status: str | None) -> Mark:
    """Parse an event type. The event's explicit status wins where the phase is an end."""
    name, phase = split_event_type(event_type)
    undo = phase in _UNDO_PHASES
    explicit: SpanStatus | None = "success" if status == "success" else "failed" if status == "failed" else None
    if phase is None:
        return Mark(name, "other", explicit)
    if phase in CLOSING_PHASES:
        return Mark(name, "end", explicit or CLOSING_PHASES[phase], undo)
    if phase in _WAITING:
        return Mark(name, "wait")
    return Mark(name, "start" if phase in OPENING_PHASES else "retry", None, undo)


@dataclass(frozen=True, eq=False)
class State:
    """A span's state after some of its events. Equal states are one object, because that hashes fastest."""

    status: SpanStatus = "point"
    kind: SpanKind = "point"
    group: bool = False  # groups compensations
    opened: bool = False  # its first event is an opening one, so its beginning is known
    waited: bool = False
    retried: bool = False
    between: bool = False  # an attempt is over, and another is to come
    unwinding: Unwinding = ""  # a span that is not a compensation reports its own compensation
    irregular: bool = False  # only all events of the span together give its status
    plain: bool = field(init=False)  # succeeded in the normal course, and is not part of the undoing

    def __post_init__(self) -> None:
        unusual = self.irregular or self.retried or self.unwinding or self.is_compensation
        object.__setattr__(self, "plain", self.status == "success" and not unusual)

    @property
    def is_compensation(self) -> bool:
        """Whether the span belongs to the undoing by its event types."""
        return self.kind == "compensation" or self.group


NEW: Final = State()
_states: Final[dict[object, State]] = {}  # a few hundred at most
_FIELDS_OF: Final = attrgetter(*(field.name for field in fields(State) if field.init))


def _interned(state: State) -> State:
    return _states.setdefault(_FIELDS_OF(state), state)


_steps: Final[dict[tuple[object, ...], State]] = {}  # a few hundred, for any names


def state_after(state: State, event_type: str, status: str | None) -> State:
    """Return the state after one more event; the same object for equal states."""
    name, phase = split_event_type(event_type)
    key: tuple[object, ...] = (state, phase, status)
    if state.kind == "point" and phase is not None:  # only then the name counts, and only this much of it
        kind = name.partition(":")[0]
        key += (kind if kind in _KINDS else "", name.rpartition(":")[2] in UNDO_GROUPS)
    after = _steps.get(key)
    if after is None:
        after = _steps[key] = _step(state, mark_of(event_type, status))
    return after


def _step(state: State, mark: Mark) -> State:
    if mark.kind == "other":
        explicit = mark.outcome or state.status
        return _interned(State(explicit)) if state.kind == "point" else state
    if state.kind == "point":
        state = State("point", _kind_of(mark), mark.name.rpartition(":")[2] in UNDO_GROUPS)
        after = _first(state, mark)
    elif mark.undo and not state.is_compensation:
        after = _unwound(state, mark)
    else:
        after = _next(state, mark)
    if mark.undo and state.group:
        after = replace(after, kind="compensation")
    return _interned(after)


def _unwound(state: State, mark: Mark) -> State:
    """Return the state of a saga or step that reports its own compensation. If it was open, it has failed."""
    if mark.kind == "start":
        return replace(state, unwinding="begun")
    status: SpanStatus = "failed" if state.status in ("queued", "running") else state.status
    return replace(state, status=status, unwinding="done" if mark.outcome == "success" else "failed")


def _kind_of(mark: Mark) -> SpanKind:
    return "compensation" if mark.undo else _KINDS.get(mark.name.partition(":")[0], "step")


def _first(state: State, mark: Mark) -> State:
    match mark.kind:
        case "wait":
            return replace(state, status="queued", opened=True, waited=True)
        case "start":
            return replace(state, status="running", opened=True)
        case "retry":
            return replace(state, status="queued", retried=True, between=True)
    return replace(state, status=mark.outcome or "success")


def _next(state: State, mark: Mark) -> State:
    if state.irregular:
        return state
    waiting, running = state.status == "queued", state.status == "running"
    match mark.kind:
        case "wait" if waiting:
            return replace(state, waited=True)
        case "wait" if not state.waited and not state.retried:
            return replace(state, waited=True)  # recorded by an enqueuing host whose clock is ahead
        case "start" if waiting:
            return replace(state, status="running", between=False)
        case "retry" if running:
            return replace(state, status="queued", retried=True, between=True)
        case "end" if running or (waiting and not state.between):
            return replace(state, status=mark.outcome or "success")
    return replace(state, irregular=True)
