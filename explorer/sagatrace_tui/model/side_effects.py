"""The effects that a step may have left although it did not succeed.

A step that failed with an ordinary error had no effect. After a timeout, a lost worker or another unclear end, it may
have had an effect. Work below the step also suggests an effect if it completed after the step, has an unknown effect or
never ended. Completed work below a failed step counts too, because only the step's compensation would undo it. Steps
below that have their own compensation do not count: their own state reports them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from sagatrace.event import TraceEvent
from sagatrace_tui.model.event_data import data_of, ids_in
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import clock
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["SideEffects", "ended_unknown", "took_effect", "unknown_error"]

_Trail = Literal["late", "open", "unknown", "done"]

# Error names, as lower-case letters only, after which the outcome of the work is unknown.
_UNKNOWN: Final = re.compile(
    r"(?!invalid|bad|illegal).*("
    r"timeout|timedout|timelimitexceeded|deadlineexceeded|deadlineexpired"
    r"|connection(error|reset|aborted|closed|lost|dropped|interrupted|terminated)|brokenpipe|brokenprocesspool"
    r"|(server|remote|client)disconnected|remoteprotocol|incompleteread|chunkedencoding"
    r"|(worker|horse|process|job|task)(was)?(lost|killed|terminated|abandoned|died|interrupted)"
    r"|(lost|killed|terminated|abandoned|dead)(worker|workhorse|horse|process|job|task)"
    r")(error|exception|expired|failure)?"
    r"|(shutdownimminent|stoprequested|cancelled|keyboardinterrupt|systemexit|generatorexit)(error|exception)?"
)


class SideEffects:
    """The spans below each step that suggest an effect. They are found on first use.

    Spans that `never_ran` had no effect.
    """

    def __init__(self, index: SpanIndex, never_ran: Collection[str]) -> None:
        self._index, self._tree, self._spans = index, index.tree, index.spans
        self._never_ran = never_ran
        self._trails: dict[str, dict[str, _Trail]] = {}

    def of(self, step: str) -> Mapping[str, _Trail]:
        """Return the spans below a step that suggest an effect. After success, only those that ended later count."""
        if step not in self._trails:
            self._trails[step] = self._search(step)
        return self._trails[step]

    def outlast(self, step: str, moment: int) -> bool:
        """Return whether a span below a step may have had an effect after that moment."""
        spans = (self._spans[one] for one in self.of(step))
        return any(span.is_open or not span.was_over_by(moment) for span in spans)

    def strongest(self, step: str, *, ended: bool) -> tuple[str, bool] | None:
        """Return the strongest sign, in words, that a step had an effect, and whether it is certain.

        `ended` is whether the trace has ended. Return None if no span suggests an effect.
        """
        trails = self.of(step)
        for trail in ("late", "open", "unknown", "done"):
            spans = [self._spans[one] for one, kind in trails.items() if kind == trail]
            if spans:
                first = min(spans, key=lambda span: (span.over_at, span.span_id))
                name = f"{'job ' if first.state.kind == 'job' else ''}{first.name}"
                more = f" (and {len(spans) - 1} more)" if len(spans) > 1 else ""
                return self._words(trail, first, f"its {name}{more}", step, ended=ended), trail == "late"
        return None

    def _words(self, trail: _Trail, span: Span, name: str, step: str, *, ended: bool) -> str:
        end = "failed" if self._spans[step].has_failed else "ended"
        if trail == "late":
            return f"{name} completed at {clock(span.over_at)}, after it had {end}: it took effect"
        if trail == "done":
            return f"{name} completed at {clock(span.over_at)}, before it {end}: it may have taken effect"
        if trail == "unknown" and took_effect(span):
            return f"{name} had done its work before it {span.status}: it took effect"
        if trail == "unknown":
            why = unknown_error(span.events) or ("its worker was lost" if span.is_presumed else span.status)
            return f"the outcome of {name} is unknown ({why}): it may have taken effect"
        if span.has_begun:
            return f"{name} {'never ended' if ended else 'is still running'}: it may have taken effect"
        return f"{name} {'was never taken' if ended else 'is still waiting'}: it may still run"

    def _search(self, step: str) -> dict[str, _Trail]:
        """Search the spans below a step; skip compensations and other steps."""
        found: dict[str, _Trail] = {}
        around = self._spans.get(step)
        if around is None or around.is_open:
            return found
        ended = around.closing_event.timestamp if around.status == "success" else None
        children, index = self._tree.children, self._index
        waiting = [step]
        while waiting:
            for child in children.get(waiting.pop(), ()):
                span = self._spans[child]
                # Most work below a successful step has its last event before the end of the step.
                is_in_time = ended is not None and span.state.plain and span.events[-1].timestamp <= ended
                if is_in_time and child not in children:
                    continue
                if child in index.owner or child in index.declared or child in index.undos_of or child in index.unwound:
                    continue
                if not is_in_time and (trail := self._trail(span, around)) is not None:
                    found[child] = trail
                waiting.append(child)
        return found

    def _trail(self, span: Span, step: Span) -> _Trail | None:
        if span.state.kind == "point":
            return None
        if span.is_open:
            return None if span.span_id in self._never_ran else "open"
        is_late = not span.was_over_by(step.over_at)
        if span.status == "success" and is_late:
            return "late"
        if step.status == "success" and (not is_late or span.is_presumed):
            return None  # a presumed end has the time at which it was inferred
        if span.status == "success":
            return "done" if span.span_id not in self._tree.children else None
        return "unknown" if ended_unknown(span) else None


def ended_unknown(span: Span) -> bool:
    """Return whether the effect of a span is unknown, by its end or the end of one attempt, or without an end."""
    if span.is_open or span.status == "interrupted":
        return True
    if span.status == "canceled" and span.started_at is None and span.enqueued_at is not None:
        return span.is_presumed or len(span.attempts) > 1  # a canceled job without a start only waited
    if span.state.unwinding == "failed" and span.closing_event is span.unwound[1]:
        return True  # only the end of the compensation is known, not of the work
    if span.status in ("stopped", "canceled") or span.is_presumed:
        return True
    return _has_lost_end(span) or unknown_error(span.events) is not None or took_effect(span)


def took_effect(span: Span) -> bool:
    """Return whether a job's function had succeeded, and its callback failed."""
    return any(data_of(event).took_effect is True for event in span.events)


def _has_lost_end(span: Span) -> bool:
    """Return whether an attempt has no observed end, or two ends that contradict each other.

    If all events of an attempt are lost, the numbers of later ones show that it began.
    """
    if not (span.state.retried or span.state.irregular):
        number = data_of(span.closing_event).attempt
        return isinstance(number, int) and number > 1
    attempts = span.attempts
    lost = any(one.ended_at is None or one.is_presumed for one in attempts)
    missing = bool(attempts) and attempts[-1].number > len(attempts)
    return lost or missing or span.reading.fault == "conflicting_outcomes"


def unknown_error(events: Sequence[TraceEvent]) -> str | None:
    """Return the latest error type, or type of its causes, after which the outcome of the work is unknown."""
    for data in map(data_of, reversed(events)):
        if data.presumed is not True:
            for kind in ids_in(data.error_type, data.error_causes):
                name = re.sub(r"[^a-z]", "", kind[-200:].rpartition(".")[2].lower())
                if _UNKNOWN.fullmatch(name):
                    return kind
    return None
