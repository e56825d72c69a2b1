"""The spans of a trace as a tree with foldable nodes."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.labels import GLYPHS, duration, inert, short_name
from sagatrace_tui.model import Span, Trace
from sagatrace_tui.theme import STATUS_TONES
from sagatrace_tui.widgets.rows import Part, Rows, fitted
from sagatrace_tui.widgets.tree_rows import TreeRow, tree_rows

__all__ = ["SpanTree"]


class SpanTree(Rows):
    """A trace in; says which span the cursor is on and which was opened. Folds and cursor outlive a new trace."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Detail"),
        Binding("space", "fold", "Fold"),
        Binding("right,l", "inward", "Unfold, or go to the first child", show=False),
        Binding("left,h", "outward", "Fold, or go to the parent", show=False),
        Binding("minus", "fold_all", "Fold all below the top", show=False),
        Binding("equals_sign", "unfold_all", "Unfold all", show=False),
    ]

    # Comparing two traces costs more than drawing one: whoever sets it says that it changed.
    trace: reactive[Trace | None] = reactive(None, repaint=False, init=False, always_update=True)
    now: reactive[int] = reactive(0, repaint=False, init=False)

    class SpanHighlighted(Message):
        """The cursor came to another span; or to a parent that was never seen, whose id this is."""

        def __init__(self, span_tree: SpanTree, span_id: str) -> None:
            super().__init__()
            self.span_tree = span_tree
            self.span_id = span_id

        @property
        def control(self) -> SpanTree:
            """The tree it is in."""
            return self.span_tree

    class SpanOpened(SpanHighlighted):
        """The span under the cursor was chosen."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._rows: list[TreeRow] = []
        self._folded: set[str] = set()
        self._oddities: dict[str, str] = {}

    @property
    def row_count(self) -> int:
        """How many nodes are visible."""
        return len(self._rows)

    @property
    def highlighted(self) -> str | None:
        """The id of the node under the cursor."""
        return self._rows[self.cursor].span_id if self._rows else None

    def watch_trace(self) -> None:
        """Show the trace, cursor and folds kept."""
        self._oddities = {}
        for anomaly in self.trace.anomalies if self.trace else ():
            for span_id in anomaly.span_ids:
                self._oddities.setdefault(span_id, anomaly.kind)
        self._rebuild()

    def watch_now(self) -> None:
        """Let what runs go on."""
        self.redraw()

    def cursor_moved(self) -> None:
        """Say where the cursor is."""
        if self.highlighted is not None:
            self.post_message(self.SpanHighlighted(self, self.highlighted))

    def _rebuild(self) -> None:
        before = self._rows[self.cursor] if self._rows else None
        self._rows = tree_rows(self.trace, self._folded) if self.trace else []
        self.rows_changed(self._place(before))
        if self.highlighted != (before.span_id if before else None):
            self.cursor_moved()

    def _place(self, before: TreeRow | None) -> int:
        """Where the cursor's node is now; under a fold, the nearest ancestor that shows."""
        places = {row.span_id: index for index, row in enumerate(self._rows)}
        node = before.span_id if before else None
        while node is not None and self.trace is not None:
            if node in places:
                return places[node]
            span = self.trace.spans.get(node)
            node = span.parent_id if span else None
        return self.cursor

    def row(self, index: int, width: int) -> list[Part]:
        """One node: guides, glyph, name and words left, attempts and duration right."""
        row = self._rows[index]
        span = self.trace.spans.get(row.span_id) if self.trace else None
        lead = [*_guides(row, width // 3), *(self._words(row, span, width // 2) if span else _missing(row))]
        right = self._figures(span) if span else []
        left_width = max(0, width - sum(len(text) for text, _ in right))
        return [*fitted(lead, left_width), *right]

    def _words(self, row: TreeRow, span: Span, width: int) -> list[Part]:
        tone = STATUS_TONES[span.status]
        parts: list[Part] = [(f"{GLYPHS[span.status]} ", tone), (short_name(inert(span.name, 200), width), "plain")]
        if row.hidden:
            parts.append((f" +{row.hidden}", "key"))
        if span.status not in ("success", "point"):
            parts.append((f"  {span.status}", tone))
        if span.span_id in self._oddities:
            parts.append((f"  ⚠ {self._oddities[span.span_id]}", "warn"))
        if span.error:
            kind = f"{inert(span.error_type, 60)}: " if span.error_type else ""
            parts.append((f"  {kind}{inert(span.error, 200)}", "muted"))
        return parts

    def _figures(self, span: Span) -> list[Part]:
        took = (f" {self._took(span):>7} ", "muted")
        return [(f"  ×{len(span.attempts)}", "warn"), took] if len(span.attempts) > 1 else [took]

    def _took(self, span: Span) -> str:
        if span.started_at is None or span.status == "point":
            return ""
        if span.ended_at is None:
            is_live = self.trace is not None and self.trace.status == "running"
            return duration(max(0, self.now - span.started_at)) if is_live else "—"
        return duration(max(0, span.ended_at - span.started_at))

    def action_open(self) -> None:
        """Open the span under the cursor."""
        if self.highlighted is not None:
            self.post_message(self.SpanOpened(self, self.highlighted))

    def action_fold(self) -> None:
        """Fold or unfold the node under the cursor."""
        if self._rows and self._rows[self.cursor].has_children:
            self._folded ^= {self._rows[self.cursor].span_id}
            self._rebuild()

    def action_inward(self) -> None:
        """Unfold; when there is nothing to unfold, go to the first child."""
        if self._rows and self._rows[self.cursor].folded:
            self.action_fold()
        elif self._rows and self._rows[self.cursor].has_children:
            self.cursor += 1

    def action_outward(self) -> None:
        """Fold; when there is nothing to fold, go to the parent."""
        if not self._rows:
            return
        row = self._rows[self.cursor]
        if row.has_children and not row.folded:
            self.action_fold()
        elif row.parent is not None:
            self.cursor = next(index for index, other in enumerate(self._rows) if other.span_id == row.parent)

    def action_fold_all(self) -> None:
        """Show the top and what lies directly under it."""
        if self.trace is not None:
            self._folded = set(self.trace.children).difference(self.trace.roots, self.trace.missing_parents)
            self._rebuild()

    def action_unfold_all(self) -> None:
        """Show every span."""
        self._folded = set()
        self._rebuild()


def _guides(row: TreeRow, width: int) -> list[Part]:
    guide = row.guide
    if len(guide) > max(4, width):
        guide = "⋯" + guide[-max(3, width - 1) :]
    marker = "▸" if row.folded else "▾" if row.has_children else "─" if row.depth else " "
    return [(guide, "guide"), (f"{marker} ", "key" if row.folded else "guide" if marker == "─" else "muted")]


def _missing(row: TreeRow) -> list[Part]:
    return [
        ("? ", "warn"),
        (inert(row.span_id, 200), "id"),
        (f" +{row.hidden}" if row.hidden else "", "key"),
        ("  parent never seen", "warn"),
    ]
