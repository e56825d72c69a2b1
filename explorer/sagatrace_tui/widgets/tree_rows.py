"""A trace's forest as the flat rows a screen shows: folds applied, guides drawn. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.model import Trace

__all__ = ["TreeRow", "tree_rows"]

MAX_GUIDE: Final = 48  # columns of guides kept; what lies deeper shows its nearest ancestors only


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One visible node: a span, or a parent that was never seen. `guide` are the lines that lead to it."""

    span_id: str
    parent: str | None
    depth: int
    guide: str
    has_children: bool
    folded: bool
    hidden: int
    """How many direct children a fold hides."""


def tree_rows(trace: Trace, folded: Collection[str]) -> list[TreeRow]:
    """The rows of the trace in tree order, without what lies under the folded ids."""
    rows: list[TreeRow] = []
    tops = (*trace.roots, *trace.missing_parents)
    # (id, parent, depth, own guide, guide of children)
    stack: list[tuple[str, str | None, int, str, str]] = [(top, None, 0, "", "") for top in reversed(tops)]
    while stack:
        span_id, parent, depth, guide, below = stack.pop()
        children = trace.children.get(span_id, ())
        is_folded = bool(children) and span_id in folded
        hidden = len(children) if is_folded else 0
        rows.append(TreeRow(span_id, parent, depth, guide, bool(children), is_folded, hidden))
        if is_folded:
            continue
        last = len(children) - 1
        for index in range(last, -1, -1):
            own, under = ("└─", "  ") if index == last else ("├─", "│ ")
            entry = (children[index], span_id, depth + 1, (below + own)[-MAX_GUIDE:], (below + under)[-MAX_GUIDE:])
            stack.append(entry)
    return rows
