"""Anomalies of events and spans, apart from the tree and the undoing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sagatrace_tui.model.answers import Anomaly
from sagatrace_tui.model.fold import Fold
from sagatrace_tui.model.index import SpanIndex
from sagatrace_tui.model.silence import dated_ahead
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import counted, length, listed

__all__ = ["event_anomalies", "never_ended", "span_anomalies"]


def event_anomalies(fold: Fold) -> Iterator[Anomaly]:
    """Yield events that could not be used, and ids that different documents share."""
    spans = {event.id: event.span_id for event in fold.events} if fold.faults or fold.clashes else {}
    for event_id, fault in sorted(fold.faults):
        span_ids = (spans[event_id],) if event_id in spans else ()
        yield Anomaly("malformed", span_ids, f"event {event_id}: {fault}")
    for event_id in sorted(fold.clashes):
        detail = f"two different events have the id {event_id}; one of them is kept"
        yield Anomaly("duplicate", (spans[event_id],), detail)


def span_anomalies(fold: Fold, index: SpanIndex, now: int) -> Iterator[Anomaly]:
    """Yield spans with two ends, and spans with events dated ahead of `now`."""
    for span in sorted((fold.spans[one] for one in index.irregular), key=lambda span: (span.first_at, span.span_id)):
        if span.fault is not None:
            ends = "two ends that disagree" if span.fault == "conflicting_outcomes" else "the same end twice"
            yield Anomaly(span.fault, (span.span_id,), f"{span.name} has {ends}; {span.status} is taken")
    is_ahead = bool(fold.events) and fold.events[-1].micros > now
    ahead = dated_ahead(list(fold.spans.values()), now) if is_ahead else []
    if ahead:
        have = "1 span has" if len(ahead) == 1 else f"{len(ahead)} spans have"
        names = listed([span.name for span in ahead])
        by = length(ahead[0].last_at - now)
        detail = f"{have} events dated up to {by} after they were read: {names}; a host's clock is wrong"
        yield Anomaly("clock_skew", tuple(span.span_id for span in ahead), detail)


def never_ended(going_on: Iterable[str], spans: Mapping[str, Span]) -> Iterator[Anomaly]:
    """Yield the open spans of a trace that has ended."""
    never = sorted((spans[one] for one in going_on), key=lambda span: (span.first_at, span.span_id))
    if never:
        names = listed([f"{span.name} ({span.status})" for span in never])
        detail = f"{counted(len(never), 'span')} never ended: {names}"
        yield Anomaly("never_ended", tuple(span.span_id for span in never), detail)
