"""Find the anomalies of events, of spans and of the tree. `rollback_checks` finds those of the rollback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sagatrace_tui.model.answers import Anomaly
from sagatrace_tui.model.fold import Fold
from sagatrace_tui.model.sagas import joined
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import clock, counted, length, listed
from sagatrace_tui.model.tree import SpanIndex, SpanTree
from sagatrace_tui.model.verdict import IDLE

__all__ = ["event_anomalies", "never_ended", "span_anomalies", "tree_anomalies"]

# Host clocks that differ by fewer microseconds are no anomaly.
_SKEW: Final = 10_000


def event_anomalies(fold: Fold) -> Iterator[Anomaly]:
    """Yield anomalies for unusable events, for ids that different documents share, and for a sampled trace."""
    spans = {event.id: event.span_id for event in fold.events} if fold.faults or fold.clashes else {}
    for event_id, fault in sorted(fold.faults):
        span_ids = (spans[event_id],) if event_id in spans else ()
        yield Anomaly("malformed", span_ids, f"event {event_id}: {fault}")
    for event_id in sorted(fold.clashes):
        detail = f"two different events have the id {event_id}; one of them is kept"
        yield Anomaly("duplicate", (spans[event_id],), detail)
    if fold.sampled_from is not None:
        detail = f"recorded from a failure on, events before {clock(fold.sampled_from)} are missing"
        yield Anomaly("sampled", (), detail)


def span_anomalies(fold: Fold, index: SpanIndex, now: int) -> Iterator[Anomaly]:
    """Yield spans with two ends, and spans with events dated more than `IDLE` after `now` (microseconds since 1970)."""
    for span in sorted((fold.spans[one] for one in index.irregular), key=lambda span: (span.first_at, span.span_id)):
        fault = span.reading.fault
        if fault is not None:
            ends = "two ends that disagree" if fault == "conflicting_outcomes" else "the same end twice"
            yield Anomaly(fault, (span.span_id,), f"{span.name} has {ends}; the trace counts it as {span.status}")
    is_ahead = bool(fold.events) and fold.events[-1].micros > now
    ahead = [span for span in fold.spans.values() if span.last_at > now + IDLE] if is_ahead else []
    ahead.sort(key=lambda span: (-span.last_at, span.span_id))
    if ahead:
        have = "1 span has" if len(ahead) == 1 else f"{len(ahead)} spans have"
        names = listed([span.name for span in ahead])
        by = length(ahead[0].last_at - now)
        detail = f"{have} events dated up to {by} after they were read: {names}; a host's clock is wrong"
        yield Anomaly("clock_skew", tuple(span.span_id for span in ahead), detail)


def never_ended(going_on: Iterable[str], spans: Mapping[str, Span]) -> Iterator[Anomaly]:
    """Yield an anomaly for the open spans of a trace that has ended."""
    still_open = [spans[one] for one in going_on if spans[one].is_open]
    never = sorted(still_open, key=lambda span: (span.first_at, span.span_id))
    if never:
        names = listed([f"{span.name} ({span.status})" for span in never])
        detail = f"{counted(len(never), 'span')} never ended: {names}"
        yield Anomaly("never_ended", tuple(span.span_id for span in never), detail)


def tree_anomalies(tree: SpanTree) -> Iterator[Anomaly]:
    """Yield orphans, cycles, unrelated roots, and children that begin before their parent."""
    for parent in tree.missing_parents:
        orphans = tuple(tree.children[parent])
        names = f"{len(orphans)} spans name" if len(orphans) > 1 else "a span names"
        yield Anomaly("orphan", orphans, f"{names} the parent {parent}, which is missing")
    for cycle in tree.cycles:
        yield Anomaly("cycle", cycle, f"{' → '.join((*cycle, cycle[0]))} are each other's parents")
    roots = _unrelated_roots(tree)
    if len(roots) > 1:
        names = listed([tree.spans[root].name for root in roots])
        yield Anomaly("several_roots", tuple(roots), f"{len(roots)} spans have no parent: {names}")
    unplaced = set(tree.unplaced).difference(*tree.cycles)
    skewed = sorted((one for one in unplaced if _gap(one, tree) >= _SKEW), key=tree.began)
    if skewed:
        names, most = listed([tree.spans[one].name for one in skewed]), max(_gap(one, tree) for one in skewed)
        begin = "spans begin" if len(skewed) > 1 else "span begins"
        detail = f"{len(skewed)} {begin} before its parent, by up to {most / 1000:g} ms: {names}; host clocks differ"
        yield Anomaly("clock_skew", tuple(skewed), detail)


def _gap(span_id: str, tree: SpanTree) -> int:
    """Return how many microseconds before its parent a span begins; 0 if the parent's start is unknown."""
    parent = tree.spans.get(tree.parent_of(span_id) or "")
    return parent.first_at - tree.spans[span_id].first_at if parent is not None and parent.state.opened else 0


def _unrelated_roots(tree: SpanTree) -> list[str]:
    """Return the roots if they form more than one unrelated group, else none.

    Two roots are related if one depends on the other or undoes a step below it. Jobs at the top of a trace are
    related as well.
    """
    roots = [root for root in tree.roots if root not in tree.cut and tree.spans[root].kind != "point"]
    jobs = {root: root for root in roots if tree.spans[root].state.kind == "job"}
    groups = [jobs, *({root: root} for root in roots if root not in jobs)]
    ties: dict[str, list[str]] = {}
    for root in roots:
        span = tree.spans[root]
        tied = (*span.dependencies, span.original_span_id)
        ties[root] = [tree.top_of(one) for one in tied if one is not None and one in tree.spans]
    return roots if len(joined(groups, ties)) > 1 else []
