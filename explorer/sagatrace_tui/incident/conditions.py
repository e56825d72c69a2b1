"""The conditions of a query on whole traces."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sagatrace_tui.model import Trace

__all__ = ["Condition", "holds"]

_COMPARISONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Condition(NamedTuple):
    """A condition on a whole trace.

    The values of each key:

    - `status`: verdicts.
    - `name`, `standing`: part of a span's name in lower case. For `standing` it may be `any`.
    - `word`: part of a span's name, or the beginning of the trace id, in lower case.
    - `took`, `spans`: a comparison such as `>=`, and a number. `took` is in microseconds.
    """

    key: str
    values: tuple[str, ...]
    is_negated: bool = False


def holds(condition: Condition, trace: Trace) -> bool:
    """Return whether a trace meets a condition."""
    return _HOLDS[condition.key](condition.values, trace) is not condition.is_negated


def _named(values: tuple[str, ...], trace: Trace) -> bool:
    return any(values[0] in name.lower() for name in (trace.name, *(span.name for span in trace.spans.values())))


def _word(values: tuple[str, ...], trace: Trace) -> bool:
    return trace.trace_id.lower().startswith(values[0]) or _named(values, trace)


def _standing(values: tuple[str, ...], trace: Trace) -> bool:
    return any(values[0] == "any" or values[0] in step.name.lower() for step in trace.still_standing)


def _took(values: tuple[str, ...], trace: Trace) -> bool:
    took = trace.elapsed(trace.now)
    return took is not None and _COMPARISONS[values[0]](took, int(values[1]))


def _spans(values: tuple[str, ...], trace: Trace) -> bool:
    return _COMPARISONS[values[0]](len(trace.spans), int(values[1]))


_HOLDS: Final[Mapping[str, Callable[[tuple[str, ...], Trace], bool]]] = {
    "status": lambda values, trace: trace.verdict in values,
    "name": _named,
    "word": _word,
    "standing": _standing,
    "took": _took,
    "spans": _spans,
}
