"""The nodes of a trace's tree as rows that fold. All nodes show, or only a part."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from textual.binding import Binding, BindingType
from textual.reactive import reactive

from sagatrace_tui.model import Trace
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets.rows import Rows

__all__ = ["FOLD_KEYS", "FoldingRows", "Subject", "holds"]

Subject = tuple[Trace, Outline]

FOLD_KEYS: Final[list[BindingType]] = [
    Binding("space", "fold", "Fold or unfold", show=False),
    Binding("right,l", "inward", "Unfold, or go to the first child", show=False),
    Binding("left,h", "outward", "Fold, or go to the parent", show=False),
    Binding("minus", "fold_all", "Fold all below the top", show=False),
    Binding("equals_sign", "unfold_all", "Unfold all", show=False),
    Binding("less_than_sign", "level(-1)", "Fold one level more", show=False),
    Binding("greater_than_sign", "level(1)", "Unfold one level more", show=False),
]


class FoldingRows(Rows):
    """Holds the visible nodes. A new trace keeps the folds and the cursor."""

    # Always an update: comparing two traces costs more than drawing one.
    subject: reactive[Subject | None] = reactive(None, repaint=False, init=False, always_update=True)
    only: reactive[tuple[str, frozenset[str]] | None] = reactive(None, repaint=False, init=False)
    """The part to show with its ancestors: a word for it (`why`, `found`) and its span ids. None shows all."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._rows: Sequence[int] = ()
        self._folded: set[str] = set()
        self._opened: set[str] = set()  # groups that were opened; the others are folded
        self._folded_here: set[str] = set()  # the folds while only a part shows
        self._part: list[int] | None = None  # the places of the part to show, in order

    @property
    def trace(self) -> Trace | None:
        """The trace shown."""
        return self.subject[0] if self.subject else None

    @property
    def outline(self) -> Outline | None:
        """The outline of the trace, with all nodes."""
        return self.subject[1] if self.subject else None

    @property
    def row_count(self) -> int:
        """The number of visible nodes."""
        return len(self._rows)

    @property
    def highlighted(self) -> str | None:
        """The id of the node under the cursor."""
        return self.outline.ids[self._rows[self.cursor]] if self.outline is not None and len(self._rows) else None

    def watch_only(self, old: tuple[str, frozenset[str]] | None, new: tuple[str, frozenset[str]] | None) -> None:
        """Show the part, or all again. A part that only grows keeps its folds."""
        is_other = old is None or new is None or old[0] != new[0]
        if is_other:
            self._folded_here = set()
        self._place_part()
        self._rebuild(self.highlighted)
        if is_other:
            self.lift(self.in_sight)

    def _place_part(self) -> None:
        if self.only is None or self.outline is None:
            self._part = None
        else:
            self._part = self.outline.with_ancestors(self.only[1])

    def _rebuild(self, here: str | None, before: str | None = None) -> None:
        """Compute the rows, and keep the cursor on the node `here` or its nearest visible ancestor.

        `before` is the node under the cursor in the previous trace, if the trace changed.
        """
        before, outline = before or self.highlighted, self.outline
        if outline is None:
            return
        if self._part is None:
            self._rows = outline.rows(self._folded | (outline.groups.keys() - self._opened))
        else:
            self._rows = outline.rows(self._folded_here, self._part)
        row = outline.shown(here, self._rows) if here is not None else None
        self.rows_changed(self.cursor if row is None else row)
        if self.highlighted != before:
            self.cursor_moved()

    def _folds(self) -> set[str]:
        return self._folded if self.only is None else self._folded_here

    def go_to(self, span_id: str) -> bool:
        """Put the cursor on a span and unfold its ancestors. Return False if the trace has no such span."""
        outline = self.outline
        if outline is None or span_id not in outline.places:
            return False
        here = outline.places[span_id]
        if self._part is not None and not holds(self._part, here):
            self.only = None
        above = [outline.ids[place] for place in outline.up(span_id) if place != here]
        folded = [one for one in above if self._is_folded(one)]
        for one in folded:
            self._set_folded(one, False)
        row = None if folded else outline.shown(span_id, self._rows)
        in_sight = self.in_sight
        if row is None:
            self._rebuild(span_id)
        else:
            self.cursor = row
        self.lift(in_sight)
        return True

    def _unfold_group_of(self, span_id: str) -> None:
        """Unfold the group that the span has come into."""
        if self.outline is not None:
            ids = [self.outline.ids[place] for place in self.outline.up(span_id)]
            self._opened.update(one for one in ids if one != span_id and one in self.outline.groups)

    def _is_folded(self, span_id: str) -> bool:
        is_group = self.only is None and self.outline is not None and span_id in self.outline.groups
        return span_id in self._folds() or (is_group and span_id not in self._opened)

    def _set_folded(self, span_id: str, fold: bool) -> None:
        if self.only is None and self.outline is not None and span_id in self.outline.groups:
            (self._opened.discard if fold else self._opened.add)(span_id)
            self._folds().discard(span_id)  # it may have been folded with its level
        else:
            (self._folds().add if fold else self._folds().discard)(span_id)

    def _weight(self) -> int:
        return self.outline.sizes[self._rows[self.cursor]] if self.outline is not None and len(self._rows) else 0

    def action_fold(self) -> None:
        """Fold or unfold the node under the cursor."""
        if self.highlighted is not None and self._weight() > 1:
            self._set_folded(self.highlighted, not self._is_folded(self.highlighted))
            self._rebuild(self.highlighted)

    def action_inward(self) -> None:
        """Unfold the node. If it is unfolded already, go to its first child."""
        if self.highlighted is None or self._weight() <= 1:
            return
        if self._is_folded(self.highlighted):
            self.action_fold()
        else:
            self.cursor += 1

    def action_outward(self) -> None:
        """Fold the node. If it cannot fold, go to its parent."""
        if self.highlighted is None or self.outline is None:
            return
        parent = self.outline.parents[self._rows[self.cursor]]
        if self._weight() > 1 and not self._is_folded(self.highlighted):
            self.action_fold()
        elif parent >= 0:
            self.cursor = self.outline.shown(self.outline.ids[parent], self._rows) or 0

    def action_fold_all(self) -> None:
        """Show the roots and their direct children."""
        self._fold_below(1)

    def action_unfold_all(self) -> None:
        """Show every span."""
        if self.outline is not None:
            self._folds().clear()
            self._opened = set(self.outline.groups)
            self._rebuild(self.highlighted)

    def action_level(self, step: int) -> None:
        """Hide the deepest visible level (-1), or show one more level (1)."""
        if self.outline is None or not len(self._rows):
            return
        deepest = max(self.outline.depths[place] for place in self._rows)
        self._fold_below(max(0, deepest + step))

    def _fold_below(self, level: int) -> None:
        if self.outline is not None:
            self._opened.clear()
            self._folds().clear()
            self._folds().update(self.outline.below_level(level))
            self._rebuild(self.highlighted)


def holds(places: Sequence[int], place: int) -> bool:
    """Return whether the sorted places contain a place."""
    at = bisect_left(places, place)
    return at < len(places) and places[at] == place
