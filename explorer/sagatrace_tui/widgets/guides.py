"""The guide lines to a node of a tree, fitted to a width. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sagatrace_tui.views.outline import Outline

__all__ = ["guides"]


def guides(outline: Outline, place: int, rows: Sequence[int], width: int) -> tuple[str, str]:
    """Return the depth label of a node, empty if all its guides fit, and its guides.

    All rows of a tree use two columns for each level, or one column if two do not fit. A node too deep even for that
    shows its depth as a number. Its indent still changes with the depth, so that a child never looks like a sibling.

    Args:
        outline: the tree.
        place: the node.
        rows: the visible places, in order.
        width: the columns for depth and guides, if possible.
    """
    step = 2 if outline.deepest * 2 <= width else 1
    levels, depth = max(6, width) // step, outline.depths[place]
    label = ""
    if depth > levels:
        label = f"⋯{depth} "
        half = max(1, (levels - len(label)) // 2)
        levels = half + depth % half
    signs: list[str] = []
    node = place
    while outline.parents[node] >= 0 and len(signs) < levels:
        last = outline.is_last(node, rows)
        signs.append(("└─" if last else "├─") if node == place else ("  " if last else "│ "))
        node = outline.parents[node]
    return label, "".join(sign[:step] for sign in reversed(signs))
