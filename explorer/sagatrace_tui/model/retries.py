"""Failed spans that a later sibling of the same name made good: a step tried again by hand, as a span of its own.

Siblings of one name are a retry only if they ran one after the other, all failed but the last, and that one went
well. Anything else is a fan-out, whose failures count: a loop over items, two at once, a failure among successes.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sagatrace_tui.model.fold import Change, Fold
from sagatrace_tui.model.tree import Forest

__all__ = ["Retries"]


@dataclass(slots=True)
class _Namesakes:
    """Siblings of one name that failed or went well; `chain` is whether they are a retry, None if not yet known."""

    failed: set[str] = field(default_factory=set)
    went_well: set[str] = field(default_factory=set)
    chain: bool | None = None


class Retries:
    """Groups of namesakes, under those parents only where a child failed.

    Only a sibling that began later makes a failure good. So siblings from before the first failure asked for are left
    out, which may be thousands, until just one of its name that began after it went well: then all count.
    """

    def __init__(self, fold: Fold, forest: Forest) -> None:
        self._fold, self._forest = fold, forest
        self._groups: dict[str | None, dict[str, _Namesakes]] = {}
        self._since: dict[str | None, str] = {}  # per parent, the beginning from which its children are in the groups
        self._alone: dict[str | None, str] = {}  # per parent, the failed child that had no sibling when asked for

    def superseded(self, span_id: str) -> bool:
        """Whether a later sibling of its name made the failed span good."""
        span = self._fold.spans[span_id]
        parent = self._forest.parent_of(span_id)
        if parent not in self._groups and len(self._siblings(parent)) < 2:
            self._alone[parent] = span_id
            return False
        later = self._grouped(parent, since=self._began(span_id)).get(span.name)
        if later is None or len(later.went_well) != 1:
            return False
        group = self._grouped(parent)[span.name]
        if len(group.went_well) != 1 or self._passed_on(span_id, parent):
            return False
        if group.chain is None:
            group.chain = self._is_chain(group)
        return group.chain

    def update(self, change: Change) -> Iterable[str]:
        """Take a change of one span; returns the failed spans it may concern."""
        span, touched = change.span, set[str]()
        if span.span_id in self._groups and "failed" in (change.was, span.status):
            # Whether a child's error was passed on depends on what its parent failed with.
            touched.update(*(group.failed for group in self._groups[span.span_id].values()))
        parent = self._forest.parent_of(span.span_id)
        if parent not in self._groups:
            if parent in self._alone:
                touched.add(self._alone.pop(parent))
            return touched
        if change.was in ("success", "failed") or change.earlier:
            del self._since[parent]
            for group in self._groups.pop(parent).values():
                touched |= group.failed
        elif span.status in ("success", "failed") and self._began(span.span_id) >= self._since[parent]:
            known = self._groups[parent].get(span.name)
            was_fan_out = known is not None and known.chain is False
            group = self._enter(span.span_id, self._groups[parent])
            if was_fan_out and span.status == "failed":
                group.chain = False  # one more that failed makes no retry of what was none
            elif 0 < len(group.went_well) <= 2:
                touched |= group.failed
        return touched

    def _grouped(self, parent: str | None, since: str = "") -> dict[str, _Namesakes]:
        """The groups under a parent, with all siblings that began at that time or later; without one, all."""
        groups, known = self._groups.setdefault(parent, {}), self._since.get(parent)
        if known is None or since < known:
            siblings = self._siblings(parent)
            stop = len(siblings) if known is None else bisect_left(siblings, known, key=self._began)
            for sibling in siblings[bisect_left(siblings, since, key=self._began) : stop]:
                if self._fold.spans[sibling].status in ("success", "failed"):
                    self._enter(sibling, groups)
            self._since[parent] = since
        return groups

    def _enter(self, span_id: str, groups: dict[str, _Namesakes]) -> _Namesakes:
        span = self._fold.spans[span_id]
        group = groups.setdefault(span.name, _Namesakes())
        (group.failed if span.status == "failed" else group.went_well).add(span_id)
        group.chain = None
        return group

    def _began(self, span_id: str) -> str:
        return self._fold.when(self._fold.spans[span_id].events[0])

    def _siblings(self, parent: str | None) -> Sequence[str]:
        return self._forest.roots if parent is None else self._forest.children.get(parent, ())

    def _is_chain(self, group: _Namesakes) -> bool:
        spans = [self._fold.spans[span_id] for span_id in group.failed | group.went_well]
        spans.sort(key=lambda span: (span.first_at, span.over_at, span.span_id))
        in_turn = all(before.was_over_by(after.first_at) for before, after in itertools.pairwise(spans))
        return in_turn and spans[-1].status == "success"

    def _passed_on(self, span_id: str, parent: str | None) -> bool:
        """Whether the parent failed with the very same error: then nothing was made good."""
        above = self._fold.spans.get(parent or "")
        if above is None or above.status != "failed":
            return False
        span = self._fold.spans[span_id]
        return span.error is not None and (above.error, above.error_type) == (span.error, span.error_type)
