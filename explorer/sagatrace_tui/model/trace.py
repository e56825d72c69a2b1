"""A trace: its spans as a forest, and what is odd about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from sagatrace.events import TraceEvent, encode_event
from sagatrace_tui.model.span import Span, fold_span

__all__ = ["IDLE", "Anomaly", "Trace", "TraceStatus", "build_trace", "reading_anomalies"]

TraceStatus = Literal["running", "success", "failed", "stopped", "canceled", "unknown"]

IDLE: Final = 15 * 60 * 1_000_000
"""Microseconds without an event after which a trace counts as ended."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something about the trace that should not be: its kind, the spans it concerns, one sentence."""

    kind: str
    span_ids: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Trace:
    """One trace as of the moment it was built. Times are microseconds since 1970.

    `children` holds, for each span id, its children's ids in start order; under a parent that was never seen,
    the orphans that name it. `roots` are the spans shown at the top: true roots, and those cut out of a cycle.
    """

    trace_id: str
    status: TraceStatus
    spans: dict[str, Span]
    roots: tuple[str, ...]
    children: dict[str, tuple[str, ...]] = field(repr=False)
    missing_parents: tuple[str, ...]
    anomalies: tuple[Anomaly, ...]
    started_at: int | None
    ended_at: int | None
    last_at: int | None
    event_count: int

    @property
    def root(self) -> Span | None:
        """The span that stands for the trace: the earliest root."""
        return self.spans[self.roots[0]] if self.roots else None

    @property
    def name(self) -> str:
        """The root's name; empty when there is none."""
        return self.root.name if self.root else ""

    @property
    def error_count(self) -> int:
        """How many spans failed."""
        return sum(span.status == "failed" for span in self.spans.values())

    @property
    def duration(self) -> int | None:
        """Microseconds from the first event to the end, or to the latest event while there is no end."""
        if self.started_at is None or self.last_at is None:
            return None
        return (self.ended_at or self.last_at) - self.started_at

    def walk(self) -> Iterator[tuple[int, str]]:
        """Every span once, as (depth, span id), in the order of a tree; a missing parent's id comes at depth 0."""
        stack = [(0, span_id) for span_id in reversed((*self.roots, *self.missing_parents))]
        while stack:
            depth, span_id = stack.pop()
            yield depth, span_id
            stack.extend((depth + 1, child) for child in reversed(self.children.get(span_id, ())))


def reading_anomalies(malformed: Iterable[tuple[str, str]]) -> list[Anomaly]:
    """What was found while reading, as (document id, fault) pairs, as anomalies of the trace."""
    return [Anomaly("malformed", (), f"document {document_id}: {fault}") for document_id, fault in malformed]


def build_trace(trace_id: str, events: Iterable[TraceEvent], *, now: int, anomalies: Iterable[Anomaly] = ()) -> Trace:
    """Fold a trace's events, in any order and however often repeated, as of `now` (microseconds since 1970).

    `anomalies` are those found while reading, such as malformed documents.
    """
    spans = _fold(events)
    parents, cycles = _parents(spans)
    order = {span_id: (span.first_at, span_id) for span_id, span in spans.items()}
    children: dict[str, list[str]] = {}
    for span_id, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(span_id)
    for siblings in children.values():
        siblings.sort(key=order.__getitem__)
    missing = sorted((parent for parent in children if parent not in spans), key=lambda p: order[children[p][0]])
    roots = sorted((span_id for span_id, parent in parents.items() if parent is None), key=order.__getitem__)
    last_at = max((span.last_at for span in spans.values()), default=None)
    status = _status([spans[root] for root in roots], spans.values(), idle=last_at is not None and now - last_at > IDLE)
    ended = last_at if status not in ("running", "unknown") else None
    return Trace(
        trace_id=trace_id,
        status=status,
        spans=spans,
        roots=tuple(roots),
        children={parent: tuple(ids) for parent, ids in children.items()},
        missing_parents=tuple(missing),
        anomalies=(*anomalies, *_structural(missing, children, cycles)),
        started_at=min((span.first_at for span in spans.values()), default=None),
        ended_at=ended,
        last_at=last_at,
        event_count=sum(len(span.events) for span in spans.values()),
    )


def _fold(events: Iterable[TraceEvent]) -> dict[str, Span]:
    unique: dict[str, TraceEvent] = {}
    for event in events:
        known = unique.get(event.id)
        # Two different events under one id: which one counts must not hang on the order of arrival.
        if known is None or (known != event and encode_event(event) < encode_event(known)):
            unique[event.id] = event
    by_span: dict[str, list[TraceEvent]] = {}
    for event in sorted(unique.values(), key=lambda event: (event.micros, event.id)):
        by_span.setdefault(event.span_id, []).append(event)
    return {span_id: fold_span(group) for span_id, group in by_span.items()}


def _parents(spans: dict[str, Span]) -> tuple[dict[str, str | None], list[tuple[str, ...]]]:
    """Each span's parent with cycles cut at their earliest span, and the cycles found."""
    parents = {span_id: span.parent_id for span_id, span in spans.items()}
    cycles: list[tuple[str, ...]] = []
    settled: set[str] = set()
    for start in spans:
        path: dict[str, None] = {}
        node: str | None = start
        while node is not None and node in parents and node not in settled:
            if node in path:
                ids = list(path)
                cycle = tuple(ids[ids.index(node) :])
                parents[min(cycle, key=lambda span_id: (spans[span_id].first_at, span_id))] = None
                cycles.append(tuple(sorted(cycle)))
                break
            path[node] = None
            node = parents[node]
        settled.update(path)
    return parents, sorted(cycles)


def _structural(missing: list[str], children: dict[str, list[str]], cycles: list[tuple[str, ...]]) -> Iterator[Anomaly]:
    for parent in missing:
        orphans = tuple(children[parent])
        yield Anomaly(
            "orphan",
            orphans,
            f"parent {parent} was never seen; its children: {', '.join(orphans[:5])}{' …' if len(orphans) > 5 else ''}",
        )
    for cycle in cycles:
        yield Anomaly("cycle", cycle, f"{' → '.join((*cycle, cycle[0]))} are each other's parents")


def _status(roots: list[Span], spans: Iterable[Span], *, idle: bool) -> TraceStatus:
    all_spans = list(spans)
    if not idle and any(span.is_open for span in all_spans):
        return "running"
    outcomes = [root.status for root in roots if not root.is_open and root.status != "point"]
    bad: tuple[TraceStatus, ...] = ("failed", "stopped", "canceled")
    for outcome in bad:
        if outcome in outcomes:
            return outcome
    if outcomes and len(outcomes) == len(roots):
        return "success"
    if any(span.status == "failed" for span in all_spans):
        return "failed"
    return "unknown"
