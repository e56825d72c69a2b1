"""Find the completed steps of a failed saga that declare no compensation. Each needs none, or it was forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from sagatrace_tui.model import Span, Trace

__all__ = ["undeclared_steps"]


def undeclared_steps(trace: Trace) -> list[Span]:
    """Return these steps in the order they began. Without any declared compensation in the trace, return none.

    Each is the topmost completed span of its part of the tree. It counts as declared if a span below it is.
    """
    if trace.verdict not in ("failed", "rolled_back", "rollback_incomplete", "rollback_missing"):
        return []
    named = {row.original_span_id for row in trace.compensations}
    known = named | {span_id for span_id, span in trace.spans.items() if span.compensation is not None}
    if not known:
        return []  # a trace of plain jobs
    found = [trace.spans[one] for one in _completed(trace) if known.isdisjoint((one, *_below(trace, one)))]
    return sorted(found, key=lambda span: span.beginning)


def _completed(trace: Trace) -> Iterator[str]:
    """Yield the topmost spans that succeeded, apart from compensations and spans around the cause."""
    undos, path = {row.span_id for row in trace.compensations}, set(trace.failure_path)
    waiting = list(trace.roots)
    while waiting:
        span = trace.spans[one := waiting.pop()]
        if one in undos or span.state.is_compensation or span.state.kind == "point":
            continue
        if span.status == "success" and one not in path:
            yield one
        else:
            waiting.extend(trace.children.get(one, ()))


def _below(trace: Trace, span_id: str) -> Iterator[str]:
    waiting = list(trace.children.get(span_id, ()))
    while waiting:
        yield (one := waiting.pop())
        waiting.extend(trace.children.get(one, ()))
