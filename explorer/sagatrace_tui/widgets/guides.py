"""The lines that lead to a node of a tree, in as many columns as there are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sagatrace_tui.views.outline import Outline

__all__ = ["guides"]


def guides(outline: Outline, place: int, rows: Sequence[int], width: int) -> tuple[str, str]:
    """Return the depth of a node, where not all its guides fit, and the guides themselves.

    All rows of a tree are drawn alike: with two columns for a level, or with one where two do not fit. A node that is
    deeper even so shows its depth, and steps to the right from there on: a child never looks like a sibling.

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
