"""The runs of a job id: a `started` after a closing end begins a new run, and a retry does not.

A scheduled or repeated job, a reused job id and a requeued job all run again under their job id. Each run has its own
outcome and is a span of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sagatrace.event import TraceEvent
from sagatrace_tui.model.event_data import data_of, execution_of
from sagatrace_tui.model.span_state import UNDO_GROUPS, Mark, mark_of

__all__ = ["split_runs"]


@dataclass(slots=True)
class _Run:
    """One run while its events are read, by their positions; `later_waits` may belong to the next run."""

    places: list[int] = field(default_factory=list)
    executions: set[str] = field(default_factory=set)
    starts: int = 0
    ends: int = 0
    waited: bool = False
    closing: TraceEvent | None = None
    later_waits: list[int] = field(default_factory=list)

    def take(self, event: TraceEvent, mark: Mark, execution: str | None) -> None:
        """Note an event of this run."""
        if execution is not None:
            self.executions.add(execution)
        self.starts += mark.kind == "start"
        self.ends += mark.kind in ("end", "retry")
        self.waited |= mark.kind in ("wait", "retry")
        if mark.kind == "end":
            self.closing = event

    def is_before(self, event: TraceEvent, mark: Mark, execution: str | None) -> bool:
        """Return whether the run was over before this event, which then belongs to the next one."""
        if self.closing is None:
            return False
        if execution is not None and self.executions:
            return execution not in self.executions and not self._continues(event)
        if mark.kind == "start":
            # More ends than starts: a clock is behind, and this is the missing start.
            return self.ends <= self.starts and not self._continues(event)
        return False

    def _continues(self, event: TraceEvent) -> bool:
        """Return whether the event is of the attempt after one that was only presumed to be the last."""
        if self.closing is None:
            return False
        last, this = data_of(self.closing), data_of(event)
        if last.presumed is not True or not isinstance(last.attempt, int) or not isinstance(this.attempt, int):
            return False
        return this.attempt == last.attempt + 1


def split_runs(events: Sequence[TraceEvent]) -> list[list[TraceEvent]]:
    """Return the events of one job id, given in order of (time, id), as the events of each run."""
    marks = [mark_of(event.event_type, event.status) for event in events]
    first = next((mark for mark in marks if mark.kind != "other"), None)
    is_undo = first is not None and (first.undo or first.name.rpartition(":")[2] in UNDO_GROUPS)
    runs = [_Run()]
    for place, (event, mark) in enumerate(zip(events, marks, strict=True)):
        run = runs[-1]
        if mark.kind == "wait" and run.closing is not None:
            run.later_waits.append(place)
            continue
        if mark.kind != "other" and (is_undo or not mark.undo):
            execution = execution_of(event)
            if run.is_before(event, mark, execution):
                runs.append(run := _next_run(run))
            run.take(event, mark, execution)
        run.places.append(place)
    last = runs[-1]
    if last.waited and last.later_waits:
        runs.append(_next_run(last))
    else:  # an enqueuing host whose clock is ahead
        last.places.extend(last.later_waits)
    return [[events[place] for place in sorted(run.places)] for run in runs]


def _next_run(before: _Run) -> _Run:
    waits, before.later_waits = before.later_waits, []
    return _Run(places=waits, waited=bool(waits))
