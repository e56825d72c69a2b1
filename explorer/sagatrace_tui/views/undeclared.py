"""Find the steps of a failed saga that declare no compensation. Each needs none, or it was forgotten.

A step counts if it completed, or if its outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from sagatrace_tui.model import Span, Trace
from sagatrace_tui.model.side_effects import ended_unknown

__all__ = ["undeclared_steps"]


def undeclared_steps(trace: Trace) -> list[Span]:
    """Return these steps in the order they began. Without any declared compensation in the trace, return none.

    Each is the topmost such span of its part of the tree. It counts as declared if a span below it is.
    """
    if trace.verdict not in ("failed", "rolled_back", "rollback_incomplete", "rollback_missing"):
        return []
    named = {row.original_span_id for row in trace.compensations}
    known = named | {span_id for span_id, span in trace.spans.items() if span.compensation is not None}
    if not known:
        return []  # a trace of plain jobs
    return sorted(_topmost(trace, _with_ancestors(trace, known)), key=lambda span: span.beginning)


def _topmost(trace: Trace, declared: AbstractSet[str]) -> Iterator[Span]:
    """Yield the topmost spans that may have had an effect, apart from compensations and declared steps."""
    undos, path = {row.span_id for row in trace.compensations}, set(trace.failure_path)
    waiting = list(trace.roots)
    while waiting:
        span = trace.spans[one := waiting.pop()]
        if one in undos or span.state.is_compensation or span.state.kind == "point":
            continue
        has_succeeded = span.status == "success" and one not in path
        if one not in declared and (has_succeeded or _is_unknown(trace, span)):
            yield span
        elif not has_succeeded:
            waiting.extend(trace.children.get(one, ()))


def _is_unknown(trace: Trace, span: Span) -> bool:
    """Return whether a step began and has an unknown outcome, and no later attempt succeeded."""
    is_step = span.state.kind not in ("workflow", "saga") and span.has_begun and span.status != "success"
    return is_step and trace.roles.get(span.span_id) != "recovered" and ended_unknown(span)


def _with_ancestors(trace: Trace, span_ids: AbstractSet[str]) -> set[str]:
    found: set[str] = set()
    for one in span_ids:
        above: str | None = one
        while above is not None and above not in found:
            found.add(above)
            above = trace.spans[above].parent_id if above in trace.spans else None
    return found
