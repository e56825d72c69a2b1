"""Which spans are in which state, kept as events come: what a verdict asks for without visiting every span."""

from __future__ import annotations

from collections.abc import Iterable

from sagatrace_tui.model.fold import Change, Fold
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import Forest

__all__ = ["Areas", "Census"]


class Census:
    """Span ids by what is remarkable about them; spans that simply succeeded, or are points, are in none."""

    def __init__(self, fold: Fold) -> None:
        self.failed: set[str] = set()
        self.halted: set[str] = set()  # stopped or canceled
        self.open: set[str] = set()
        self.recovered: set[str] = set()  # ended well after an attempt that failed
        self.again: set[str] = set()  # run, and not for the first time
        self.odd: set[str] = set()
        self.declared: set[str] = set()  # steps that named what would undo them
        self.undoing: set[str] = set()  # undos, and spans that group them
        self.begun: set[str] = set()  # those of them that have begun
        self.untied: set[str] = set()  # those of them that name no step
        self.unwound: set[str] = set()  # sagas and steps that tell their own undoing
        self.undos_of: dict[str, set[str]] = {}  # by the step they name
        self.retries_due: dict[str, int] = {}  # when what failed is to be tried again
        self.starts_due: dict[str, int] = {}  # when what was scheduled is to begin
        for span in fold.spans.values():
            if not span.state.plain:
                self._enter(span)
            if span.compensation is not None or span.original_span_id is not None:
                self._link(span)

    def update(self, change: Change) -> None:
        """Take a change of one span."""
        span, span_id = change.span, change.span.span_id
        if change.was is not None:
            for group in self._groups():
                group.discard(span_id)
            self.retries_due.pop(span_id, None)
            self.starts_due.pop(span_id, None)
            if change.relinked:  # what it undid before is not told
                others = {step: undos - {span_id} for step, undos in self.undos_of.items()}
                self.undos_of = {step: undos for step, undos in others.items() if undos}
        self._enter(span)
        self._link(span)

    def _groups(self) -> tuple[set[str], ...]:
        return (
            self.failed,
            self.halted,
            self.open,
            self.recovered,
            self.again,
            self.odd,
            self.declared,
            self.undoing,
            self.begun,
            self.untied,
            self.unwound,
        )

    def _link(self, span: Span) -> None:
        if span.compensation is not None:
            self.declared.add(span.span_id)
        if span.original_span_id is not None:
            self._undo(span)
            self.undos_of.setdefault(span.original_span_id, set()).add(span.span_id)

    def _undo(self, span: Span) -> None:
        self.undoing.add(span.span_id)
        if span.has_begun:
            self.begun.add(span.span_id)

    def _enter(self, span: Span) -> None:
        span_id, status = span.span_id, span.status
        if status == "failed":
            self.failed.add(span_id)
        elif status in ("queued", "running"):
            self.open.add(span_id)
            if (due := span.due_at) is not None:
                (self.retries_due if span.has_begun else self.starts_due)[span_id] = due
            if status == "running" and (span.state.retried or span.state.odd):
                self.again.add(span_id)
        elif status in ("stopped", "canceled"):
            self.halted.add(span_id)
        elif status == "success" and (span.state.odd or span.state.retried) and span.has_failed_attempt:
            self.recovered.add(span_id)
        if span.state.odd:
            self.odd.add(span_id)
        if span.state.unwinding and span.original_span_id is None:
            self.unwound.add(span_id)
        if span.state.is_compensation:
            self._undo(span)
            if span.original_span_id is None:
                self.untied.add(span_id)


class Areas:
    """The part of a trace that undoes: `owner` gives, for each span in it, the nearest undo at or above it."""

    def __init__(self, census: Census, forest: Forest) -> None:
        self._undoing = census.undoing
        self._forest = forest
        self.owner: dict[str, str] = {}
        self._claim(census.undoing)

    def add(self, span_id: str) -> None:
        """Take a new span."""
        parent = self._forest.parent_of(span_id)
        if span_id in self._undoing:
            self._claim((span_id,))
        elif parent in self.owner:
            self.owner[span_id] = self.owner[parent]

    def outer(self, owner: str) -> Iterable[str]:
        """The undos around a span of the area, nearest first, itself included if it is one."""
        node: str | None = owner
        while node is not None and node in self.owner:
            yield self.owner[node]
            node = self._forest.parent_of(self.owner[node])

    def _claim(self, tops: Iterable[str]) -> None:
        for top in tops:
            if self.owner.get(top) != top:
                self.owner[top] = top
                self._descend(top)

    def _descend(self, span_id: str) -> None:
        waiting = [span_id]
        while waiting:
            above = waiting.pop()
            for child in self._forest.children.get(above, ()):
                owner = child if child in self._undoing else self.owner[above]
                # An undo below that has been visited owns what is under it already.
                if self.owner.get(child) != owner:
                    self.owner[child] = owner
                    waiting.append(child)
