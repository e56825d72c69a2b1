"""Spans as a tree: roots, children in start order, orphans under their missing parent, cycles cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from sagatrace_tui.model.answers import Anomaly
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import counted, listed

__all__ = ["SpanTree"]

_T = TypeVar("_T")
_SKEW: Final = 10_000
"""Microseconds by which clocks may disagree without being an anomaly."""


class SpanTree:
    """The place of each span. `children` also holds, under parents never seen, the orphans that name them.

    `spans` must be in the order of their first events; `unplaced` are those that may have come before their parent.
    """

    def __init__(self, spans: dict[str, Span], unplaced: list[str]) -> None:
        self.spans, self._unplaced = spans, unplaced
        self.cycles: list[tuple[str, ...]] = []
        self._cut: set[str] = set()
        self._cut_cycles()
        children: defaultdict[str, list[str]] = defaultdict(list)
        roots: list[str] = []
        for span_id, span in spans.items():
            parent = span.parent_id
            if parent is None or (self._cut and span_id in self._cut):
                roots.append(span_id)
            else:
                children[parent].append(span_id)
        self.roots = tuple(roots)
        self.children: dict[str, list[str]] = dict(children)
        missing = children.keys() - spans.keys()
        self.missing_parents = tuple(sorted(missing, key=lambda parent: self.began(children[parent][0])))

    def parent_of(self, span_id: str) -> str | None:
        """Return the parent, seen or not; None for a root and where a cycle is cut."""
        span = self.spans.get(span_id)
        return None if span is None or span_id in self._cut else span.parent_id

    def ancestors_of(self, span_id: str) -> Iterator[str]:
        """Yield the spans above, nearest first, up to a root or a span whose parent was never seen."""
        above = self.parent_of(span_id)
        while above is not None and above in self.spans:
            yield above
            above = self.parent_of(above)

    def below(self, span_id: str) -> Iterator[str]:
        """Yield every span under this one, each once, parents before their children."""
        waiting = list(self.children.get(span_id, ()))
        while waiting:
            child = waiting.pop()
            yield child
            waiting.extend(self.children.get(child, ()))

    def siblings_of(self, span_id: str) -> Sequence[str]:
        """Return the children of the span's parent, itself included; none for a root."""
        parent = self.parent_of(span_id)
        return () if parent is None else self.children.get(parent, ())

    def inherited(self, span_id: str, known: dict[str, _T], top: _T, pass_on: Callable[[str, _T], _T]) -> _T:
        """Return what a span has from those above it: `pass_on(parent, value of the parent)`, and `top` at the top.

        `known` keeps the values, so that many questions about one trace visit each span once.
        """
        path = [span_id]
        while path[-1] not in known and (above := self.parent_of(path[-1])) is not None and above in self.spans:
            path.append(above)
        value = known.setdefault(path[-1], top)
        for parent, child in zip(reversed(path[1:]), reversed(path[:-1]), strict=True):
            value = known[child] = pass_on(parent, value)
        return value

    def began(self, span_id: str) -> tuple[str, str]:
        """Return when a span began, in a form that sorts spans."""
        first = self.spans[span_id].events[0]
        return first.timestamp, first.id

    def walk(self) -> Iterator[tuple[int, str]]:
        """Yield every span once, as (depth, span id), in tree order. The id of a missing parent has depth 0."""
        stack = [(0, span_id) for span_id in reversed((*self.roots, *self.missing_parents))]
        while stack:
            depth, span_id = stack.pop()
            yield depth, span_id
            stack.extend((depth + 1, child) for child in reversed(self.children.get(span_id, ())))

    def _cut_cycles(self) -> None:
        """Find the cycles and cut each at its earliest span. Each holds a span that came before its parent."""
        settled: set[str] = set()
        for start in self._unplaced:
            path: dict[str, None] = {}
            node: str | None = start
            while node is not None and node in self.spans and node not in settled:
                if node in path:
                    ids = list(path)
                    cycle = ids[ids.index(node) :]
                    self._cut.add(min(cycle, key=self.began))
                    self.cycles.append(tuple(sorted(cycle)))
                    break
                path[node] = None
                node = self.spans[node].parent_id
            settled.update(path)
        self.cycles.sort()

    def anomalies(self) -> Iterator[Anomaly]:
        """Yield orphans, cycles, unrelated roots, and children that begin before their parent."""
        for parent in self.missing_parents:
            orphans = tuple(self.children[parent])
            names = f"{len(orphans)} spans name" if len(orphans) > 1 else "a span names"
            yield Anomaly("orphan", orphans, f"{names} the parent {parent}, which is missing")
        for cycle in self.cycles:
            yield Anomaly("cycle", cycle, f"{' → '.join((*cycle, cycle[0]))} are each other's parents")
        roots = self._unrelated_roots()
        if len(roots) > 1:
            names = listed([self.spans[root].name for root in roots])
            yield Anomaly("several_roots", tuple(roots), f"{len(roots)} spans have no parent: {names}")
        skewed = sorted(filter(self._is_skewed, set(self._unplaced).difference(*self.cycles)), key=self.began)
        if skewed:
            yield Anomaly("clock_skew", tuple(skewed), self._skew(skewed))

    def _unrelated_roots(self) -> list[str]:
        """Return the roots that nothing ties to each other; jobs without a root, enqueued in one trace, are tied."""
        groups: dict[str, str] = {}

        def group_of(span_id: str) -> str:
            while groups[span_id] != span_id:
                span_id = groups[span_id]
            return span_id

        roots = [root for root in self.roots if root not in self._cut and self.spans[root].kind != "point"]
        groups.update((root, root) for root in roots)
        jobs = [root for root in roots if self.spans[root].state.kind == "job"]
        ties = list(pairwise(jobs))
        for root in roots:
            span = self.spans[root]
            tied = (*span.dependencies, *([span.original_span_id] if span.original_span_id else ()))
            ties += [(root, top) for one in tied if one in self.spans and (top := self._top(one)) in groups]
        for one, other in ties:
            groups[group_of(one)] = group_of(other)
        return roots if len({group_of(root) for root in roots}) > 1 else []

    def _top(self, span_id: str) -> str:
        return next(iter(reversed(list(self.ancestors_of(span_id)))), span_id)

    def _is_skewed(self, span_id: str) -> bool:
        parent = self.parent_of(span_id)
        if parent is None or parent not in self.spans or not self.spans[parent].state.opened:
            return False
        return self.spans[parent].first_at - self.spans[span_id].first_at >= _SKEW

    def _skew(self, skewed: list[str]) -> str:
        gaps = [self.spans[self.spans[one].parent_id or one].first_at - self.spans[one].first_at for one in skewed]
        names = listed([self.spans[span_id].name for span_id in skewed])
        before = "begin before its parent" if len(skewed) > 1 else "begins before its parent"
        return f"{counted(len(skewed), 'span')} {before}, by up to {max(gaps) / 1000:g} ms: {names}; host clocks differ"
