"""The tree of a trace as a list for screens: every node once, in preorder.

An outline is built once for a trace. After a fold, the time to find the visible rows then depends on the number of
rows, not on the size of the trace.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from operator import eq
from typing import Any, Final

import msgspec

from sagatrace_tui.model import Trace
from sagatrace_tui.views.timeline import Idle, idle_stretches

__all__ = ["GROUP_MIN", "Group", "Outline"]

GROUP_MIN: Final = 5
"""The fewest similar siblings in a row that show as one row."""


class Group(msgspec.Struct, frozen=True):
    """Successful siblings in a row that share a name. Times are microseconds; `lengths`: shortest, median, longest."""

    name: str
    span_ids: tuple[str, ...]
    first_at: int
    last_at: int
    lengths: tuple[int, int, int]


class Outline:
    """`ids` of spans, missing parents and groups in preorder, with `depths`, `sizes` (of subtrees) and `parents`.

    `parents` are places in `ids`; -1 for a root. The id of a group begins with U+0000, so it never equals a span id.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._apart = trace.roles.keys() | {one for anomaly in trace.anomalies for one in anomaly.span_ids}
        self.ids: list[str] = []
        self.depths: list[int] = []
        self.parents: list[int] = []
        self.groups: dict[str, Group] = {}
        ends = self._lay()
        self.sizes = [1] * len(self.ids)
        for place, end in ends.items():
            self.sizes[place] = end - place

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each id. It is computed on first use, because many traces never need it."""
        return {span_id: place for place, span_id in enumerate(self.ids)}

    @cached_property
    def idle(self) -> Idle:
        """The long idle gaps of the trace, computed on first use."""
        return idle_stretches(self._trace)

    def find_as(self, before: Outline) -> None:
        """Compute all values that an earlier outline computed, because the screen needs them without a wait."""
        for name in vars(before).keys() - vars(self).keys():
            getattr(self, name)

    def _lay(self) -> dict[int, int]:
        """List all nodes. Return the end of the nodes below a place, for each place that has any."""
        ids, depths, parents = self.ids, self.depths, self.parents
        ends: dict[int, int] = {}
        tops = (*self._trace.roots, *self._trace.missing_parents)
        stack = [(iter(tops), 0, -1)]
        while stack:
            siblings, depth, parent = stack[-1]
            for span_id in siblings:
                ids.append(span_id)
                depths.append(depth)
                parents.append(parent)
                if below := self._below(span_id):
                    place = len(ids) - 1
                    if not self._are_leaves(below):
                        stack.append((iter(below), depth + 1, place))
                        break
                    ids += below  # all at once, which is faster
                    depths += [depth + 1] * len(below)
                    parents += [place] * len(below)
                    ends[place] = len(ids)
            else:
                ends[parent] = len(ids)
                stack.pop()
        del ends[-1]
        return ends

    def _below(self, node: str) -> Sequence[str]:
        """Return the nodes directly below a node."""
        if node in self.groups:
            return self.groups[node].span_ids
        below = self._trace.children.get(node, ())
        return list(self._grouped(node, below)) if len(below) >= GROUP_MIN else below

    def _are_leaves(self, nodes: Sequence[str]) -> bool:
        return self.groups.keys().isdisjoint(nodes) and self._trace.children.keys().isdisjoint(nodes)

    def _grouped(self, parent: str, siblings: Sequence[str]) -> Iterator[str]:
        """Yield the siblings. Similar siblings next to each other become one group."""
        # Decoding names is slow. First compare the types, then the names, of every other sibling.
        types = [self._trace.spans[one].events[0].event_type.rpartition(":")[0] for one in siblings[::2]]
        if not _repeat(types) or not _repeat([self._likeness(one) for one in siblings[::2]]):
            yield from siblings
            return
        for _, run in groupby(siblings, self._likeness):
            span_ids = tuple(run)
            if len(span_ids) < GROUP_MIN:
                yield from span_ids
                continue
            spans = [self._trace.spans[one] for one in span_ids]
            first, last = min(span.first_at for span in spans), max(span.over_at for span in spans)
            lengths = sorted(span.over_at - span.first_at for span in spans)
            group_id = f"\0{parent}\0{span_ids[0]}"
            typical = lengths[0], lengths[len(lengths) // 2], lengths[-1]
            self.groups[group_id] = Group(spans[0].name, span_ids, first, last, typical)
            yield group_id

    def _likeness(self, span_id: str) -> object:
        """Return the name of a successful span. For any other span, return a value that equals no other."""
        span = self._trace.spans[span_id]
        return span.name if span.status in ("success", "point") and span_id not in self._apart else object()

    @cached_property
    def deepest(self) -> int:
        """The depth of the deepest node."""
        return max(self.depths, default=0)

    def children(self, place: int) -> Iterator[int]:
        """Yield the places of the direct children of a place; of -1, the roots."""
        child, end = place + 1, self.end(place)
        while child < end:
            yield child
            child += self.sizes[child]

    def end(self, place: int) -> int:
        """Return the place after the last descendant."""
        return place + self.sizes[place] if place >= 0 else len(self.ids)

    def up(self, span_id: str) -> Iterator[int]:
        """Yield the place of the span and those of its ancestors, nearest first."""
        place = self.places.get(span_id, -1)
        while place >= 0:
            yield place
            place = self.parents[place]

    def below_level(self, level: int) -> set[str]:
        """Return the ids to fold so that no node deeper than `level` shows. Roots are level 0."""
        return {
            span_id
            for span_id, depth, size in zip(self.ids, self.depths, self.sizes, strict=True)
            if depth >= level and size > 1
        }

    def with_ancestors(self, span_ids: Iterable[str]) -> list[int]:
        """Return the places of the spans and of their ancestors, in order."""
        found: set[int] = set()
        for span_id in span_ids:
            for place in self.up(span_id):
                if place in found:
                    break
                found.add(place)
        return sorted(found)

    def rows(self, folded: Collection[str], only: Sequence[int] | None = None) -> Sequence[int]:
        """Return the visible places when these ids are folded. `only` limits them to its places."""
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
        """Return whether no later sibling is visible."""
        after = bisect_left(rows, self.end(place))
        return after >= len(rows) or rows[after] >= self.end(self.parents[place])

    def shown(self, span_id: str, rows: Sequence[int]) -> int | None:
        """Return the row of the span, or of its nearest visible ancestor. Return None if neither is visible."""
        for place in self.up(span_id):
            row = bisect_left(rows, place)
            if row < len(rows) and rows[row] == place:
                return row
        return None


def _repeat(values: list[Any]) -> bool:
    return any(map(eq, values, values[1:]))


def _between(places: Sequence[int], first: int, end: int) -> Sequence[int]:
    return places[bisect_left(places, first) : bisect_left(places, end)]
