"""Arrange spans as a tree, and index their ids for the rules.

The tree has roots, children in start order, and orphans under their missing parent. Its cycles are cut. The index is
made in one pass. It also finds the part of the trace that is undoing. When an RQ execution ends, the open spans that it
opened end as interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from sagatrace.event import TraceEvent
from sagatrace_tui.model.event_data import data_of
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.span_state import mark_of

__all__ = ["SpanIndex", "SpanTree"]

_T = TypeVar("_T")


class SpanTree:
    """The place of each span. `children` also holds orphans, under parents without events.

    `spans` must be in the order of their first events; `unplaced` are those that may have come before their parent.
    """

    def __init__(self, spans: dict[str, Span], unplaced: list[str]) -> None:
        self.spans, self.unplaced = spans, unplaced
        self.cycles: list[tuple[str, ...]] = []
        cut = self.cut = self._cut_cycles() if unplaced else set()
        children: dict[str, list[str]] = {}
        roots: list[str] = []
        for span_id, span in spans.items():
            parent = span.parent_id
            if parent is None or (cut and span_id in cut):
                roots.append(span_id)
            else:
                children.setdefault(parent, []).append(span_id)
        self.roots, self.children = tuple(roots), children
        missing = [parent for parent in children if parent not in spans] if unplaced else []
        self.missing_parents = tuple(sorted(missing, key=lambda parent: self.began(children[parent][0])))

    def parent_of(self, span_id: str) -> str | None:
        """Return the parent, even if it has no events; None for a root and where a cycle is cut."""
        span = self.spans.get(span_id)
        return None if span is None or span_id in self.cut else span.parent_id

    def ancestors_of(self, span_id: str) -> Iterator[str]:
        """Yield the spans above, nearest first, up to a root or a span with a missing parent."""
        span = self.spans.get(span_id)
        while span is not None and span.parent_id is not None and span.span_id not in self.cut:
            if (span := self.spans.get(span.parent_id)) is not None:
                yield span.span_id

    def top_of(self, span_id: str) -> str:
        """Return the span at the top above a span, or the span itself."""
        return [span_id, *self.ancestors_of(span_id)][-1]

    def below(self, span_id: str) -> Iterator[str]:
        """Yield every span under this one, each once, parents before their children."""
        waiting = list(self.children.get(span_id, ()))
        while waiting:
            child = waiting.pop()
            yield child
            waiting.extend(self.children.get(child, ()))

    def inherited(self, span_id: str, known: dict[str, _T], top: _T, pass_on: Callable[[str, _T], _T]) -> _T:
        """Return the value that a span inherits: `top` at the top, else `pass_on(parent, value of the parent)`.

        `known` caches the values, so that many calls for one trace visit each span once.
        """
        path = [span_id]
        while path[-1] not in known and (above := self.parent_of(path[-1])) is not None and above in self.spans:
            path.append(above)
        value = known.setdefault(path[-1], top)
        for parent, child in pairwise(reversed(path)):
            value = known[child] = pass_on(parent, value)
        return value

    def began(self, span_id: str) -> tuple[str, str]:
        """Return the beginning of a span, as a sort key."""
        first = self.spans[span_id].events[0]
        return first.timestamp, first.id

    def walk(self) -> Iterator[tuple[int, str]]:
        """Yield every span once, as (depth, span id), in tree order. The id of a missing parent has depth 0."""
        stack = [(0, span_id) for span_id in reversed((*self.roots, *self.missing_parents))]
        while stack:
            depth, span_id = stack.pop()
            yield depth, span_id
            stack.extend((depth + 1, child) for child in reversed(self.children.get(span_id, ())))

    def _cut_cycles(self) -> set[str]:
        """Find the cycles. Return the earliest span of each cycle, where the cycle is cut."""
        cut: set[str] = set()
        settled: set[str] = set()
        for start in self.unplaced:
            path: dict[str, None] = {}
            node: str | None = start
            while node is not None and node in self.spans and node not in settled:
                if node in path:
                    ids = list(path)
                    cycle = ids[ids.index(node) :]
                    cut.add(min(cycle, key=self.began))
                    self.cycles.append(tuple(sorted(cycle)))
                    break
                path[node] = None
                node = self.spans[node].parent_id
            settled.update(path)
        self.cycles.sort()
        return cut


class SpanIndex:
    """Span ids by kind. A normally successful span, or a point, is in none of the first sets.

    `owner` gives, for each span of the undoing, the nearest compensation (or group of them) at or above it.
    """

    def __init__(self, tree: SpanTree, notable: Iterable[Span], events: Sequence[TraceEvent]) -> None:
        self.tree, self.spans, self._events = tree, tree.spans, events
        self.failed: set[str] = set()  # failed or interrupted
        self.halted: set[str] = set()  # stopped or canceled
        self.open: set[str] = set()
        self.recovered: set[str] = set()  # succeeded after an attempt that failed
        self.irregular: set[str] = set()
        self.declared: set[str] = set()  # steps that declare a compensation
        self.undoing: set[str] = set()  # compensations, and spans that group them
        self.begun: set[str] = set()  # compensations and groups that have begun
        self.untied: set[str] = set()  # compensations and groups that name no step
        self.unwound: set[str] = set()  # sagas and steps that report their own compensation
        self.unwinding: set[str] = set()  # sagas and steps whose own compensation may still run
        self.undos_of: dict[str, set[str]] = {}  # compensations by the step they name
        self.retries_due: dict[str, int] = {}  # failed attempts by the time of the next one
        self.starts_due: dict[str, int] = {}  # scheduled spans by the time of their start
        for span in notable:
            if span.compensation is not None:
                self.declared.add(span.span_id)
            if not span.state.plain:
                self._enter(span)
            if span.original_span_id is not None or span.state.is_compensation or span.state.unwinding:
                self._enter_undo(span)
        self.owner: dict[str, str] = {}
        self._around: dict[str, str] = {}  # per compensation, the nearest one above it
        if self.undoing:
            self._claim()

    def undos_around(self, span_id: str) -> Iterator[str]:
        """Yield the compensations around a span of the undoing, nearest first, itself included if it is one."""
        undo = self.owner.get(span_id)
        while undo is not None:
            yield undo
            undo = self._around.get(undo)

    def _enter_undo(self, span: Span) -> None:
        span_id, step = span.span_id, span.original_span_id
        if step is None and not span.state.is_compensation:
            self.unwound.add(span_id)
            if span.state.unwinding == "begun" and self._interruption(span) is None:
                self.unwinding.add(span_id)
            return
        (self.untied if step is None else self.undos_of.setdefault(step, set())).add(span_id)
        self.undoing.add(span_id)
        if span.has_begun:
            self.begun.add(span_id)

    def _enter(self, span: Span) -> None:
        if span.is_open and span.state.kind != "job":
            span.interruption = self._interruption(span)
        span_id, status = span.span_id, span.status
        if status in ("failed", "interrupted"):
            self.failed.add(span_id)
        elif status in ("stopped", "canceled"):
            self.halted.add(span_id)
        elif status in ("queued", "running"):
            self.open.add(span_id)
            if (due := span.due_at) is not None:
                (self.retries_due if span.has_begun else self.starts_due)[span_id] = due
        elif status == "success" and (span.state.irregular or span.state.retried):
            self.recovered.update(span_id for attempt in span.attempts if attempt.failed)
        if span.state.irregular:
            self.irregular.add(span_id)

    def _claim(self) -> None:
        for top in self.undoing:
            waiting = [] if self.owner.get(top) == top else [top]
            self.owner[top] = top
            while waiting:
                above = waiting.pop()
                for child in self.tree.children.get(above, ()):
                    owner = child if child in self.undoing else self.owner[above]
                    if owner == child:
                        self._around[child] = self.owner[above]
                    # A compensation below that was visited before owns the spans under it already.
                    if self.owner.get(child) != owner:
                        self.owner[child] = owner
                        waiting.append(child)

    def _interruption(self, span: Span) -> TraceEvent | None:
        """Return the event that ended the RQ execution (`data.execution`) in which an open span was opened.

        It is the closing or retrying event with the id `<execution>:end`, or with the execution in its data. Without
        such an event, the end of a closed job around the span counts.
        """
        execution = data_of(span.events[0]).execution
        if not isinstance(execution, str) or not execution:
            return None
        return self._ends.get(f"{execution}:end") or _end_in_jobs(span, execution, self.tree)

    @cached_property
    def _ends(self) -> Mapping[str, TraceEvent]:
        return {event.id: event for event in self._events if event.id.endswith(":end")}


def _end_in_jobs(span: Span, execution: str, tree: SpanTree) -> TraceEvent | None:
    """Return the end of the execution as a job around the span records it."""
    closed: TraceEvent | None = None
    for job in map(tree.spans.__getitem__, tree.ancestors_of(span.span_id)):
        if job.state.kind != "job":
            continue
        for event in reversed(job.events):
            ends = mark_of(event.event_type, event.status).kind in ("end", "retry")
            if ends and data_of(event).execution == execution:
                return event
        if closed is None and not job.is_open and job.over_at >= span.first_at:
            closed = job.closing_event
    return closed
