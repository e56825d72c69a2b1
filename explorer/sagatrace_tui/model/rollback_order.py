"""Check the order of a rollback. Steps that ran one after the other must be undone in reverse.

Two steps are compared by the children of their nearest common ancestor, where their branches meet. Branches that
overlap in time have no order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from heapq import heappop, heappush

import msgspec

from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanTree

__all__ = ["UndoneStep", "swapped_pairs"]

# (microseconds since 1970, `seq`): `seq` orders equal times.
_Moment = tuple[int, int]


class UndoneStep(msgspec.Struct, frozen=True):
    """A step that succeeded, its first compensation, and the moment that compensation began."""

    step: Span
    undo: Span
    began: _Moment


class _Branch(msgspec.Struct):
    """A child of the span where branches meet, and the undone steps in it, in the order their undoing began."""

    span: Span
    steps: list[UndoneStep]

    @property
    def started(self) -> _Moment:
        return self.span.beginning[:2] if self.span.state.opened else self.completed

    @property
    def completed(self) -> _Moment:
        return self.span.ending[:2]

    def precedes(self, started: _Moment, completed: _Moment) -> bool:
        """Return whether this branch completed before another one began. That one ran from `started` to `completed`."""
        return self.completed < started or self.completed == started < completed


def swapped_pairs(undone: list[UndoneStep], tree: SpanTree) -> Iterator[tuple[UndoneStep, UndoneStep]]:
    """Yield pairs of steps undone in the order they ran, at most one pair for each branch undone too late.

    The later step must have begun before the first was undone. Otherwise it belongs to another try of the saga.
    """
    parents: dict[str, str | None] = {}  # of each span at or above an undone step
    for one in undone:
        node: str | None = one.step.span_id
        while node is not None and node in tree.spans and node not in parents:
            parents[node], node = tree.parent_of(node), tree.parent_of(node)
    counts, known = Counter(parents.values()), dict[str, str | None]()

    def nearest(above: str, further: str | None) -> str | None:
        return above if counts[parents[above]] > 1 else further

    branches: defaultdict[str | None, dict[str, _Branch]] = defaultdict(dict)
    for one in sorted(undone, key=lambda one: (one.began, one.undo.span_id)):
        further = tree.inherited(one.step.span_id, known, None, nearest)
        node = nearest(one.step.span_id, further)
        while node is not None:
            branches[parents[node]].setdefault(node, _Branch(tree.spans[node], [])).steps.append(one)
            node = known[node]
    for below in branches.values():
        yield from _swapped(list(below.values()))


def _swapped(branches: list[_Branch]) -> Iterator[tuple[UndoneStep, UndoneStep]]:
    earlier: list[tuple[_Moment, str, UndoneStep]] = []  # undone steps of branches that completed before
    waiting = sorted(branches, key=lambda one: one.completed, reverse=True)
    for branch in sorted(branches, key=lambda one: (one.started, one.completed)):
        started, completed, last = branch.started, branch.completed, branch.steps[-1]
        while waiting and waiting[-1].precedes(started, completed):
            for one in waiting.pop().steps:
                heappush(earlier, (one.began, f"{one.undo.span_id}\0{one.step.span_id}", one))
        while earlier and earlier[0][0][0] <= started[0]:
            heappop(earlier)
        if earlier and earlier[0][0] < last.began:
            yield earlier[0][2], last
