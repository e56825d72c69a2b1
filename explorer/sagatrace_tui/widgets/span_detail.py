"""The detail of one span, row by row. Data folds, and long values open in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.model import Trace
from sagatrace_tui.theme import times_of
from sagatrace_tui.values import Path
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets.detail_lines import DetailLine, detail_lines, group_lines
from sagatrace_tui.widgets.rows import Part, Rows, fitted

__all__ = ["SpanDetail", "Subject"]

Subject = tuple[Trace, Outline, str]
"""A trace, its outline, and the id of a span, a missing parent or a group."""


class SpanDetail(Rows):
    """Shows a subject. Posts a value to open, a key to pin, or a span to go to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="Open the value in full, or go to the named span"),
        Binding("space", "fold", "Fold", tooltip="Fold or unfold the value"),
        Binding("right,l", "unfold(True)", "Unfold", show=False),
        Binding("left,h", "unfold(False)", "Fold", show=False),
        Binding("p", "pin", "Pin the value's key as a column of the tree; again to unpin", show=False),
    ]

    subject: reactive[Subject | None] = reactive(None, init=False, repaint=False, always_update=True)
    sought: reactive[str] = reactive("", init=False, repaint=False)
    """The searched text. Lines that contain it are marked, and the cursor goes to the first."""

    class ValueOpened(Message):
        """The reader opened a value."""

        def __init__(self, title: str, value: Any) -> None:
            super().__init__()
            self.title = title
            self.value = value

    class Pinned(Message):
        """The reader pinned the key of a value. `path` is None if the line has no value of the data."""

        def __init__(self, path: Path | None) -> None:
            super().__init__()
            self.path = path

    class SpanChosen(Message):
        """Another span was chosen."""

        def __init__(self, span_id: str) -> None:
            super().__init__()
            self.span_id = span_id

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: list[DetailLine] = []
        self._toggled: set[Path] = set()
        self._shown: tuple[object, ...] = ()

    @property
    def row_count(self) -> int:
        """The number of lines."""
        return len(self._lines)

    @property
    def line(self) -> DetailLine | None:
        """The line under the cursor."""
        return self._lines[self.cursor] if self._lines else None

    def watch_subject(self, subject: Subject | None) -> None:
        """Show the subject, unless the same span in the same state is on screen already."""
        if subject is None:
            return
        trace, _, span_id = subject
        shown = (span_id, *_depends_on(trace, span_id))
        is_same, is_other = self._shown == shown, self._shown[:1] != (span_id,)
        self._shown = shown
        if is_same:
            return
        if is_other:
            self._toggled.clear()
        self._build(0 if is_other else self.cursor)
        if is_other:
            self._go_to_sought()

    def watch_sought(self) -> None:
        """Mark the matching lines."""
        self._go_to_sought()
        self.redraw()

    def _go_to_sought(self) -> None:
        first = next((at for at, line in enumerate(self._lines) if self._is_sought(line)), None)
        if first is not None and not self.has_focus:
            self.cursor = first

    def _is_sought(self, line: DetailLine) -> bool:
        return bool(self.sought) and self.sought.casefold() in "".join(text for text, _ in line.parts).casefold()

    def on_resize(self, event: events.Resize) -> None:
        """Wrap the text again."""
        super().on_resize(event)
        self._build(self.cursor)

    def times_changed(self) -> None:
        """Build the lines with the new form of times."""
        self._build(self.cursor)

    def _build(self, cursor: int) -> None:
        if self.subject is None:
            return
        trace, outline, span_id = self.subject
        width = max(10, self.scrollable_content_region.width - 2)
        group, times = outline.groups.get(span_id), times_of(self)
        before = self._lines[: cursor + 1]
        self._lines = (
            group_lines(group, width, times)
            if group is not None
            else detail_lines(trace, span_id, width, toggled=self._toggled, times=times)
        )
        self.rows_changed(_place_again(before, self._lines) if cursor else 0)

    def row(self, index: int, width: int) -> list[Part]:
        """Return one line."""
        line = self._lines[index]
        parts = [(text, "found") for text, _ in line.parts] if self._is_sought(line) else line.parts
        return fitted(parts, width)

    @property
    def marks_cursor(self) -> bool:
        """Whether the cursor shows: only with the focus."""
        return self.has_focus

    def action_fold(self) -> None:
        """Fold or unfold the value under the cursor."""
        line = self.line
        if line is not None and line.can_fold and line.path is not None:
            self._toggled ^= {line.path}
            self._build(self.cursor)

    def action_unfold(self, unfold: bool) -> None:
        """Unfold (True) or fold (False) the value under the cursor."""
        line = self.line
        if line is not None and line.can_fold and (line.parts[0][0] == "▸ ") is unfold:
            self.action_fold()

    def action_pin(self) -> None:
        """Pin the key of the value under the cursor, or unpin it."""
        is_value = self.line is not None and self.line.path and not self.line.can_fold
        self.post_message(self.Pinned(self.line.path if self.line is not None and is_value else None))

    def action_open(self) -> None:
        """Go to the named span, fold the value, or open it in full."""
        line = self.line
        if line is None:
            return
        if line.span_id is not None:
            self.post_message(self.SpanChosen(line.span_id))
        elif line.can_fold:
            self.action_fold()
        elif line.opens:
            title = "".join(text for text, _ in line.parts[:2]).strip(" :-") if line.path else "value"
            self.post_message(self.ValueOpened(title, line.value))


def _place_again(before: Sequence[DetailLine], now: Sequence[DetailLine]) -> int:
    """Return the place of the last line of `before` in `now`.

    If that line is gone, the place has the same distance from the nearest line above it that is still there.
    """
    places = {name: place for place, name in enumerate(_names(now))}
    for distance, name in enumerate(reversed(_names(before))):
        if name[0] and name in places:
            return places[name] + distance
    return max(0, len(before) - 1)


def _names(lines: Sequence[DetailLine]) -> list[tuple[object, int]]:
    """Return the path of each line, or its first words, and how many lines before have the same."""
    seen: Counter[object] = Counter()
    names: list[tuple[object, int]] = []
    for line in lines:
        name: object = line.path or (line.parts[0][0] if line.parts else "")
        names.append((name, seen[name]))
        seen[name] += 1
    return names


def _depends_on(trace: Trace, span_id: str) -> tuple[object, ...]:
    """Return the inputs of a span's text. Comparing them is cheaper than building the text."""
    span = trace.spans.get(span_id)
    if span is None:
        return (len(trace.children.get(span_id, ())),)
    others = [trace.spans.get(other) for other in (span.parent_id, span.original_span_id) if other is not None]
    anomalies = [anomaly for anomaly in trace.anomalies if span_id in anomaly.span_ids]
    standing = [one for one in trace.still_standing if one.span_id == span_id]
    names, runs = [other and other.name for other in others], trace.runs_of(span_id)
    return span, trace.started_at, names, runs, anomalies, standing, trace.roles.get(span_id)
