"""A trace as of each of its events."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec

from sagatrace.event import TraceEvent
from sagatrace_tui.collector import CollectorPaused
from sagatrace_tui.live.trace_feed import prepare
from sagatrace_tui.model import Trace, Verdict, build_trace
from sagatrace_tui.views.outline import Outline

__all__ = ["Frame", "Replay"]


class Frame(msgspec.Struct, frozen=True):
    """A trace as of its event number `place`, counted from 1.

    `changes` holds a sign for each span that the event changed, and for the group it is in: + for a new span, ~ for
    any other. `span_id` is the span of the event. `before` is the verdict as of the previous event.
    """

    place: int
    event: TraceEvent
    span_id: str
    trace: Trace
    outline: Outline
    changes: Mapping[str, str]
    before: Verdict


class Replay:
    """A position among the events of a trace, in the order of their timestamps. It starts at the newest event.

    A replay does not show malformed documents, since they have no time.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.count = trace.event_count
        self.place = self.count

    def go_to(self, place: int) -> bool:
        """Move to an event, or to the nearest end. Return whether the position changed."""
        before, self.place = self.place, max(1, min(place, self.count))
        return self.place != before

    @cached_property
    def events(self) -> list[TraceEvent]:
        """All events of the trace, each once, in the order of their timestamps."""
        found = [event for span in self._trace.spans.values() for event in span.events]
        return sorted(found, key=lambda event: (event.timestamp, event.id))

    def frame(self, place: int) -> Frame:
        """Build the trace as of an event. Takes about 0.1 s for 10 000 events, in any thread."""
        with CollectorPaused():
            return self._frame(place)

    def _frame(self, place: int) -> Frame:
        event = self.events[place - 1]
        before, trace = self._trace_at(place - 1), self._trace_at(place)
        prepare(trace)
        span_id = next(run for run in trace.runs_of(event.span_id) if event in trace.spans[run].events)
        looked, looks = _looks(before), _looks(trace)
        changes = {one: "~" if one in looked else "+" for one, look in looks.items() if looked.get(one) != look}
        changes.setdefault(span_id, "~")
        outline = Outline(trace)
        for place_above in [outline.parents[outline.places[one]] for one in changes]:
            if place_above >= 0 and (group := outline.ids[place_above]) in outline.groups:
                changes[group] = "~"
        return Frame(place, event, span_id, trace, outline, changes, before.verdict)

    def _trace_at(self, place: int) -> Trace:
        now = self.events[max(0, place - 1)].micros
        return build_trace(self._trace.trace_id, self.events[:place], now=now)


def _looks(trace: Trace) -> dict[str, tuple[object, ...]]:
    """Return status, role and standing of each span, which a screen shows."""
    standing = {one.span_id: (one.being_undone, one.awaited) for one in trace.still_standing}
    roles = trace.roles
    return {one: (span.status, roles.get(one), standing.get(one)) for one, span in trace.spans.items()}
