"""Find failed spans that a later sibling replaced. The sibling is a new try of the same step in another span.

Siblings of one name are tries of one step only if they ran one after the other and only the last one succeeded.
Other siblings, such as two in parallel or a failure after a success, are a loop over items. Their failures count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["Retries", "failed_of"]


class Retries:
    """Find replaced failed spans, and failures within the rollback that were recovered there.

    Failed children of `parents_not_retried` count as not replaced. Without them the failure of these parents has no
    cause below.
    """

    def __init__(self, index: SpanIndex) -> None:
        self._index, self._tree, self._spans = index, index.tree, index.spans
        self._known: dict[str, str | None] = {}
        self._last_tries: dict[str, dict[str, str | None]] = {}  # per parent, by the name of its children
        self.parents_not_retried: set[str] = set()

    def replacement_of(self, span_id: str) -> str | None:
        """Return the later sibling that succeeded in place of a failed span, or None.

        A run of a job never replaces another run. A compensation never replaces another, which may undo another step.
        """
        if self._tree.parent_of(span_id) in self.parents_not_retried:
            return None
        if span_id not in self._known:
            self._known[span_id] = self._replacement(self._spans[span_id])
        return self._known[span_id]

    def recovered_within(self, span_id: str, undo_id: str | None = None) -> bool:
        """Return whether a failure within the rollback was recovered there.

        A later sibling that replaced it, or a span around it that succeeded, recovers it. `undo_id` limits the search
        to spans below that compensation. Success of a span around a failed compensation does not recover it.
        """
        span = around = self._spans[span_id]
        if self._is_replaced(span):
            return True
        for above in self._tree.ancestors_of(span_id):
            if above == undo_id or above not in self._index.owner or around.kind == "compensation":
                break
            around = self._spans[above]
            if (around.status == "success" or self._is_replaced(around)) and span.was_over_by(around.over_at):
                return True
        return False

    def _is_replaced(self, span: Span) -> bool:
        return span.has_failed and self.replacement_of(span.span_id) is not None

    def _replacement(self, span: Span) -> str | None:
        parent = self._tree.parent_of(span.span_id)
        if parent is None or len(self._tree.children[parent]) < 2 or not self._is_try(span):
            return None
        if parent not in self._last_tries:  # decide once for all siblings: a loop may have very many that failed
            tries = self._tries_below(parent)
            self._last_tries[parent] = {name: _successful_try(spans) for name, spans in tries.items()}
        last = self._last_tries[parent][span.name]
        return None if last is None or self._passed_on(span, parent) else last

    def _is_try(self, span: Span) -> bool:
        is_over = span.has_failed or span.status == "success"
        return is_over and not span.run and span.span_id not in self._index.undoing

    def _tries_below(self, parent: str) -> dict[str, list[Span]]:
        """Return the children by name, in the order they ran."""
        tries: defaultdict[str, list[Span]] = defaultdict(list)
        for span in map(self._spans.__getitem__, self._tree.children[parent]):
            if self._is_try(span):
                tries[span.name].append(span)
        for spans in tries.values():
            spans.sort(key=lambda one: (one.first_at, one.over_at, one.span_id))
        return tries

    def _passed_on(self, span: Span, parent: str) -> bool:
        """Return whether the parent failed of the same error. Then the failure was not recovered."""
        above = self._spans.get(parent)
        return above is not None and above.has_failed and failed_of(above, span)


def _successful_try(spans: Sequence[Span]) -> str | None:
    """Return the last of these spans if they are tries of one step, which succeeded in the last one."""
    *failed, last = spans
    if last.status != "success" or any(one.status == "success" for one in failed):
        return None
    in_turn = all(before.was_over_by(after.first_at) for before, after in pairwise(spans))
    return last.span_id if in_turn else None


def failed_of(above: Span, step: Span) -> bool:
    """Return whether a failed span has the error of a failed step below it: its type and its text.

    If the step is an RQ job that `Saga.run` ran, the error is a `StepError` of one line: the job's function, and the
    last line of the job's error. If the job's error has only one line, its type comes before that line.
    """
    if (above.error, above.error_type) == (step.error, step.error_type):
        return above.error is not None
    if above.error is None or above.error_type != "StepError" or step.state.kind != "job":
        return False
    last_line = (step.error or step.error_type or "").rstrip("; \n").rpartition("\n")[2]
    function, _, rest = above.error.rstrip("; ").partition(": ")
    error_type, _, text = rest.partition(": ")
    has_type = _without_package(error_type) == _without_package(step.error_type or "")
    return function == step.short_name and (rest == last_line or (has_type and text == last_line))


def _without_package(error_type: str) -> str:
    return error_type.rpartition(".")[2]
