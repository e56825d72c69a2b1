"""Span ids by what the rules ask for, found in one pass; and which part of the trace is undoing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sagatrace_tui.model.span import Span

__all__ = ["SpanIndex"]


class SpanIndex:
    """Span ids by kind. A span that succeeded in its normal course, or is a point, is in none of the first sets.

    `owner` gives, for each span of the undoing, the nearest compensation (or group of them) at or above it.
    """

    def __init__(
        self, spans: Mapping[str, Span], notable: Iterable[Span], children: Mapping[str, Sequence[str]]
    ) -> None:
        self.spans, self.children = spans, children
        self.failed: set[str] = set()  # failed or interrupted
        self.halted: set[str] = set()  # stopped or canceled
        self.open: set[str] = set()
        self.recovered: set[str] = set()  # succeeded after an attempt that failed
        self.again: set[str] = set()  # running, and not in the first attempt
        self.irregular: set[str] = set()
        self.declared: set[str] = set()  # steps that declare a compensation
        self.undoing: set[str] = set()  # compensations, and spans that group them
        self.begun: set[str] = set()  # those of them that have begun
        self.untied: set[str] = set()  # those of them that name no step
        self.unwound: set[str] = set()  # sagas and steps that report their own compensation
        self.undos_of: dict[str, set[str]] = {}  # compensations by the step they name
        self.retries_due: dict[str, int] = {}  # failed attempts by the time of the next one
        self.starts_due: dict[str, int] = {}  # scheduled spans by the time of their start
        for span in notable:
            if not span.state.plain:
                self._enter(span)
            if span.is_linked:
                self._link(span)
        self.owner: dict[str, str] = {}
        self._around: dict[str, str] = {}  # per compensation, the nearest one above it
        self._claim()

    @property
    def has_undoing(self) -> bool:
        """Whether the trace holds any compensation."""
        return bool(self.undoing or self.unwound)

    def undos_around(self, span_id: str) -> Iterator[str]:
        """Yield the compensations around a span of the undoing, nearest first, itself included if it is one."""
        undo = self.owner.get(span_id)
        while undo is not None:
            yield undo
            undo = self._around.get(undo)

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
        if status in ("failed", "interrupted"):
            self.failed.add(span_id)
        elif status in ("queued", "running"):
            self._enter_open(span)
        elif status in ("stopped", "canceled"):
            self.halted.add(span_id)
        elif status == "success" and (span.state.irregular or span.state.retried) and span.has_failed_attempt:
            self.recovered.add(span_id)
        if span.state.irregular:
            self.irregular.add(span_id)
        if span.state.unwinding and span.original_span_id is None:
            self.unwound.add(span_id)
        if span.state.is_compensation:
            self._undo(span)
            if span.original_span_id is None:
                self.untied.add(span_id)

    def _enter_open(self, span: Span) -> None:
        self.open.add(span.span_id)
        if (due := span.due_at) is not None:
            (self.retries_due if span.has_begun else self.starts_due)[span.span_id] = due
        if span.status == "running" and span.was_retried:
            self.again.add(span.span_id)

    def _claim(self) -> None:
        for top in self.undoing:
            if self.owner.get(top) != top:
                self.owner[top] = top
                self._descend(top)

    def _descend(self, top: str) -> None:
        waiting = [top]
        while waiting:
            above = waiting.pop()
            for child in self.children.get(above, ()):
                owner = child if child in self.undoing else self.owner[above]
                if owner == child:
                    self._around[child] = self.owner[above]
                # A compensation below that was visited before owns the spans under it already.
                if self.owner.get(child) != owner:
                    self.owner[child] = owner
                    waiting.append(child)
