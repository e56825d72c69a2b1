"""The comparison of two traces as rows: first notes, then a row for each difference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

import msgspec
from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.incident.comparison_text import Words
from sagatrace_tui.incident.differences import Comparison, Difference, Kind
from sagatrace_tui.labels import duration, inert, plural, short
from sagatrace_tui.widgets.rows import Part, Rows, fitted

__all__ = ["ComparisonRows", "comparison_lines"]

_KINDS: Final[dict[Kind, tuple[str, str]]] = {
    Kind.OUTCOME: ("✘ outcome", "cause"),
    Kind.ERROR: ("✘ error", "bad"),
    Kind.MISSING: ("◌ missing", "warn"),
    Kind.NEW: ("● new", "busy"),
    Kind.ATTEMPTS: ("↺ attempts", "warn"),
    Kind.SLOWER: ("↑ slower", "warn"),
    Kind.FASTER: ("↓ faster", "muted"),
}
_KIND: Final = 12  # columns for the kind
_VALUE: Final = 19  # columns that hold a status and a duration uncut
_GAP: Final = 2  # blanks after a cell
_WORDS: Final = Words(inert, duration)


class ComparisonLine(msgspec.Struct, frozen=True):
    """A row: a note over all columns, or a difference in four columns."""

    note: tuple[Part, ...] = ()
    difference: Difference | None = None

    def fitted(self, width: int) -> list[Part]:
        """Return the row in at most `width` columns."""
        if self.difference is None:
            return list(self.note)
        kind, tone = _KINDS[self.difference.kind]
        there, here = _WORDS.sides(self.difference)
        rooms = _rooms(width)
        step = _WORDS.step(self.difference)
        if cell_len(step) > rooms[0] - _GAP:  # the step's own name matters more than its parent's
            step = _WORDS.step(self.difference, with_parent=False)
        texts = step, there, here
        tones = "plain", "muted", tone if self.difference.here is not None else "muted"
        cells = zip(texts, tones, rooms, strict=True)
        parts = [part for text, look, room in cells for part in fitted([(short(text, room - _GAP), look)], room)]
        return [*fitted([(kind, tone)], _KIND), *parts]


def comparison_lines(comparison: Comparison) -> list[ComparisonLine]:
    """Return every row of a comparison."""
    lines = [ComparisonLine(_note(title, text)) for title, text in _WORDS.notes(comparison)]
    if not comparison.differences and not lines:
        same = (
            f"No difference: {plural(comparison.in_both, 'step')} in both traces, alike in outcome, attempts and time."
        )
        return [ComparisonLine(((same, "muted"),))]
    if lines and comparison.differences:
        lines.append(ComparisonLine())
    return [*lines, *(ComparisonLine(difference=one) for one in comparison.differences)]


def _note(title: str, text: str) -> tuple[Part, ...]:
    is_bad = title.startswith(("undo failed", "undo never started"))
    tone = "bad" if is_bad else "busy" if title.startswith("would") else "warn"
    return (f"{title[0].upper()}{title[1:]}: ", tone), (text, "plain")


def _place_of(difference: Difference | None) -> tuple[object, ...] | None:
    """Return the parent, the name and the number of a compared step. No other step has the same."""
    return None if difference is None else (difference.above, difference.name, difference.nth)


def _rooms(width: int) -> tuple[int, int, int]:
    """Return the columns for the step, the other trace and this trace."""
    rest = max(12, width - _KIND)
    step, there = min(70, rest // 3), min(60, rest * 6 // 25)
    if rest >= 3 * _VALUE:
        there = max(there, _VALUE)
    return step, there, rest - step - there


class ComparisonRows(Rows):
    """Shows a comparison and posts the chosen difference. `other_title` heads the column of the other trace."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Go to span", tooltip="Go to the step in the trace, or above a missing step")
    ]
    HEADER_LINES = 1

    comparison: reactive[Comparison | None] = reactive(None, repaint=False, init=False, always_update=True)
    other_title = "OTHER TRACE"

    class Chosen(Message):
        """A difference was chosen."""

        def __init__(self, rows: ComparisonRows, difference: Difference) -> None:
            super().__init__()
            self.rows = rows
            self.difference = difference

        @property
        def control(self) -> ComparisonRows:
            """The rows it was chosen in."""
            return self.rows

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: list[ComparisonLine] = []
        self._here: tuple[object, ...] | None = None  # the step under the cursor in the last comparison

    @property
    def row_count(self) -> int:
        """The number of lines."""
        return len(self._lines)

    @property
    def highlighted(self) -> Difference | None:
        """The difference under the cursor."""
        return self._lines[self.cursor].difference if self._lines else None

    def watch_comparison(self, comparison: Comparison | None) -> None:
        """Show the lines of a comparison. The cursor stays on its step, or goes to the first difference."""
        self._here = _place_of(self.highlighted) or self._here
        self._lines = comparison_lines(comparison) if comparison is not None else []
        places = list(self._about(range(self.row_count)))
        same = (place for place in places if _place_of(self._lines[place].difference) == self._here)
        self.rows_changed(next(same, next(iter(places), 0)))

    def header(self, width: int) -> list[Part]:
        """Return the titles of the columns."""
        titles = zip(("STEP", self.other_title, "THIS TRACE"), _rooms(width), strict=True)
        cells = [part for title, room in titles for part in fitted([(short(title, room - _GAP), "muted")], room)]
        return [*fitted([("DIFFERS", "muted")], _KIND), *cells]

    def row(self, index: int, width: int) -> list[Part]:
        """Return one line, fitted to the width."""
        return fitted(self._lines[index].fitted(width), width)

    def lit(self, width: int) -> int:
        """Highlight only lines about a step."""
        return width if self.highlighted is not None else 0

    def action_move(self, rows: int) -> None:
        """Move the cursor to the next difference, or to the end if there is no other."""
        step = 1 if rows > 0 else -1
        places = self._about(range(self.cursor + step, self.row_count if step > 0 else -1, step))
        self.cursor = next(places, self.row_count - 1 if step > 0 else 0)

    def action_open(self) -> None:
        """Choose the difference under the cursor."""
        if self.highlighted is not None:
            self.post_message(self.Chosen(self, self.highlighted))

    def _about(self, places: range) -> Iterator[int]:
        return (place for place in places if self._lines[place].difference is not None)
