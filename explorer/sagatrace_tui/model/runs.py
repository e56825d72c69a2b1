"""Split the events of a job id into its runs. A `started` after a closing end begins a run, a retry does not.

If that end was lost, a second start with the same attempt number, in another execution, begins a run.

A scheduled or repeated job, a reused job id and a requeued job all run again under their job id. Each run is one span
with its own outcome.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sagatrace.event import TraceEvent
from sagatrace_tui.model.attempts import Entry, entries_of
from sagatrace_tui.model.event_data import execution_of

__all__ = ["split_runs"]


class _Run(msgspec.Struct):
    """One run while its events are read. `later_waits` may belong to the next run."""

    entries: list[Entry]
    numbers: set[int | None] = msgspec.field(default_factory=set)  # of the attempts that started
    has_execution: bool = False
    unended: int = 0  # starts minus ends
    waited: bool = False
    closing: Entry | None = None
    later_waits: list[Entry] = msgspec.field(default_factory=list)

    def take(self, entry: Entry, execution: str | None) -> None:
        """Add the facts of one event to this run."""
        kind = entry.mark.kind
        self.has_execution |= execution is not None
        self.numbers.update([entry.number] if kind == "start" else [])
        self.unended += (kind == "start") - (kind in ("end", "retry"))
        self.waited |= kind in ("wait", "retry")
        if entry.is_closing:
            self.closing = entry

    def is_before(self, entry: Entry, execution: str | None) -> bool:
        """Return whether the run had ended before this event. Then the event belongs to the next run.

        The event is not of an execution in this run or in one before.
        """
        is_other = self.has_execution and execution is not None
        if self.closing is None:
            # The same attempt starts in another execution, so the end of this run was lost.
            is_again = entry.number is not None and entry.number in self.numbers
            return is_other and is_again and self.unended > 0 and entry.mark.kind == "start"
        presumed_last = self.closing.number if self.closing.is_presumed else None
        if presumed_last is not None and entry.number == presumed_last + 1:
            return False  # the last attempt's end was presumed, and this is the next attempt
        if is_other:
            return True
        # With more ends than starts a clock is behind. Then this event is the missing start.
        return entry.mark.kind == "start" and self.unended >= 0

    def next(self) -> _Run:
        """Return the run that follows."""
        waits, self.later_waits = self.later_waits, []
        return _Run(waits, waited=bool(waits))


def split_runs(events: Sequence[TraceEvent]) -> list[list[TraceEvent]]:
    """Return a job id's events by run. `events` must be in order of (time, id)."""
    runs = [run := _Run([])]
    run_of: dict[str, _Run] = {}  # by execution
    for entry in entries_of(events):
        if entry.mark.kind == "wait" and run.closing is not None:
            run.later_waits.append(entry)
            continue
        if entry.mark.kind != "other" and not entry.own_undo:
            execution = execution_of(entry.event)
            known = run_of.get(execution) if execution is not None else None
            if known is None and run.is_before(entry, execution):
                runs.append(run := run.next())
            home = known or run
            if execution is not None:
                run_of[execution] = home
            home.take(entry, execution)
            home.entries.append(entry)
        else:
            run.entries.append(entry)
    if run.waited and run.later_waits:
        runs.append(run.next())
    run.entries += run.later_waits  # the enqueuing host's clock is ahead
    return [[one.event for one in sorted(run.entries, key=lambda one: one.place)] for run in runs]
