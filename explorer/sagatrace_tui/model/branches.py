"""Find the recovered parts of a trace, their compensations, and the recovered failures that still count.

A sub-saga may fail, undo itself and be replaced. An attempt of a job may fail, undo itself and be retried. The
compensations of such a part do not give its trace the verdict that it was compensated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from sagatrace_tui.model.compensation import Steps
from sagatrace_tui.model.failures import Failures
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["Branches"]

_OWN_UNSETTLED: Final[Mapping[str, str]] = {
    "compensated": "undid itself before the work below it ended",
    "failed": "failed to undo itself",
    "unconfirmed": "recorded no outcome of its compensation",
}


class _Branch(msgspec.Struct, frozen=True):
    """A failed span, or one failed attempt of a span, in [began, until). Times are microseconds since 1970."""

    top: str
    began: int | None = None
    until: int | None = None

    def holds(self, moment: int) -> bool:
        return (self.began is None or self.began <= moment) and (self.until is None or moment < self.until)


class Branches:
    """Rules for recovered branches. Create it before `Failures.count_also` is called.

    `undos` are the compensations that began. `outside` are those of them that clean up no recovered branch.
    """

    def __init__(self, index: SpanIndex, failures: Failures) -> None:
        self._index, self._tree, self._spans, self._failures = index, index.tree, index.spans, failures
        self._latest: dict[str, dict[str, int]] = {}  # per span, the last beginning of each name that succeeded below
        self.undos = index.begun | index.unwound
        cleaned = {one: branch for one in self.undos if (branch := self._branch_of(one)) is not None}
        self.outside = self.undos.difference(cleaned)
        self._attempts = {branch for branch in cleaned.values() if branch.until is not None}
        self._broken = index.failed | self._find_unclosed() if index.open else index.failed

    def in_order(self, undos: Collection[str]) -> list[str]:
        """Return compensations in the order they began, then spans that report their own compensation."""
        begun = sorted(self._index.begun.intersection(undos), key=lambda one: self._spans[one].beginning)
        return [*begun, *sorted(self._index.unwound.intersection(undos))]

    def left_standing(self, steps: Steps, candidates: Iterable[str]) -> list[str]:
        """Return the steps of a successful saga that still stand.

        These are steps whose compensation was tried without success. Steps in a failed branch also stand, unless they
        were undone or the branch was replaced. A failed step with unknown effect is such a branch itself.
        """
        return [
            step
            for step in candidates
            if steps.states[step] in ("standing", "unsure", *(["pending", "waiting"] if steps.ended else []))
            and (self._was_tried(step, steps) or self._is_left(step, steps) or self._attempts_around(step))
        ]

    def _is_left(self, step: str, steps: Steps) -> bool:
        """Return whether a step is in a failed branch, and no sibling replaced that branch or a branch around it."""
        span = self._spans.get(step)
        is_done = span is None or span.status in ("success", "point")
        is_branch = not is_done and (steps.states[step] == "unsure" or step in self._broken)
        failed = [*([step] if is_branch else []), *self._failed_above(step)]
        return bool(failed) and not any(self._is_replaced(step, one) for one in failed)

    def failures_of(self, left: Iterable[str], undone: Collection[str]) -> set[str]:
        """Return the recovered failures that still count in a successful saga.

        These are the failures of branches that left a step standing. The failures that led to the first of the
        compensations `undone` count as well.
        """
        found: set[str] = set()
        for step in left:
            failed = [*([step] if step in self._broken else []), *self._failed_above(step)]
            if failed:
                inside = (one for one in self._tree.below(failed[-1]) if one in self._index.failed)
                found.update(one for one in inside if self._passes(one, failed[-1]))
                found.update(self._index.failed.intersection(failed))
        for first in self.in_order(undone)[:1]:
            found.update(self._triggers(first))
        return {one for one in found if not self._failures.sagas.is_undoing(one)}

    def retried_with(self, left: Iterable[str]) -> str | None:
        """Return the span whose failed attempt left a step standing, if any."""
        branches = {branch for one in left for branch in self._attempts_around(one)}
        return min(branches, key=str).top if branches else None

    def unsettled(self, steps: Steps) -> dict[str, str]:
        """Return unsuccessful compensations without a known step, each with its outcome in words."""
        own = [one for one in sorted(self._index.unwound) if steps.states[one] == "none"]
        words = {one: self._unsettled(self._spans[one], steps) for one in (*sorted(self._index.untied), *own)}
        return {undo_id: said for undo_id, said in words.items() if said is not None}

    def _branch_of(self, undo_id: str) -> _Branch | None:
        """Return the recovered part of the trace that a compensation cleans up, or None."""
        step = self._spans[undo_id].original_span_id
        start = step if step is not None and step in self._spans else undo_id
        above = (start, *self._tree.ancestors_of(start))
        if not self._failures.live.isdisjoint(above):
            return None
        failed = [one for one in above if one in self._index.failed and one not in self._index.owner]
        if failed:
            return _Branch(failed[-1])
        around = above if undo_id in self._index.unwound else above[1:]
        for one in reversed(around):
            if self._spans[one].status in ("success", "running") and self._spans[one].was_retried:
                began, until = self._spans[one].attempt_at(self._spans[undo_id].undo_beginning[0])
                if until is not None:
                    return _Branch(one, began, until)
        return None

    def _attempts_around(self, span_id: str) -> list[_Branch]:
        """Return the failed attempts in which a span ran. Leave out attempts after which its step succeeded again."""
        if not self._attempts or span_id not in self._spans:
            return []
        above, at = {span_id, *self._tree.ancestors_of(span_id)}, self._spans[span_id].first_at
        around = (branch for branch in self._attempts if branch.top in above and branch.holds(at))
        return [branch for branch in around if not self._succeeded_in(span_id, branch.top, branch.until)]

    def _succeeded_in(self, step: str, top: str, since: int | None = None) -> bool:
        """Return whether a span with the step's name succeeded below `top`, and began at `since` or later."""
        if top not in self._latest:  # search once for all steps
            below = sorted(map(self._spans.__getitem__, self._tree.below(top)), key=lambda span: span.first_at)
            self._latest[top] = {span.name: span.first_at for span in below if span.status == "success"}
        began = self._latest[top].get(self._spans[step].name)
        return began is not None and (since is None or began >= since)

    def _failed_above(self, step: str) -> list[str]:
        above = self._tree.ancestors_of(step) if step in self._spans else ()
        return [one for one in above if one in self._broken and one not in self._index.owner]

    def _find_unclosed(self) -> set[str]:
        """Return the open spans whose failure may be lost.

        They are around a recovered failure that nothing replaced, or around a step that a compensation undid.
        """
        retries, sagas = self._failures.retries, self._failures.sagas
        recovered = [one for one in self._index.failed - self._failures.live if not sagas.is_undoing(one)]
        inside = [one for one in recovered if retries.replacement_of(one) is None]
        inside += [step for one in self.undos if (step := self._spans[one].original_span_id) in self._spans]
        return {above for one in inside for above in self._tree.ancestors_of(one) if above in self._index.open}

    @staticmethod
    def _was_tried(step: str, steps: Steps) -> bool:
        undos = steps.undos_in_order(step)
        if not steps.reverted.isdisjoint(undos):
            return False
        has_begun = any(steps.outcome_of(one) != "not_started" for one in undos)
        return has_begun or steps.was_tried_in_vain(step) or (steps.ended and bool(undos))

    def _is_replaced(self, step: str, branch: str) -> bool:
        """Return whether a sibling replaced a failed branch, and the step succeeded in the sibling."""
        other = self._failures.retries.replacement_of(branch)
        return other is not None and (branch == step or self._succeeded_in(step, other))

    def _passes(self, failed: str, top: str) -> bool:
        """Return whether a failure below a branch reached the branch's top. No span in between recovered it then."""
        recovering = self._recovered_by(self._spans[failed])
        is_within = recovering is not None and top in self._tree.ancestors_of(recovering.span_id)
        return not is_within and self._failures.retries.replacement_of(failed) is None

    def _triggers(self, undo_id: str) -> Iterator[str]:
        """Yield recovered failures that led to a compensation. The span around both recovered them, and ended later."""
        undo, began = self._spans[undo_id], self._spans[undo_id].undo_beginning[0]
        around = {undo_id, *self._tree.ancestors_of(undo_id)}
        if undo.original_span_id is not None:
            around.update(self._tree.ancestors_of(undo.original_span_id))
        for span_id in self._index.failed - self._failures.live:
            span = self._spans[span_id]
            if span.was_over_by(began) and self._failures.retries.replacement_of(span_id) is None:
                recovering = self._recovered_by(span)
                if recovering is not None and recovering.span_id in around and recovering.over_at > began:
                    yield span_id

    def _recovered_by(self, span: Span) -> Span | None:
        above = (self._spans[one] for one in self._tree.ancestors_of(span.span_id))
        return next((one for one in above if one.status == "success" and span.was_over_by(one.over_at)), None)

    def _unsettled(self, undo: Span, steps: Steps) -> str | None:
        outcome, is_group = steps.outcome_of(undo.span_id), undo.state.group
        if undo.span_id in self._index.unwound:
            return _OWN_UNSETTLED.get(outcome)
        if outcome in ("compensated", "not_started"):
            return None
        # A failed compensation below that names a step is reported itself. In a failed group, any one is.
        below = self._index.undoing.intersection(self._tree.below(undo.span_id))
        if is_group and below and outcome == "failed" and undo.status != "success":
            return None
        if any(steps.outcome_of(one) != "compensated" for one in below - self._index.untied):
            return None
        if outcome == "failed" and is_group and steps.retries.recovered_within(undo.span_id):
            return None
        if outcome == "unconfirmed":
            return "recorded no outcome and names no step"
        return f"{f'was {undo.status}' if undo.status in ('stopped', 'canceled') else 'failed'} and names no step"
