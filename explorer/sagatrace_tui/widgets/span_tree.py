"""The spans of a trace as a tree with foldable nodes, and when each ran beside it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.labels import plural
from sagatrace_tui.model import Trace
from sagatrace_tui.theme import times_of
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.views.timeline import Timeline, timeline
from sagatrace_tui.widgets.bars import axis
from sagatrace_tui.widgets.new_rows import NewRows
from sagatrace_tui.widgets.rows import Part, Rows, fitted
from sagatrace_tui.widgets.span_rows import SpanRows, zones

__all__ = ["SpanTree", "Subject"]

Subject = tuple[Trace, Outline]


class SpanTree(Rows):
    """A trace in; says which span the cursor is on and which was opened. Folds and cursor outlive a new trace."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Detail", tooltip="Go into the detail; a row of like spans unfolds"),
        Binding("space", "fold", "Fold or unfold", show=False),
        Binding("right,l", "inward", "Unfold, or go to the first child", show=False),
        Binding("left,h", "outward", "Fold, or go to the parent", show=False),
        Binding("minus", "fold_all", "Fold all below the top", show=False),
        Binding("equals_sign", "unfold_all", "Unfold all", show=False),
        Binding("less_than_sign", "level(-1)", "Fold one level more", show=False),
        Binding("greater_than_sign", "level(1)", "Unfold one level more", show=False),
        Binding("e", "error(1)", "Error", tooltip="Next error"),
        Binding("E", "error(-1)", "Previous error", show=False),
        Binding("n", "match(1)", "Next match", show=False),
        Binding("N", "match(-1)", "Previous match", show=False),
        Binding("i", "squeeze", "Collapse or expand idle gaps", show=False),
    ]
    HEADER_LINES = 1

    # Comparing two traces costs more than drawing one: whoever sets it says that it changed.
    subject: reactive[Subject | None] = reactive(None, repaint=False, init=False, always_update=True)
    now: reactive[int] = reactive(0, repaint=False, init=False)
    matches: reactive[frozenset[str]] = reactive(frozenset(), repaint=False, init=False)
    only: reactive[tuple[str, frozenset[str]] | None] = reactive(None, repaint=False, init=False)
    """What to show and nothing else but what is above it, with a word for it: why, matches."""
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
        self._rows: Sequence[int] = ()
        self._folded: set[str] = set()
        self._opened: set[str] = set()  # groups, which are folded until opened
        self._folded_here: set[str] = set()  # while only a part shows
        self._errors: list[int] = []
        self._found: list[int] = []  # the places of the matches, in order
        self._part: list[int] | None = None  # the places of what alone is to show, in order
        self._drawer: SpanRows | None = None
        self._scale: Timeline | None = None
        self.new_rows = NewRows(self)
        self._changes: Mapping[str, str] = {}
        self._here: str | None = None

    @property
    def trace(self) -> Trace | None:
        """The trace shown."""
        return self.subject[0] if self.subject else None

    @property
    def outline(self) -> Outline | None:
        """All its nodes."""
        return self.subject[1] if self.subject else None

    @property
    def row_count(self) -> int:
        """How many nodes are visible."""
        return len(self._rows)

    @property
    def highlighted(self) -> str | None:
        """The id of the node under the cursor."""
        return self.outline.ids[self._rows[self.cursor]] if self.outline is not None and len(self._rows) else None

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
        return (bisect_left(places, here) + 1 if _holds(places, here) else 0, len(places))

    def watch_subject(self, old: Subject | None, new: Subject | None) -> None:
        """Show the trace, cursor and folds kept; at first the cursor is on what the trace failed at."""
        before = old[1].ids[self._rows[self.cursor]] if old and len(self._rows) else None
        here = self._here or before
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
        stays_at_end = self.follows_end and self.has_focus and self._here is None
        self._place_matches()
        self._place_part()
        self._rebuild(here, before)
        if stays_at_end:
            self.action_bottom()

    def show(
        self, subject: Subject, now: int, changes: Mapping[str, str] | None = None, here: str | None = None
    ) -> None:
        """Show another trace as of now, in one drawing.

        Args:
            subject: the trace and its outline.
            now: microseconds since 1970.
            changes: in a replay, a sign for each span that changed. Without it new spans are marked for a few seconds.
            here: the span to put the cursor on, or on what is above it. Without it the cursor stays.
        """
        self.set_reactive(SpanTree.now, now)
        if self.trace is not None and changes is None and not self._changes:
            self.new_rows.add(subject[0].spans.keys() - self.trace.spans.keys())
        self._changes, self._here = changes or {}, here
        self.subject = subject

    def mark(self, index: int) -> Part:
        """A sign before a row that is new, or that changed."""
        span_id = self.outline.ids[self._rows[index]] if self.outline is not None else ""
        sign = self._changes.get(span_id) or ("+" if span_id in self.new_rows else "")
        return (sign, "key") if sign else super().mark(index)

    def cursor_mark(self, index: int) -> Part:
        """In a replay, the sign of a change: the cursor is on its row."""
        return self.mark(index) if self.highlighted in self._changes else super().cursor_mark(index)

    def watch_now(self) -> None:
        """Let what runs go on."""
        if self.trace is not None and self.trace.status == "running":
            self._scale = None
            self.redraw()

    def watch_matches(self) -> None:
        """Mark them."""
        self._place_matches()
        self.redraw()

    def watch_only(self) -> None:
        """Show that part, or all again."""
        self._folded_here = set()
        self._place_part()
        self._rebuild(self.highlighted)
        self.lift(self.in_sight)

    def _place_matches(self) -> None:
        places = self.outline.places if self.outline is not None else {}
        self._found = sorted(places[one] for one in self.matches if one in places)

    def _place_part(self) -> None:
        if self.only is None or self.outline is None:
            self._part = None
        else:
            self._part = self.outline.with_ancestors(self.only[1])

    def watch_squeeze(self) -> None:
        """Draw the bars anew."""
        self._scale = None
        self.redraw()

    def cursor_moved(self) -> None:
        """Say where the cursor is."""
        if self.highlighted is not None:
            self.post_message(self.SpanHighlighted(self, self.highlighted))

    def _rebuild(self, here: str | None, before: str | None = None) -> None:
        """Work out the rows, and keep the cursor on that node or the nearest above it that shows.

        `before` is the node it was on, where the rows of now are those of another trace.
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
        """Put the cursor on a span, unfolding what is above it; False where there is no such span."""
        outline = self.outline
        if outline is None or span_id not in outline.places:
            return False
        here = outline.places[span_id]
        if self._part is not None and not _holds(self._part, here):
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

    def _is_folded(self, span_id: str) -> bool:
        is_group = self.only is None and self.outline is not None and span_id in self.outline.groups
        return span_id in self._folds() or (is_group and span_id not in self._opened)

    def _set_folded(self, span_id: str, fold: bool) -> None:
        if self.only is None and self.outline is not None and span_id in self.outline.groups:
            (self._opened.discard if fold else self._opened.add)(span_id)
            self._folds().discard(span_id)  # it was among all that were folded
        else:
            (self._folds().add if fold else self._folds().discard)(span_id)

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
        scale = axis(self.timeline(), bar, times_of(self)) if bar else ""
        return [*titles, (scale, "muted"), (f"{'took':>{figures - 1}} ", "muted")]

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

    def _weight(self) -> int:
        return self.outline.sizes[self._rows[self.cursor]] if self.outline is not None and len(self._rows) else 0

    def action_fold(self) -> None:
        """Fold or unfold the node under the cursor."""
        if self.highlighted is not None and self._weight() > 1:
            self._set_folded(self.highlighted, not self._is_folded(self.highlighted))
            self._rebuild(self.highlighted)

    def action_inward(self) -> None:
        """Unfold; when there is nothing to unfold, go to the first child."""
        if self.highlighted is None or self._weight() <= 1:
            return
        if self._is_folded(self.highlighted):
            self.action_fold()
        else:
            self.cursor += 1

    def action_outward(self) -> None:
        """Fold; when there is nothing to fold, go to the parent."""
        if self.highlighted is None or self.outline is None:
            return
        parent = self.outline.parents[self._rows[self.cursor]]
        if self._weight() > 1 and not self._is_folded(self.highlighted):
            self.action_fold()
        elif parent >= 0:
            self.cursor = self.outline.shown(self.outline.ids[parent], self._rows) or 0

    def action_fold_all(self) -> None:
        """Show the top and what lies directly under it."""
        self._fold_below(1)

    def action_unfold_all(self) -> None:
        """Show every span."""
        if self.outline is not None:
            self._folds().clear()
            self._opened = set(self.outline.groups)
            self._rebuild(self.highlighted)

    def action_level(self, step: int) -> None:
        """Fold or unfold one level: the deepest that shows goes, or one deeper comes."""
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


def _holds(places: Sequence[int], place: int) -> bool:
    at = bisect_left(places, place)
    return at < len(places) and places[at] == place
