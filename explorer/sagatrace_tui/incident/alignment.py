"""Align the steps of two traces by their names on the path from the root.

A step is any span that is not part of a compensation. Its place consists of the place of its parent, its own name, and
its number among the siblings with that name, in the order of their start. The name of a job is its function without the
package. Places are numbers, so that a deep trace costs no more than a wide one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from sagatrace_tui.model import Span, Trace

__all__ = ["Places", "Steps"]

_TOP = -1
_MOST_ABOVE = 8  # the most ancestors named for a step


class Places:
    """Numbers the places of steps. The same place in two traces has the same number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str | None, int], int] = {}
        self._keys: list[tuple[int, str | None, int]] = []

    def number(self, above: int, name: str | None, nth: int) -> int:
        """Return the number of a place. `name` is None for a missing parent."""
        key = above, name, nth
        place = self._numbers.setdefault(key, len(self._keys))
        if place == len(self._keys):
            self._keys.append(key)
        return place

    def above(self, place: int) -> int:
        """Return the place of the parent; -1 for a root."""
        return self._keys[place][0]

    def name(self, place: int) -> str:
        """Return the name of the step; `?` for a missing parent."""
        name = self._keys[place][1]
        return "?" if name is None else name

    def nth(self, place: int) -> int:
        """Return the number among the siblings with the same name, from 1."""
        return self._keys[place][2]

    def names_above(self, place: int) -> tuple[str, ...]:
        """Return the names of the nearest ancestors, at most eight, the outermost first."""
        names: list[str] = []
        above = self.above(place)
        while above != _TOP and len(names) < _MOST_ABOVE:
            names.append(self.name(above))
            above = self.above(above)
        return tuple(reversed(names))


class Steps(msgspec.Struct, frozen=True):
    """The steps of one trace. `at` maps places to spans, in tree order. `place_of` maps span ids to places.

    A missing parent has a place, but is not a step. `below` is the number of steps below each place.
    """

    trace: Trace
    at: Mapping[int, Span]
    place_of: Mapping[str, int]
    below: Mapping[int, int]

    @classmethod
    def of(cls, trace: Trace, places: Places) -> Steps:
        """Place the steps of a trace."""
        undoing = _undoing(trace)
        at: dict[int, Span] = {}
        place_of: dict[str, int] = {}
        counts: dict[tuple[int, str | None], int] = {}
        for parent, span_id in _with_parents(trace):
            if span_id in undoing:
                continue
            span = trace.spans.get(span_id)
            above, name = (_TOP if parent is None else place_of[parent]), None if span is None else span.short_name
            nth = counts[above, name] = counts.get((above, name), 0) + 1
            place = place_of[span_id] = places.number(above, name, nth)
            if span is not None:
                at[place] = span
        return cls(trace, at, place_of, _counts_below(at, places))

    def nearest(self, place: int, places: Places) -> str | None:
        """Return the id of the span at a place, or of its nearest existing ancestor; None without one."""
        while place != _TOP and place not in self.at:
            place = places.above(place)
        return self.at[place].span_id if place != _TOP else None


def _with_parents(trace: Trace) -> Iterator[tuple[str | None, str]]:
    """Yield (parent id, span id) for every span and missing parent, parents before their children."""
    line: list[str] = []
    for depth, span_id in trace.walk():
        del line[depth:]
        yield (line[-1] if line else None), span_id
        line.append(span_id)


def _counts_below(at: dict[int, Span], places: Places) -> dict[int, int]:
    below = dict.fromkeys(at, 0)
    for place in reversed(at):
        above = places.above(place)
        if above in below:
            below[above] += below[place] + 1
    return below


def _undoing(trace: Trace) -> set[str]:
    """Return the spans of compensations: the compensations, their descendants, and jobs that only contain them.

    A job that undoes itself, or declares a compensation, is a step.
    """
    spans = trace.spans.items()
    undoing = {one for one, span in spans if span.kind == "compensation" or span.state.is_compensation}
    work: dict[str, int] = {}  # per job, its children outside compensations
    undone: dict[str, set[str | None]] = {}  # per job, the steps that its children undo
    pairs = list(_with_parents(trace))
    for parent, span_id in reversed(pairs):
        span = trace.spans.get(span_id)
        if span is not None and span_id in undone and span_id not in undoing and parent is not None:
            only_undoes = span.state.kind == "job" and span.compensation is None and not work.get(span_id)
            if only_undoes and span_id not in undone[span_id]:
                undoing.add(span_id)
        if parent is None or span is None:
            continue
        if span_id in undoing:
            undone.setdefault(parent, set()).add(span.original_span_id)
        elif span.state.kind != "point":
            work[parent] = work.get(parent, 0) + 1
    for parent, span_id in pairs:
        if parent in undoing:
            undoing.add(span_id)
    return undoing
