"""Find why a trace failed: the role of each failed span, the cause, and the path from the root to it.

A failure counts ("is live") unless it belongs to the undoing or was recovered. An ancestor that succeeded after the
failure recovers it. So does a later successful sibling of the same name, of the failed span or of a span above it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sagatrace_tui.model.answers import Role
from sagatrace_tui.model.retries import Retries, failed_of
from sagatrace_tui.model.sagas import Sagas
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["Failures", "first_to_end"]

_NEVER: Final = -(2**63)


class Failures:
    """The failed spans of a trace. `live` holds those that count.

    `count_also` adds recovered failures to `live`. `stopped` holds the stopped spans that count by the same rule, such
    as a step that the callback of a successful job enqueued. `never_ran` are the queued spans that will never start,
    each with the dependency that failed, was halted or never ran. `going_on` are the other open spans.
    """

    def __init__(self, index: SpanIndex, sagas: Sagas, runs: Mapping[str, Sequence[str]]) -> None:
        self._index, self._tree, self._spans, self.sagas = index, index.tree, index.spans, sagas
        self._runs = runs
        self.retries = Retries(index)
        self.never_ran = self._find_never_ran() if index.open else {}
        self.going_on = index.open.union(index.unwinding).difference(self.never_ran)
        self._find_live()
        if len(self.live) < len(index.failed) and (parents := self._failed_for_a_replaced_child()):
            self.retries.parents_not_retried = parents
            self._find_live()

    def count_also(self, span_ids: Iterable[str]) -> None:
        """Add these recovered failures to `live`."""
        self.live.update(span_ids)
        self._find_below()

    def is_leaf(self, span_id: str) -> bool:
        """Return whether no live failure is below. A failure that began after the span failed is not its reason."""
        began = self._below.get(span_id)
        return began is None or began > self._spans[span_id].over_at

    def cause_among(self, span_ids: Collection[str]) -> str | None:
        """Return the earliest of these live failures without a live failure below; None if there is none.

        A failure that was caught is the cause only if all were.
        """
        if len(span_ids) == 1:
            return next(iter(span_ids))
        leaves = [self._spans[one] for one in span_ids if self.is_leaf(one)]
        first = first_to_end(leaves)
        if len(leaves) > 1 and first is not None and self._was_caught(first.span_id):
            first = first_to_end([one for one in leaves if not self._was_caught(one.span_id)]) or first
        return None if first is None else first.span_id

    def _was_caught(self, span_id: str) -> bool:
        """Return whether work went on after a failure, and a span above failed of the very error of a later step.

        A span that fails of the exception of a step has the type and the text of its error. If the step is an RQ job,
        the exception is a `StepError` that names the job's function and its error.
        """
        nearest, is_caught = self._tree.inherited(span_id, self._around, (None, False), self._pass_on)
        if nearest is None or (above := self._spans[nearest]).was_retried:  # its error is that of the last attempt
            return False
        went_on = self._last_alike(above) >= self._spans[span_id].over_at
        return is_caught or (went_on and not failed_of(above, self._spans[span_id]))

    def _pass_on(self, above: str, around: tuple[str | None, bool]) -> tuple[str | None, bool]:
        """Return the nearest live failure at or above a span, and whether it was caught."""
        if above not in self.live:
            return around
        return above, self._was_caught(above)

    def _last_alike(self, above: Span) -> int:
        """Return the beginning of the last live step below a failure that failed of the same error."""
        if above.span_id not in self._alike:
            steps = self.live.intersection(self._tree.children.get(above.span_id, ()))
            spans = map(self._spans.__getitem__, steps if len(steps) > 1 else ())
            alike = (one.first_at for one in spans if failed_of(above, one))
            self._alike[above.span_id] = max(alike, default=_NEVER)
        return self._alike[above.span_id]

    def halted_at(self) -> str | None:
        """Return the first span that was stopped or canceled, and has no such span below it."""
        halted = [one for one in self._index.halted if one not in self._index.owner]
        around = {above for one in halted for above in self._tree.ancestors_of(one)}
        first = first_to_end([self._spans[one] for one in halted if one not in around])
        return None if first is None else first.span_id

    def roles(self, cause: str | None) -> dict[str, Role]:
        """Return the role of each failed span, and `recovered` for spans that succeeded after a failed attempt."""
        roles: dict[str, Role] = dict.fromkeys(self._index.recovered, "recovered")
        roles.update((one, self._role(one)) for one in self._index.failed)
        if cause is not None and cause not in self._index.halted:
            roles[cause] = "cause"
        return roles

    def _find_never_ran(self) -> Mapping[str, str]:
        waiting: dict[str, list[str]] = {}
        for span_id in sorted(self._index.open):
            span = self._spans[span_id]
            if span.status == "queued" and not span.has_begun:
                for dependency in span.dependencies:
                    waiting.setdefault(dependency, []).append(span_id)
        found: dict[str, str] = {}
        over = self._index.failed | self._index.halted
        spread = sorted(waiting.keys() & over, reverse=True)
        while spread:
            dependency = spread.pop()
            runs = self._runs_of(dependency)
            if not over.issuperset(runs) and dependency not in found:
                continue  # another run succeeded or may succeed
            for span_id in waiting.get(dependency, ()):
                if span_id not in found:
                    found[span_id] = runs[-1]
                    spread.append(span_id)
        return found

    def _runs_of(self, job_id: str) -> Sequence[str]:
        return self._runs.get(job_id, (job_id,))

    def _role(self, span_id: str) -> Role:
        if span_id in self.live:
            needed = map(self._runs_of, self._spans[span_id].dependencies)
            follows = not self.is_leaf(span_id) or any(map(self.live.issuperset, needed))
            return "consequence" if follows else "independent"
        if self.sagas.is_undoing(span_id) and not self._undone_after_all(span_id):
            return "compensation"
        return "recovered"

    def _undone_after_all(self, span_id: str) -> bool:
        """Return whether its compensation, or a later successful one, recovered a failure in the rollback."""
        if self.retries.recovered_within(span_id):
            return True
        spans = self._spans
        for undo in map(spans.__getitem__, self._index.undos_around(span_id)):
            others = map(spans.__getitem__, self._index.undos_of.get(undo.original_span_id or "", ()))
            is_later = (other.status == "success" and other.over_at >= undo.over_at for other in others)
            if undo.status != "success" and any(is_later):
                return True
        return False

    def _find_live(self) -> None:
        """Find the failures that count. Find for each span the beginning of the first live failure below it."""
        self._below: dict[str, int] = {}
        vouched: dict[str, int] = {}
        self.live = {one for one in self._index.failed if self._is_live(one, vouched)}
        halted = self._index.halted
        self.stopped = {one for one in halted if self._spans[one].status == "stopped" and self._is_live(one, vouched)}
        if len(self.live) > 1:  # `is_leaf` is asked only about failures that count
            self._find_below()

    def _is_live(self, span_id: str, vouched: dict[str, int]) -> bool:
        if self.sagas.is_undoing(span_id):
            return False
        if self._tree.parent_of(span_id) is None:
            return True
        until = self._tree.inherited(span_id, vouched, _NEVER, self._vouch)
        is_recovered = until != _NEVER and self._spans[span_id].was_over_by(until)
        # Check siblings last, because they cost more than ancestors.
        return not is_recovered and self.retries.replacement_of(span_id) is None

    def _vouch(self, above: str, latest: int) -> int:
        """Return the time up to which failures below `above` are recovered: its end if it succeeded or was replaced."""
        span = self._spans[above]
        if span.status == "success" and span.kind != "point" and above not in self.sagas.silent_jobs:
            return max(latest, span.over_at)
        is_replaced = span.has_failed and above not in self._index.owner and self.retries.replacement_of(above)
        return max(latest, span.over_at) if is_replaced else latest

    def _find_below(self) -> None:
        self._below.clear()
        self._around: dict[str, tuple[str | None, bool]] = {}  # what `_pass_on` returned, by the span below
        self._alike: dict[str, int] = {}
        for began, span_id in sorted((self._spans[one].first_at, one) for one in self.live):
            for above in self._tree.ancestors_of(span_id):
                if above in self._below:  # by a failure that began earlier
                    break
                self._below[above] = began

    def _failed_for_a_replaced_child(self) -> set[str]:
        """Return live parents of a replaced failure without a live failure below.

        If a function was called for two items, the second call is not a retry. The parent failed because of the first.
        """
        return {
            parent
            for one in self._index.failed
            if one not in self.live
            and (parent := self._tree.parent_of(one)) in self.live
            and self.is_leaf(parent)
            and self._spans[one].first_at <= self._spans[parent].over_at
            and not self.sagas.is_undoing(one)
            and self.retries.replacement_of(one) is not None
        }


def first_to_end(spans: Sequence[Span]) -> Span | None:
    """Return the span that ended first, or None without spans. A single span is returned without reading its end."""
    return min(spans, key=lambda span: span.ending) if len(spans) > 1 else next(iter(spans), None)
