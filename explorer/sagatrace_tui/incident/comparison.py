"""Compare two traces: missing and new steps, different durations, outcomes, errors and attempts.

`compare` reads only the answers of the model. It omits differences that follow from another: the steps below a missing
step, the consequences of a cause, and the steps around a slower step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sagatrace_tui.incident.alignment import Places, Steps
from sagatrace_tui.incident.differences import Comparison, Difference, Kind, Run, Side, Undone
from sagatrace_tui.incident.error_text import shape_of
from sagatrace_tui.incident.report import error_of
from sagatrace_tui.model import Span, Trace
from sagatrace_tui.model.span_state import mark_of

__all__ = ["compare"]

SLOWER_RATIO: Final = 1.5
"""A slower step takes at least so many times as long. Smaller ratios are normal on a busy machine."""
SLOWER_LEAST: Final = 50_000
"""A slower step takes at least so many microseconds more. A worker needs about as long to fork."""
_EXPLAINED: Final = 0.5  # the part of the extra time that slower steps below may explain


def compare(trace: Trace, other: Trace) -> Comparison:
    """Compare a trace with another, which is usually a good run of the same saga.

    Args:
        trace: the trace.
        other: the trace to compare it with.

    Returns:
        The differences by kind, each kind in tree order.
    """
    pair = _Pair(trace, other)
    undone, others = _undone(pair.here), _undone(pair.there)
    differences = tuple(sorted(pair.differences(), key=lambda one: list(Kind).index(one.kind)))
    return Comparison(
        _run(trace),
        _run(other),
        differences,
        tuple(one for key, one in undone.items() if key not in others or others[key].outcome != one.outcome),
        tuple(one for key, one in others.items() if key not in undone or undone[key].outcome != one.outcome),
        tuple(pair.not_reached(differences)),
        len(pair.both),
    )


def _run(trace: Trace) -> Run:
    return Run(trace.trace_id, trace.name, trace.verdict, trace.started_at, trace.duration, len(trace.spans))


class _Pair:
    """The steps of both traces. `both` are the common places, in the tree order of the trace."""

    def __init__(self, trace: Trace, other: Trace) -> None:
        self.places = places = Places()
        self.here, self.there = Steps.of(trace, places), Steps.of(other, places)
        self.both = [place for place in self.here.at if place in self.there.at]
        self._followers = {id(steps): _followers(steps.trace) for steps in (self.here, self.there)}
        self._took = {
            id(steps): {place: _took(span) for place, span in steps.at.items()} for steps in (self.here, self.there)
        }

    def differences(self) -> Iterator[Difference]:
        """Yield all differences, in any order."""
        for place in self.both:
            here, there = self.here.at[place], self.there.at[place]
            if here.status != there.status:
                if not (self._follows(self.here, here) and self._follows(self.there, there)):
                    yield self._difference(Kind.OUTCOME, place)
            elif here.status not in ("success", "point", "running", "queued") and _error(here) != _error(there):
                yield self._difference(Kind.ERROR, place)
            # A step without an attempt differs in its outcome.
            if _tries(here) != _tries(there) and _tries(here) and _tries(there):
                yield self._difference(Kind.ATTEMPTS, place)
        yield from self._only(Kind.MISSING, self.there, self.here)
        yield from self._only(Kind.NEW, self.here, self.there)
        for kind, long, short in (
            (Kind.SLOWER, self.here, self.there),
            (Kind.FASTER, self.there, self.here),
        ):
            alike = [one for one in self._longer(long, short) if self.here.at[one].status == self.there.at[one].status]
            for group in self._by_name(alike):
                worst = max(group, key=lambda one: (self._took[id(long)][one] or 0) - (self._took[id(short)][one] or 0))
                yield self._difference(kind, worst, len(group))

    def not_reached(self, differences: Iterable[Difference]) -> list[Difference]:
        """Return the differences about steps that the trace did not reach because it failed before them."""
        if self.here.trace.verdict == "succeeded" or (since := self._stopped_at()) is None:
            return []
        spans = self.there.trace.spans
        missing = [
            (spans[one.there.span_id].began_at, place, one)
            for place, one in enumerate(differences)
            if one.kind in (Kind.MISSING, Kind.OUTCOME) and one.there is not None
            if one.here is None or not self.here.trace.spans[one.here.span_id].has_begun
        ]
        return [one for began_at, _, one in sorted(missing, key=lambda row: row[:2]) if began_at > since]

    def _stopped_at(self) -> int | None:
        """Return the start, in the other trace, of the step that failed in this trace, or of its last step."""
        places = [self.here.place_of.get(one, -1) for one in reversed(self.here.trace.failure_path)]
        if not places:
            begun = (self.there.at[one].first_at for one in self.both if self.here.at[one].has_begun)
            return max(begun, default=None)
        return next((self.there.at[one].began_at for one in places if one in self.there.at), None)

    def _follows(self, steps: Steps, span: Span) -> bool:
        """Return whether the end of a span needs no row: it succeeded, or another span explains its failure."""
        return span.status in ("success", "point") or span.span_id in self._followers[id(steps)]

    def _only(self, kind: Kind, steps: Steps, others: Steps) -> Iterator[Difference]:
        """Yield the steps that only one trace has. Siblings of one name are one difference; descendants are omitted."""
        for group in self._by_name(self._tops(steps, others)):
            yield self._difference(kind, group[0], len(group), sum(steps.below[place] for place in group))

    def _by_name(self, places: Iterable[int]) -> Iterable[list[int]]:
        """Return the places, grouped by siblings of one name."""
        groups: dict[tuple[int, str], list[int]] = {}
        for place in places:
            groups.setdefault((self.places.above(place), self.places.name(place)), []).append(place)
        return groups.values()

    def _tops(self, steps: Steps, others: Steps) -> Iterator[int]:
        """Yield the topmost places that only one trace has."""
        for place in steps.at:
            above = self.places.above(place)
            if place not in others.at and (above in others.at or above not in steps.at):
                yield place

    def _longer(self, long: Steps, short: Steps) -> list[int]:
        """Return the places where one trace took longer, unless slower or additional steps below explain it."""
        mine, theirs = self._took[id(long)], self._took[id(short)]
        explained: dict[int, int] = {}
        for place in self._tops(long, short):
            above = self.places.above(place)
            explained[above] = explained.get(above, 0) + (mine[place] or 0)
        found = []
        for place in reversed(self.both):  # children before their parents
            took, usual, passed_on = mine[place], theirs[place], explained.get(place, 0)
            if took is not None and usual is not None and took - usual >= SLOWER_LEAST:
                extra = took - usual
                if took >= SLOWER_RATIO * usual and passed_on <= _EXPLAINED * extra:
                    found.append(place)
                    passed_on = extra
            if passed_on:
                above = self.places.above(place)
                explained[above] = explained.get(above, 0) + passed_on
        return found[::-1]

    def _difference(self, kind: Kind, place: int, count: int = 1, below: int = 0) -> Difference:
        places = self.places
        here, there = (self._side(steps, place) for steps in (self.here, self.there))
        near = self.here.nearest(place, places)
        return Difference(
            kind, places.name(place), places.names_above(place), places.nth(place), here, there, near, count, below
        )

    def _side(self, steps: Steps, place: int) -> Side | None:
        span = steps.at.get(place)
        if span is None:
            return None
        error = None if span.status in ("success", "point") else error_of(span)
        return Side(span.span_id, span.status, self._took[id(steps)][place], _tries(span), error, span.error_type)


def _followers(trace: Trace) -> set[str]:
    """Return the spans whose outcome follows from another: consequences, and open spans around an open span."""
    innermost = set(trace.innermost)
    followers = {one for one, role in trace.roles.items() if role == "consequence"}
    return followers | {one for one, span in trace.spans.items() if span.status == "running" and one not in innermost}


def _undone(steps: Steps) -> Mapping[int | str, Undone]:
    """Return the steps that were undone or left standing, by place, or by name for a step without a place."""
    left = {one.span_id for one in steps.trace.still_standing if not one.awaited}
    found: dict[int | str, Undone] = {}
    for row in steps.trace.compensations:
        if row.outcome != "not_started" or row.original_span_id in left:
            place = steps.place_of.get(row.original_span_id)
            key = row.original_name if place is None else place
            step = steps.trace.spans.get(row.original_span_id)
            name = row.original_name if step is None else step.short_name
            found[key] = Undone(name, row.original_span_id, row.outcome)
    return found


def _took(span: Span) -> int | None:
    """Return the microseconds from start to end; None if open. Avoid decoding data for a regular span."""
    if span.state.kind == "point" or span.is_open:
        return None
    if span.state.irregular or span.state.retried or span.interruption is not None:
        started = span.started_at
    else:
        events = span.events
        started = next((one.micros for one in events if mark_of(one.event_type, one.status).kind == "start"), None)
    return None if started is None else max(0, span.over_at - started)


def _tries(span: Span) -> int:
    """Return the number of attempts."""
    if span.state.irregular or span.state.retried:
        return len(span.attempts)
    return 1 if span.has_begun else 0


def _error(span: Span) -> tuple[str | None, str]:
    """Return the error without its values, so that texts with different ids are equal."""
    return span.error_type, shape_of(error_of(span) or "", span.error_type)
