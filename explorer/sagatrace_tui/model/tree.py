"""Spans as a forest: roots, children in start order, orphans under their missing parent, cycles cut."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TypeVar

from sagatrace_tui.model.anomaly import Anomaly, listed
from sagatrace_tui.model.fold import Change, Fold

__all__ = ["Forest"]

_T = TypeVar("_T")


class Forest:
    """Where each span hangs. `children` also holds, under parents never seen, the orphans that name them."""

    def __init__(self, fold: Fold) -> None:
        self._fold, self._spans = fold, fold.spans
        self.children: dict[str, list[str]] = {}
        self.roots: list[str] = []
        self.missing: set[str] = set()
        self.cycles: list[tuple[str, ...]] = []
        self._cut: set[str] = set()
        self._heads: list[str] | None = None
        # Spans that may have begun before their parent: all others are known to come after it.
        self._suspects: set[str] = set(fold.unplaced)
        self._cut_cycles(fold.unplaced)
        self._plant()

    def parent_of(self, span_id: str) -> str | None:
        """The parent, seen or not; None for a root and where a cycle is cut."""
        span = self._spans.get(span_id)
        return None if span is None or span_id in self._cut else span.parent_id

    def ancestors_of(self, span_id: str) -> Iterator[str]:
        """The spans above, nearest first; ends at a root or below a parent never seen."""
        above = self.parent_of(span_id)
        while above is not None and above in self._spans:
            yield above
            above = self.parent_of(above)

    def heads(self) -> list[str]:
        """The roots that are no mere instants: those that stand for the trace."""
        if self._heads is None:
            self._heads = [root for root in self.roots if self._spans[root].state.kind != "point"]
        return self._heads

    def inherited(self, span_id: str, known: dict[str, _T], top: _T, pass_on: Callable[[str, _T], _T]) -> _T:
        """What a span has from those above it: `pass_on(parent, what the parent has)`, and `top` where none is.

        `known` keeps the answers, so that many questions over one trace visit each span once.
        """
        path = [span_id]
        while path[-1] not in known and (above := self.parent_of(path[-1])) is not None and above in self._spans:
            path.append(above)
        value = known.setdefault(path[-1], top)
        for parent, child in zip(reversed(path[1:]), reversed(path[:-1]), strict=True):
            value = known[child] = pass_on(parent, value)
        return value

    def below(self, span_id: str) -> Iterator[str]:
        """Every span under this one, each once, parents before their children."""
        waiting = list(self.children.get(span_id, ()))
        while waiting:
            child = waiting.pop()
            yield child
            waiting.extend(self.children.get(child, ()))

    def update(self, change: Change) -> bool:
        """Take a change of one span. False when it closes or may open a cycle: the forest must be planted anew."""
        span_id, parent = change.span.span_id, change.span.parent_id
        is_root = parent is None or span_id in self._cut
        if (is_root and change.span.state.kind != "point") or change.moved:
            self._heads = None
        if change.was is not None:
            if self._cut and (change.moved or change.earlier):
                return False
            if change.moved:
                self._uproot(span_id, change.parent_was)
            if change.earlier and not change.moved:
                self._suspects.add(span_id)
                self._rearrange(span_id, parent)
            if not change.moved:
                return True
        if parent == span_id or (span_id in self.children and self._closes_cycle(span_id)):
            return False
        self.missing.discard(span_id)
        self._place(span_id, parent)
        return True

    def _uproot(self, span_id: str, parent: str | None) -> None:
        siblings = self.roots if parent is None else self.children[parent]
        siblings.remove(span_id)
        if parent is not None and not siblings:
            del self.children[parent]
            self.missing.discard(parent)

    def _closes_cycle(self, span_id: str) -> bool:
        # Only a span that already has children can, and then its own ancestors lead back to it.
        above: str | None = self._spans[span_id].parent_id
        while above is not None and above in self._spans and above != span_id:
            above = self.parent_of(above)
        return above == span_id

    def _place(self, span_id: str, parent: str | None) -> None:
        siblings = self.roots if parent is None else self.children.setdefault(parent, [])
        if parent is not None and parent not in self._spans:
            self.missing.add(parent)
        if parent is not None and (parent in self.missing or self._began(span_id) < self._began(parent)):
            self._suspects.add(span_id)
        if not siblings or self._began(siblings[-1]) < self._began(span_id):
            siblings.append(span_id)
        else:
            insort(siblings, span_id, key=self._began)

    def _rearrange(self, span_id: str, parent: str | None) -> None:
        siblings = self.roots if parent is None or span_id in self._cut else self.children[parent]
        siblings.remove(span_id)
        siblings.insert(bisect_left(siblings, self._began(span_id), key=self._began), span_id)

    def _began(self, span_id: str) -> tuple[str, str]:
        first = self._spans[span_id].events[0]
        return self._fold.when(first), first.id

    def _plant(self) -> None:
        # Spans lie in the order of their first events, and so do the children of each.
        children: defaultdict[str, list[str]] = defaultdict(list)
        cut, roots = self._cut, self.roots
        for span_id, span in self._spans.items():
            parent = span.parent_id
            if parent is None or (cut and span_id in cut):
                roots.append(span_id)
            else:
                children[parent].append(span_id)
        self.children = dict(children)
        self.missing = children.keys() - self._spans.keys()

    def _cut_cycles(self, suspects: list[str]) -> None:
        """Find the cycles, each of which holds a span that came before its parent, and cut them at their earliest."""
        settled: set[str] = set()
        for start in suspects:
            path: dict[str, None] = {}
            node: str | None = start
            while node is not None and node in self._spans and node not in settled:
                if node in path:
                    ids = list(path)
                    cycle = ids[ids.index(node) :]
                    self._cut.add(min(cycle, key=self._began))
                    self.cycles.append(tuple(sorted(cycle)))
                    break
                path[node] = None
                node = self._spans[node].parent_id
            settled.update(path)
        self.cycles.sort()

    def missing_in_order(self) -> list[str]:
        """The parents never seen, by the first span that names them."""
        return sorted(self.missing, key=lambda parent: self._began(self.children[parent][0]))

    def anomalies(self) -> Iterator[Anomaly]:
        """Orphans, cycles, several roots, children that begin before their parent."""
        for parent in self.missing_in_order():
            orphans = tuple(self.children[parent])
            count = f"{len(orphans)} spans name" if len(orphans) > 1 else "a span names"
            yield Anomaly("orphan", orphans, f"parent {parent} was never seen; {count} it")
        for cycle in self.cycles:
            yield Anomaly("cycle", cycle, f"{' → '.join((*cycle, cycle[0]))} are each other's parents")
        roots = tuple(root for root in self.roots if root not in self._cut and self._spans[root].kind != "point")
        if len(roots) > 1:
            names = listed([self._spans[root].name for root in roots])
            yield Anomaly("several_roots", roots, f"{len(roots)} spans have no parent: {names}")
        suspects = self._suspects.difference(*self.cycles)
        skewed = sorted(filter(self._is_skewed, suspects), key=self._began)
        if skewed:
            yield Anomaly("clock_skew", tuple(skewed), self._skew(skewed))

    def _is_skewed(self, span_id: str) -> bool:
        parent = self.parent_of(span_id)
        if parent is None or parent not in self._spans or not self._spans[parent].state.opened:
            return False
        return self._spans[span_id].first_at < self._spans[parent].first_at

    def _skew(self, skewed: list[str]) -> str:
        gaps = [self._spans[self._spans[one].parent_id or one].first_at - self._spans[one].first_at for one in skewed]
        begin = "1 span begins" if len(skewed) == 1 else f"{len(skewed)} spans begin"
        names = listed([self._spans[span_id].name for span_id in skewed])
        return f"{begin} before the parent, by up to {max(gaps) / 1000:g} ms: {names}; the hosts' clocks disagree"
