"""The order of undoing: steps that ran one after the other are to be undone in reverse.

Two steps are compared where their branches meet: by the children of their nearest common ancestor. Branches that
overlap in time have no order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from sagatrace_tui.model.event_data import data_of
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanTree

__all__ = ["UndoneStep", "swapped_pairs"]


@dataclass(frozen=True, slots=True)
class UndoneStep:
    """A step that succeeded, its first compensation, and when that began: microseconds, then `seq`."""

    step: Span
    undo: Span
    began: tuple[int, int]


@dataclass(slots=True)
class _Branch:
    """A child of the span where branches meet, and the undone steps in it; times in microseconds since 1970."""

    started: int
    completed: int
    seq: int | None
    steps: list[UndoneStep]

    @property
    def last(self) -> UndoneStep:
        return max(self.steps, key=lambda one: one.began)


def swapped_pairs(undone: list[UndoneStep], tree: SpanTree) -> Iterator[tuple[UndoneStep, UndoneStep]]:
    """Yield pairs of steps undone in the order they ran, one pair at most for each branch that came too late.

    The later step must have begun before the first was undone. Else it belongs to another try of the whole.
    """
    branches: defaultdict[str | None, dict[str, list[UndoneStep]]] = defaultdict(dict)
    meeting = _meeting(undone, tree)
    for one in sorted(undone, key=lambda one: (one.began, one.undo.span_id)):
        node = meeting.get(one.step.span_id)
        while node is not None:
            parent = tree.parent_of(node)
            branches[parent].setdefault(node, []).append(one)
            node = meeting.get(parent or "")
    for below in branches.values():
        if len(below) > 1:
            yield from _swapped([_branch(tree.spans[node], steps) for node, steps in below.items()])


def _meeting(undone: list[UndoneStep], tree: SpanTree) -> dict[str, str | None]:
    """Return, per span at or above an undone step, the nearest span from it upwards that has such a sibling."""
    parents: dict[str, str | None] = {}
    for one in undone:
        node: str | None = one.step.span_id
        while node is not None and node in tree.spans and node not in parents:
            above = tree.parent_of(node)
            parents[node], node = above, above
    counts = Counter(parents.values())
    meeting: dict[str, str | None] = {}
    for start in parents:
        path: list[str] = []
        node = start
        while node is not None and node in parents and node not in meeting and counts[parents[node]] < 2:
            path.append(node)
            node = parents[node]
        found = meeting.get(node, node) if node is not None and node in parents else None
        meeting.update(dict.fromkeys(path, found))
        if found is not None:
            meeting[found] = found
    return meeting


def _branch(span: Span, steps: list[UndoneStep]) -> _Branch:
    seq = data_of(span.closing_event).seq
    started = span.first_at if span.state.opened else span.over_at
    return _Branch(started, span.over_at, seq if isinstance(seq, int) else None, steps)


def _swapped(branches: list[_Branch]) -> Iterator[tuple[UndoneStep, UndoneStep]]:
    earlier: list[tuple[tuple[int, int], str, UndoneStep]] = []  # undone steps of branches that completed before
    waiting = sorted(branches, key=lambda one: one.completed, reverse=True)
    ties: defaultdict[int, list[_Branch]] = defaultdict(list)
    for branch in branches:
        ties[branch.completed].append(branch)
    for branch in sorted(branches, key=lambda one: (one.started, one.completed)):
        while waiting and _precedes(waiting[-1], branch):
            for one in waiting.pop().steps:
                heappush(earlier, (one.began, f"{one.undo.span_id}\0{one.step.span_id}", one))
        while earlier and earlier[0][0][0] <= branch.started:
            heappop(earlier)
        last = branch.last
        first = earlier[0][2] if earlier else _tied(branch, ties[branch.completed])
        if first is not None and first.began < last.began:
            yield first, last


def _precedes(before: _Branch, branch: _Branch) -> bool:
    return before.completed < branch.started or before.completed == branch.started < branch.completed


def _tied(branch: _Branch, ties: list[_Branch]) -> UndoneStep | None:
    """Return a step of a branch that completed at the same moment, and before by its `seq`."""
    for other in ties:
        if other.seq is not None and branch.seq is not None and other.seq < branch.seq:
            first = min(other.steps, key=lambda one: one.began)
            if first.began[0] > branch.started:
                return first
    return None
