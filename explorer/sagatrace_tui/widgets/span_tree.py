"""The spans of a trace as a tree with foldable nodes, and when each ran beside it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.labels import plural
from sagatrace_tui.views.timeline import Timeline, timeline
from sagatrace_tui.widgets.bars import axis
from sagatrace_tui.widgets.folding_rows import FOLD_KEYS, FoldingRows, Subject, holds
from sagatrace_tui.widgets.new_rows import NewRows
from sagatrace_tui.widgets.rows import Part, fitted
from sagatrace_tui.widgets.span_rows import SpanRows, zones

__all__ = ["SpanTree", "Subject"]


class SpanTree(FoldingRows):
    """A trace in; says which span the cursor is on and which was opened. Folds and cursor outlive a new trace."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Detail", tooltip="Go into the detail; a row of like spans unfolds"),
        *FOLD_KEYS,
        Binding("e", "error(1)", "Error", tooltip="Next error"),
        Binding("E", "error(-1)", "Previous error", show=False),
        Binding("n", "match(1)", "Next match", show=False),
        Binding("N", "match(-1)", "Previous match", show=False),
        Binding("i", "squeeze", "Collapse or expand idle gaps", show=False),
    ]
    HEADER_LINES = 1

    now: reactive[int] = reactive(0, repaint=False, init=False)
    matches: reactive[frozenset[str]] = reactive(frozenset(), repaint=False, init=False)
    squeeze: reactive[bool] = reactive(False, repaint=False, init=False)

    class SpanHighlighted(Message):
        """The cursor came to another span; or to a missing parent, whose id this is."""

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

    class Told(Message):
        """Why a key changed nothing, or what it changed that may not be in sight."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._errors: list[int] = []
        self._found: list[int] = []  # the places of the matches, in order
        self._drawer: SpanRows | None = None
        self._scale: Timeline | None = None
        self.new_rows = NewRows(self)

    @property
    def error_place(self) -> tuple[int, int]:
        """(which error the cursor is on, counted from 1, or 0; how many there are)."""
        return self._place_among(self._errors)

    @property
    def match_place(self) -> tuple[int, int]:
        """(which span that was found the cursor is on, counted from 1, or 0; how many there are)."""
        return self._place_among(self._found)

    def _place_among(self, places: Sequence[int]) -> tuple[int, int]:
        here = self._rows[self.cursor] if len(self._rows) else -1
        return (bisect_left(places, here) + 1 if holds(places, here) else 0, len(places))

    def watch_subject(self, old: Subject | None, new: Subject | None) -> None:
        """Show the trace, cursor and folds kept; at first the cursor is on what the trace failed at."""
        here = old[1].ids[self._rows[self.cursor]] if old and len(self._rows) else None
        if new is None:
            self._rows = ()
            self.rows_changed(0)
            return
        trace, outline = new
        self._drawer = SpanRows(trace, outline)
        self._errors = sorted(outline.places[one] for one, role in trace.roles.items() if role != "recovered")
        self._scale = None
        if here is None and trace.cause is not None:
            here = trace.cause.span_id
        stays_at_end = self.follows_end and self.has_focus
        self._place_matches()
        self._place_part()
        self._rebuild(here)
        if stays_at_end:
            self.action_bottom()

    def show(self, subject: Subject, now: int) -> None:
        """Show another trace as of now, in one drawing; rows of spans that are new are marked for a few seconds."""
        self.set_reactive(SpanTree.now, now)
        if self.trace is not None:
            self.new_rows.add(subject[0].spans.keys() - self.trace.spans.keys())
        self.subject = subject

    def mark(self, index: int) -> Part:
        """A + before a row that is new."""
        is_new = self.outline is not None and self.outline.ids[self._rows[index]] in self.new_rows
        return ("+", "key") if is_new else super().mark(index)

    def watch_now(self) -> None:
        """Let what runs go on."""
        if self.trace is not None and self.trace.status == "running":
            self._scale = None
            self.redraw()

    def watch_matches(self) -> None:
        """Mark them."""
        self._place_matches()
        self.redraw()

    def _place_matches(self) -> None:
        places = self.outline.places if self.outline is not None else {}
        self._found = sorted(places[one] for one in self.matches if one in places)

    def watch_squeeze(self) -> None:
        """Draw the bars anew."""
        self._scale = None
        self.redraw()

    def cursor_moved(self) -> None:
        """Say where the cursor is."""
        if self.highlighted is not None:
            self.post_message(self.SpanHighlighted(self, self.highlighted))

    def timeline(self) -> Timeline:
        """What the bars are drawn on."""
        if self._scale is None and self.subject is not None:
            trace, outline = self.subject
            self._scale = timeline(trace, self.now, outline.idle if self.squeeze else None)
        return self._scale or Timeline(0, 0)

    def header(self, width: int) -> list[Part]:
        """What part shows, and the axis."""
        label, bar, figures = zones(width)
        title = plural(len(self.trace.spans), "span") if self.trace else ""
        if self.only is not None:
            title = f"{self.only[0]}: {len(self.only[1])} of {title}"
        titles = fitted([(title, "muted" if self.only is None else "found")], label)
        return [*titles, (axis(self.timeline(), bar) if bar else "", "muted"), (f"{'took':>{figures - 1}} ", "muted")]

    def lit(self, width: int) -> int:
        """The names; bars and figures stay as they are."""
        return zones(width)[0]

    def row(self, index: int, width: int) -> list[Part]:
        """One node: guides, glyph, name and words left, its bar, attempts and duration right."""
        if self._drawer is None or self.outline is None:
            return []
        place = self._rows[index]
        span_id = self.outline.ids[place]
        return self._drawer.parts(
            place,
            self._rows,
            width,
            line=self.timeline(),
            now=self.now,
            folded=self._is_folded(span_id),
            found=span_id in self.matches,
            part=self.only is not None,
        )

    def action_open(self) -> None:
        """Open the span under the cursor; a group unfolds."""
        if self.highlighted is None or self.outline is None:
            return
        if self.highlighted in self.outline.groups:
            self.action_fold()
        else:
            self.post_message(self.SpanOpened(self, self.highlighted))

    def on_click(self, event: events.Click) -> None:
        """Fold or unfold, where the sign for it was clicked."""
        index = event.y - self.HEADER_LINES + self.scroll_offset.y
        if self._drawer is None or event.y < self.HEADER_LINES or index >= self.row_count:
            return
        label = zones(self.scrollable_content_region.width - 1)[0]
        if event.x - 1 == self._drawer.marker_column(self._rows[index], self._rows, label):
            event.prevent_default()
            self.cursor = index
            self.action_fold()

    def action_error(self, step: int) -> None:
        """Go to the next failed span, around the end to the first."""
        running = self.trace is not None and self.trace.status == "running"
        self._step(self._errors, step, "Nothing has failed so far" if running else "Nothing failed in this trace")

    def action_match(self, step: int) -> None:
        """Go to the next span that was found."""
        self._step(self._found, step, self.nothing_found)

    nothing_found = "Nothing was found: / finds"
    """What to say to whoever wants to see what was found."""

    def _step(self, places: Sequence[int], step: int, without: str) -> None:
        if self.outline is None or not places:
            self.post_message(self.Told(without))
            return
        here = self._rows[self.cursor] if len(self._rows) else -1
        at = bisect_right(places, here) if step > 0 else bisect_left(places, here) - 1
        self.go_to(self.outline.ids[places[at % len(places)]])

    def action_squeeze(self) -> None:
        """Collapse or expand idle gaps."""
        self.squeeze = not self.squeeze
        gaps = len(self.timeline().gaps)
        short = (
            f"{plural(gaps, 'idle gap')} drawn short, at ≈" if gaps else "No idle gap is long enough to draw it short"
        )
        self.post_message(self.Told(short if self.squeeze else "Idle gaps are as long as they are"))
