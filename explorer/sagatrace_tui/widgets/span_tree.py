"""The spans of a trace as a foldable tree, with the waterfall beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.labels import inert, plural, short
from sagatrace_tui.theme import times_of
from sagatrace_tui.values import Path
from sagatrace_tui.views.timeline import Timeline, timeline
from sagatrace_tui.widgets.bars import axis
from sagatrace_tui.widgets.folding_rows import FOLD_KEYS, Subject
from sagatrace_tui.widgets.new_rows import NewRows
from sagatrace_tui.widgets.rows import Part, fitted
from sagatrace_tui.widgets.span_rows import PIN, RowState, SpanRows, Zones, zones
from sagatrace_tui.widgets.walking_rows import WalkingRows

__all__ = ["SpanTree", "Subject"]

_LEGENDS: Final = ("  ◆ cause  ◇ independent  ✘ consequence", "  ◆ cause  ◇ independent")


class SpanTree(WalkingRows):
    """Shows a trace. Posts the span under the cursor and the opened span. A new trace keeps folds and cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Detail", tooltip="Go to the detail; a group of similar spans unfolds"),
        *FOLD_KEYS,
        Binding("e", "error(1)", "Error", tooltip="Next cause or independent failure"),
        Binding("E", "error(-1)", "Previous error", show=False),
        Binding("n", "match(1)", "Next match", show=False),
        Binding("N", "match(-1)", "Previous match", show=False),
        Binding("z", "zoom", "Zoom the time axis to the span, or back (Esc)", show=False),
        Binding("L", "slowest", "The slowest span by its own time; again for the next", show=False),
        Binding("i", "squeeze", "Collapse or expand idle gaps", show=False),
    ]
    HEADER_LINES = 1

    now: reactive[int] = reactive(0, repaint=False, init=False)
    squeeze: reactive[bool] = reactive(False, repaint=False, init=False)
    zoom: reactive[str | None] = reactive(None, repaint=False, init=False)
    """The span or group that fills the time axis; None for the whole trace."""
    pinned: reactive[tuple[Path, ...]] = reactive((), repaint=False, init=False)
    """The data keys that have a column."""

    class SpanHighlighted(Message):
        """The cursor came to a span or to a missing parent."""

        def __init__(self, span_tree: SpanTree, span_id: str) -> None:
            super().__init__()
            self.span_tree = span_tree
            self.span_id = span_id

        @property
        def control(self) -> SpanTree:
            """The tree that posted the message."""
            return self.span_tree

    has_reader = True
    """Whether the tree has the focus, or would have it if the terminal's window had it."""

    class SpanOpened(SpanHighlighted):
        """The span under the cursor was chosen."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._drawer: SpanRows | None = None
        self._scale: Timeline | None = None
        self.new_rows = NewRows(self)
        self._changes: Mapping[str, str] = {}
        self._here: str | None = None

    def watch_subject(self, old: Subject | None, new: Subject | None) -> None:
        """Show the trace and keep cursor and folds. At first the cursor goes to the cause."""
        before = old[1].ids[self._rows[self.cursor]] if old and len(self._rows) else None
        here = self._here or before
        if new is None:
            self._rows = ()
            self.rows_changed(0)
            return
        trace, outline = new
        self._drawer = SpanRows(trace, outline)
        self._scale = None
        self._find_places(trace, outline)
        if here is None and trace.cause is not None:
            here = trace.cause.span_id
        stays_at_end = self.follows_end and self.has_reader and self._here is None
        if before in outline.places and not self.has_reader and self._here is None:
            self._unfold_group_of(before)  # the reader is in its detail
        self._place_part()
        self._rebuild(here, before)
        if stays_at_end:
            self.action_bottom()

    def show(
        self, subject: Subject, now: int, changes: Mapping[str, str] | None = None, here: str | None = None
    ) -> None:
        """Show another trace at `now`, in one drawing.

        Args:
            subject: the trace and its outline.
            now: microseconds since 1970.
            changes: in a replay, a sign for each span that changed. Without it new spans are marked for a few seconds.
            here: the span for the cursor, or its nearest visible ancestor. Without it the cursor stays.
        """
        self.set_reactive(SpanTree.now, now)
        if self.trace is not None and changes is None and not self._changes:
            self.new_rows.add(subject[0].spans.keys() - self.trace.spans.keys())
        self._changes, self._here = changes or {}, here
        self.subject = subject

    def mark(self, index: int) -> Part:
        """Return the sign of a row that is new, or that changed in a replay."""
        span_id = self.outline.ids[self._rows[index]] if self.outline is not None else ""
        sign = self._changes.get(span_id) or ("+" if span_id in self.new_rows else "")
        return (sign, "key") if sign else super().mark(index)

    def cursor_mark(self, index: int) -> Part:
        """Return the cursor's sign, or in a replay the sign of a change."""
        return self.mark(index) if self.highlighted in self._changes else super().cursor_mark(index)

    def watch_now(self) -> None:
        """Draw the bars of running spans up to now."""
        if self.trace is not None and self.trace.status == "running":
            self._scale = None
            self.redraw()

    def watch_matches(self) -> None:
        """Mark the matches."""
        self._place_matches()
        self.redraw()

    def watch_squeeze(self) -> None:
        """Draw the bars again."""
        self._scale = None
        self.redraw()

    watch_zoom = watch_squeeze

    def toggle_pin(self, path: Path) -> bool:
        """Add a data key as a column, or remove its column. Return whether it is a column now."""
        others = tuple(one for one in self.pinned if one != path)
        is_new = len(others) == len(self.pinned)
        self.pinned = (*others, path) if is_new else others
        return is_new

    def watch_pinned(self) -> None:
        """Draw the columns."""
        self.redraw()

    def cursor_moved(self) -> None:
        """Post the span under the cursor."""
        if self.highlighted is not None:
            self.post_message(self.SpanHighlighted(self, self.highlighted))

    def timeline(self) -> Timeline:
        """Return the time scale of the bars."""
        if self._scale is None and self.subject is not None:
            trace, outline = self.subject
            idle = outline.idle if self.squeeze else None
            self._scale = timeline(trace, self.now, idle, self._span_of_time(self.zoom))
        return self._scale or Timeline(0, 0)

    def _span_of_time(self, span_id: str | None) -> tuple[int, int] | None:
        """Return the start and the end of a span or group; None if it has no duration."""
        if self.subject is None or span_id is None:
            return None
        trace, outline = self.subject
        if (group := outline.groups.get(span_id)) is not None:
            return group.first_at, group.last_at
        span = trace.spans.get(span_id)
        if span is None:
            return None
        end = self.now if span.is_open and trace.status == "running" else max(span.over_at, span.last_at)
        return (span.first_at, end) if end > span.first_at else None

    @property
    def _in_why(self) -> bool:
        return self.only is not None and self.only[0] == "why"

    def _zones(self, width: int) -> Zones:
        return zones(width, len(self.pinned), bars=not self._in_why)

    def header(self, width: int) -> list[Part]:
        """Return the header: the visible part, the number of rows above it, the pinned keys and the time axis."""
        shared = self._zones(width)
        title = plural(len(self.trace.spans), "span") if self.trace else ""
        if self.only is not None:
            title = f"{self.only[0]}: {len(self.only[1])} of {title}"
        shown = "muted" if self.only is None else "found"
        title += f" ↑{self.scroll_offset.y:,}" if self.scroll_offset.y else ""
        legend = next((one for one in _LEGENDS if len(title) + len(one) < shared.label), "") if self._in_why else ""
        parts = [*fitted([(title, shown), (legend, "muted")], shared.label - 1), (" ", "plain")]
        for path in self.pinned[len(self.pinned) - shared.pins :]:
            parts += fitted([(short(inert(str(path[-1]), 80), PIN - 1), "muted")], PIN)
        if shared.bar:
            origin = self.trace.started_at if self.trace is not None and self.zoom is not None else None
            parts.append((axis(self.timeline(), shared.bar, origin, times_of(self)), "muted"))
        return [*parts, (f"{'took':>{shared.figures - 1}} ", "muted")]

    def row(self, index: int, width: int) -> list[Part]:
        """Return the row of one node."""
        if self._drawer is None or self.outline is None:
            return []
        place = self._rows[index]
        span_id = self.outline.ids[place]
        state = RowState(
            line=self.timeline(),
            now=self.now,
            folded=self._is_folded(span_id),
            found=span_id in self.matches,
            view=self.only[0] if self.only is not None else "",
            pinned=self.pinned,
            critical=self._landmarks is not None and span_id in self._landmarks.critical,
        )
        return self._drawer.parts(place, self._rows, width, state)

    def action_open(self) -> None:
        """Open the span under the cursor, or unfold a group."""
        if self.highlighted is None or self.outline is None:
            return
        if self.highlighted in self.outline.groups:
            self.action_fold()
        else:
            self.post_message(self.SpanOpened(self, self.highlighted))

    def on_click(self, event: events.Click) -> None:
        """Fold or unfold a node when its fold sign is clicked."""
        index = event.y - self.HEADER_LINES + self.scroll_offset.y
        if self._drawer is None or event.y < self.HEADER_LINES or index >= self.row_count:
            return
        label = self._zones(self.scrollable_content_region.width - 1).label
        if event.x - 1 == self._drawer.marker_column(self._rows[index], self._rows, label):
            event.prevent_default()
            self.cursor = index
            self.action_fold()

    def action_zoom(self) -> None:
        """Fit the time axis to the span under the cursor. The same key again, or Esc, shows the whole trace."""
        here = self.highlighted
        if self.zoom is not None and here == self.zoom:
            self.end_zoom()
        elif self._span_of_time(here) is None:
            self.post_message(self.Notified("This row has no duration to zoom to"))
        else:
            self.zoom = here
            self.post_message(self.Notified("The time axis shows only this span. Esc shows all"))

    def end_zoom(self) -> None:
        """Fit the time axis to the whole trace again, and say so."""
        self.zoom = None
        self.post_message(self.Notified("The time axis shows the whole trace"))

    def action_squeeze(self) -> None:
        """Collapse or expand idle gaps."""
        self.squeeze = not self.squeeze
        gaps = len(self.timeline().gaps)
        short = f"{plural(gaps, 'idle gap')} collapsed, at ≈" if gaps else "No idle gap is long enough to collapse"
        self.post_message(self.Notified(short if self.squeeze else "Idle gaps are expanded"))
