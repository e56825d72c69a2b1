"""The errors, the slowest spans and the critical path of a trace. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from heapq import nlargest
from itertools import chain
from math import inf
from operator import sub
from typing import Final

import msgspec

from sagatrace_tui.model import Role, Span, Trace
from sagatrace_tui.views.outline import Outline

__all__ = ["ERRORS", "Landmarks", "error_counts", "errors", "landmarks"]

ERRORS: Final[frozenset[Role]] = frozenset({"cause", "independent", "compensation"})
"""The roles of failures that are not consequences and were not recovered."""
_SLOWEST: Final = 50


class Landmarks(msgspec.Struct, frozen=True):
    """`critical` are the ids on the critical path; `slowest` are (span id, microseconds), the slowest first.

    The critical path leads back from the end of the trace. It starts at the span that ended last. The next span is the
    one that ended last before that span began, and so on. The time of a span is its own time, without its children.
    """

    critical: frozenset[str] = frozenset()
    slowest: tuple[tuple[str, int], ...] = ()


def errors(trace: Trace, outline: Outline) -> list[int]:
    """Return the places of the failures that are not consequences, in order."""
    return sorted(outline.places[one] for one, role in trace.roles.items() if role in ERRORS)


def error_counts(trace: Trace) -> tuple[int, int]:
    """Return the number of failures that are not consequences and were not recovered, and of consequences."""
    roles = list(trace.roles.values())
    return sum(role in ERRORS for role in roles), roles.count("consequence")


def landmarks(trace: Trace, outline: Outline) -> Landmarks:
    """Find the landmarks of a trace. The time needed grows with the number of spans."""
    times = array("d", chain.from_iterable(_times(trace, outline, one) for one in outline.ids))
    began, ended = times[::2], times[1::2]
    slowest = tuple(_slowest(trace, outline, began, ended))
    return Landmarks(frozenset(_critical(outline, began, ended)), slowest)


def _times(trace: Trace, outline: Outline, span_id: str) -> tuple[float, float]:
    """Return the start and end of a node. It decodes no event data, so it is faster than the span's times."""
    span, group = trace.spans.get(span_id), outline.groups.get(span_id)
    if span is not None:
        began = next((event.micros for event in span.events if event.event_type.endswith(":started")), span.first_at)
        return began, max(trace.now, span.last_at) if span.status == "running" else span.last_at
    return (inf, -inf) if group is None else (group.first_at, group.last_at)


def _critical(outline: Outline, begun: array[float], over: array[float]) -> Iterator[str]:
    """Yield the spans on the critical path. Change both times to include all descendants."""
    for place in range(len(over) - 1, -1, -1):
        parent = outline.parents[place]
        if parent >= 0:
            over[parent] = max(over[parent], over[place])
            begun[parent] = min(begun[parent], begun[place])
    open_nodes = [-1]
    while open_nodes:
        until = inf
        for child in sorted(outline.children(open_nodes.pop()), key=over.__getitem__, reverse=True):
            if begun[child] < over[child] <= until:
                until = begun[child]
                open_nodes.append(child)
                yield outline.ids[child]


def _slowest(trace: Trace, outline: Outline, began: array[float], ended: array[float]) -> Iterator[tuple[str, int]]:
    own = array("d", map(sub, ended, began))
    for place, above in enumerate(outline.parents):
        if above >= 0:
            own[above] -= max(0.0, min(ended[place], ended[above]) - max(began[place], began[above]))
    longest = nlargest(_SLOWEST * 2, range(len(own)), key=own.__getitem__)
    spans: list[tuple[Span | None, float]] = [(trace.spans.get(outline.ids[place]), own[place]) for place in longest]
    worked = [(span.span_id, int(took)) for span, took in spans if span is not None and span.has_begun and took > 0]
    yield from worked[:_SLOWEST]
