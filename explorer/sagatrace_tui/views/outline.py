"""The tree of a trace as a list for screens: every node once, in preorder.

An outline is made once per trace. The rows that a fold, a level or a filter leaves are then found in a time that
depends on their number, not on the size of the trace.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import eq
from typing import Final

from sagatrace_tui.model import Trace
from sagatrace_tui.views.timeline import idle_stretches

__all__ = ["GROUP_MIN", "Group", "Outline"]

GROUP_MIN: Final = 5
"""So many like siblings in a row are shown as one."""
_WELL: Final = ("success", "point")


@dataclass(frozen=True, slots=True)
class Group:
    """Successful siblings in a row that share a name; times in microseconds."""

    name: str
    span_ids: tuple[str, ...]
    first_at: int
    last_at: int
    shortest: int
    median: int
    longest: int


class Outline:
    """`ids` of spans, missing parents and groups, in preorder; `depths`, `sizes` (with all below) and `parents`.

    `parents` are places in `ids`, -1 at the top. The id of a group is not that of a span: it begins with U+0000.
    `idle` is where the trace was idle.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._apart = trace.roles.keys() | {one for anomaly in trace.anomalies for one in anomaly.span_ids}
        self.ids: list[str] = []
        self.depths: list[int] = []
        self.parents: list[int] = []
        self.groups: dict[str, Group] = {}
        self._lay()
        self.sizes = [1] * len(self.ids)
        sizes, parents = self.sizes, self.parents
        for place in range(len(sizes) - 1, -1, -1):
            if parents[place] >= 0:
                sizes[parents[place]] += sizes[place]
        self.places = {span_id: place for place, span_id in enumerate(self.ids)}
        self.idle = idle_stretches(trace)

    def _lay(self) -> None:
        children, ids, depths, parents = self._trace.children, self.ids, self.depths, self.parents
        tops = (*self._trace.roots, *self._trace.missing_parents)
        stack: list[tuple[str, int, int]] = [(top, 0, -1) for top in reversed(tops)]
        while stack:
            span_id, depth, parent = stack.pop()
            place = len(ids)
            ids.append(span_id)
            depths.append(depth)
            parents.append(parent)
            below: Sequence[str] = self.groups[span_id].span_ids if span_id in self.groups else ()
            if not below:
                below = children.get(span_id, ())
                if len(below) >= GROUP_MIN:
                    below = tuple(self._grouped(span_id, below))
            stack.extend([(child, depth + 1, place) for child in reversed(below)])

    def _grouped(self, parent: str, siblings: Sequence[str]) -> Iterable[str]:
        """Return the siblings; those that are alike and next to each other as one group."""
        spans, apart = self._trace.spans, self._apart
        names: list[object] = []
        for span_id in siblings:
            span = spans[span_id]
            # One that goes by itself is equal to nothing else.
            names.append(span.name if span.status in _WELL and span_id not in apart else object())
        if not any(map(eq, names, names[GROUP_MIN - 1 :])):
            return siblings
        laid: list[str] = []
        start = 0
        for _, run in groupby(names):
            end = start + sum(1 for _ in run)
            laid += self._group(parent, siblings[start:end])
            start = end
        return laid

    def _group(self, parent: str, span_ids: Sequence[str]) -> Iterator[str]:
        if len(span_ids) < GROUP_MIN:
            yield from span_ids
            return
        spans = [self._trace.spans[one] for one in span_ids]
        lengths = sorted(span.over_at - span.first_at for span in spans)
        group_id = f"\0{parent}\0{span_ids[0]}"
        self.groups[group_id] = Group(
            spans[0].name,
            tuple(span_ids),
            min(span.first_at for span in spans),
            max(span.over_at for span in spans),
            lengths[0],
            lengths[len(lengths) // 2],
            lengths[-1],
        )
        yield group_id

    def __len__(self) -> int:
        return len(self.ids)

    def end(self, place: int) -> int:
        """Return the place after the last descendant."""
        return place + self.sizes[place] if place >= 0 else len(self.ids)

    def above(self, place: int) -> Iterator[str]:
        """Yield the ids of its ancestors, nearest first."""
        place = self.parents[place]
        while place >= 0:
            yield self.ids[place]
            place = self.parents[place]

    def below_level(self, level: int) -> set[str]:
        """Return the ids to fold so that nothing deeper than `level` shows; the top is level 0."""
        return {
            span_id
            for span_id, depth, size in zip(self.ids, self.depths, self.sizes, strict=True)
            if depth >= level and size > 1
        }

    def with_ancestors(self, span_ids: Iterable[str]) -> list[int]:
        """Return the places of the spans and of their ancestors, in order."""
        found: set[int] = set()
        for span_id in span_ids:
            place = self.places.get(span_id, -1)
            while place >= 0 and place not in found:
                found.add(place)
                place = self.parents[place]
        return sorted(found)

    def rows(self, folded: Collection[str], only: Sequence[int] | None = None) -> Sequence[int]:
        """Return the places that show when these ids are folded; only places of `only`, if given."""
        base = range(len(self.ids)) if only is None else only
        shut = sorted(self.places[span_id] for span_id in folded if span_id in self.places)
        if not shut:
            return base
        rows: list[int] = []
        past = 0
        for place in shut:
            if place >= past:
                rows.extend(_between(base, past, place + 1))
                past = self.end(place)
        rows.extend(_between(base, past, len(self.ids)))
        return rows

    def is_last(self, place: int, rows: Sequence[int]) -> bool:
        """Return whether no sibling shows below it."""
        after = bisect_left(rows, self.end(place))
        return after >= len(rows) or rows[after] >= self.end(self.parents[place])

    def shown(self, span_id: str, rows: Sequence[int]) -> int | None:
        """Return the row of the span, else of its nearest ancestor that shows, else None."""
        place = self.places.get(span_id, -1)
        while place >= 0:
            row = bisect_left(rows, place)
            if row < len(rows) and rows[row] == place:
                return row
            place = self.parents[place]
        return None


def _between(places: Sequence[int], first: int, end: int) -> Sequence[int]:
    return places[bisect_left(places, first) : bisect_left(places, end)]
