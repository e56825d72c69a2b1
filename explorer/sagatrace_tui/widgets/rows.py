"""Rows with a cursor, drawn line by line. The base of the trace list and the span tree.

This module is longer than most: keys, scrolling and drawing share the state of the cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from sagatrace_tui.labels import short
from sagatrace_tui.theme import BOLD, TONES

__all__ = ["CURSOR", "Part", "Rows", "fitted"]

CURSOR: Final = "▌"
_QUIET: Final = frozenset(("muted", "guide", "ok"))
"""Tones that are plain on the cursor's row: it stands out more, and changes of tone are most of its bytes."""

Part = tuple[str, str]
"""A piece of a row: its text, already inert, and its tone."""


def fitted(parts: Iterable[Part], width: int) -> list[Part]:
    """Return the parts cut with … and padded to exactly `width` columns."""
    kept: list[Part] = []
    for text, tone in parts:
        cut = short(text, width)
        columns = cell_len(cut)
        if columns > width:  # Textual's table of widths decides
            cut, columns = set_cell_size(cut, width), width
        kept.append((cut, tone))
        width -= columns
        if cut != text or width <= 0:
            break
    if width > 0:
        kept.append((" " * width, "plain"))
    return kept


class Rows(ScrollView, can_focus=True):
    """A scrolling list of one-line rows. Subclasses define the number of rows and the text of each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next row", show=False),
        Binding("up,k", "move(-1)", "Previous row", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("ctrl+d", "page(0.5)", "Half a page down", show=False),
        Binding("ctrl+u", "page(-0.5)", "Half a page up", show=False),
        Binding("g,home", "top", "First row", show=False),
        Binding("G,end", "bottom", "Last row; follow new rows", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--header"}
    DEFAULT_CSS = """
    Rows {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: $background;
        .rows--header { color: $foreground-muted; background: $background; text-style: none; }
        .rows--cursor { background: $cursor-line-blurred; }
        &:focus .rows--cursor { background: $cursor-line; }
        &:ansi .rows--cursor { text-style: bold; }
        &:ansi:focus .rows--cursor { text-style: reverse; }
    }
    """
    ALLOW_SELECT = False
    HEADER_LINES: ClassVar[int] = 0

    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._drawn: dict[int, Strip] = {}
        self._strips: dict[tuple[int, int, bool], Strip] = {}  # rows drawn since the last change, except of the cursor
        self._looks: dict[tuple[str, str], Style] = {}
        self.follows_end = False
        """Whether the cursor follows new rows at the end."""

    def times_changed(self) -> None:
        """Draw again with the new form of times."""
        self.redraw()

    @property
    def row_count(self) -> int:
        """The number of rows."""
        raise NotImplementedError

    def header(self, width: int) -> Sequence[Part]:
        """Return the line that stays on top. Needed only if `HEADER_LINES` is 1."""
        raise NotImplementedError

    def row(self, index: int, width: int) -> Sequence[Part]:
        """Return the parts of a row, `width` columns wide."""
        raise NotImplementedError

    def mark(self, index: int) -> Part:  # noqa: ARG002 - for subclasses
        """Return the sign before a row, one column wide. The cursor takes its place on its own row."""
        return " ", "plain"

    def cursor_mark(self, index: int) -> Part:  # noqa: ARG002 - for subclasses
        """Return the sign before the row under the cursor, one column wide."""
        return CURSOR, "plain"

    def cursor_moved(self) -> None:
        """Do something when the cursor came to another row. Subclasses may override it."""

    @property
    def marks_cursor(self) -> bool:
        """Whether the cursor's row is highlighted."""
        return True

    def lit(self, width: int) -> int:
        """Return how many columns of the cursor's row are highlighted. Fewer columns send fewer bytes."""
        return width

    @property
    def page_height(self) -> int:
        """The number of rows that fit on the screen."""
        return max(1, self.scrollable_content_region.height - self.HEADER_LINES)

    def rows_changed(self, cursor: int) -> None:
        """Show changed rows with the cursor at `cursor`. The cursor keeps its place on the screen."""
        moved = cursor - self.cursor
        self._resize_to(self.row_count + self.HEADER_LINES)
        self.set_reactive(Rows.cursor, max(0, min(cursor, self.row_count - 1)))
        self.follows_end = self.follows_end and self.cursor == self.row_count - 1
        top = self.scroll_offset.y
        self._bring(top + moved if top else 0)
        self.redraw()

    def rows_replaced(self, keys: Iterable[object], here: object) -> None:
        """Show other rows. The cursor goes to the key `here`, or stays at its index if no row has that key."""
        found = (index for index, key in enumerate(keys) if key == here)
        self.rows_changed(next(found, max(0, min(self.cursor, self.row_count - 1))))

    def _resize_to(self, lines: int) -> None:
        """Set the height in lines. Avoid a new layout of the screen if all lines fit, or if more lines scroll."""
        before, room = self.virtual_size.height, self.container_size.height
        height = self.styles.height
        leaves_room = lines < before and (lines > room or (height is not None and height.is_auto))
        if leaves_room or (before > room) is not (lines > room):
            self.virtual_size = Size(0, lines)
            return
        self.set_reactive(Widget.virtual_size, Size(0, lines))  # pyright: ignore[reportArgumentType]
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = lines

    def redraw(self) -> None:
        """Draw only the lines that changed."""
        width = self.scrollable_content_region.width
        self._strips.clear()
        for y in range(self.size.height):
            if self._drawn.get(y) != self._line(y, width):
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen."""
        strip = self._drawn[y] = self._line(y, self.scrollable_content_region.width)
        return strip

    def _line(self, y: int, width: int) -> Strip:
        if y < self.HEADER_LINES:
            return self._strip([(" ", "muted"), *self.header(width - 1)], width, "rows--header")
        index = y - self.HEADER_LINES + self.scroll_offset.y
        if index >= self.row_count:
            return Strip.blank(width, self._look("", ""))
        is_lit = index == self.cursor and self.marks_cursor
        strip = self._strips.get((index, width, is_lit))
        if strip is None:
            strip = self._strips[index, width, is_lit] = self._row_strip(index, width, is_lit)
        return strip

    def _row_strip(self, index: int, width: int, is_lit: bool) -> Strip:
        if not is_lit:
            return self._strip([self.mark(index), *self.row(index, width - 1)], width, "")
        parts = [self.cursor_mark(index), *self.row(index, width - 1)]
        lit = self.lit(width - 1) + 1
        strip = self._strip(parts, width, "rows--cursor")
        return strip if lit >= width else Strip.join([strip.crop(0, lit), self._strip(parts, width, "").crop(lit)])

    def _strip(self, parts: Sequence[Part], width: int, ground: str) -> Strip:
        quiet = frozenset[str]()
        if ground == "rows--cursor":
            # With 16 colours the cursor's row is reversed, so a tone would become its background.
            quiet = frozenset(TONES) if self.app.native_ansi_color else _QUIET
        segments = [Segment(text, self._look(ground, "plain" if tone in quiet else tone)) for text, tone in parts]
        return Strip(segments).adjust_cell_length(width, self._look(ground, ""))

    def _look(self, ground: str, tone: str) -> Style:
        """Return the style of a tone on a background. Styles are cached until the theme changes."""
        look = self._looks.get((ground, tone))
        if look is None:
            look = self.rich_style
            if ground:
                look += self.get_component_rich_style(ground)
            if tone:
                look += Style(color=self._tone_color(tone), bold=tone in BOLD or None)
            self._looks[ground, tone] = look
        return look

    def _tone_color(self, tone: str) -> RichColor:
        # No component classes: a dozen in each list would slow the start.
        text, _, percent = self.app.theme_variables[TONES[tone].removeprefix("$")].partition(" ")
        color = Color.parse(text)
        if percent and color.ansi is None:
            color = color.multiply_alpha(float(percent.rstrip("%")) / 100)
        return (self.background_colors[1] + color if color.a < 1 else color).rich_color

    def notify_style_update(self) -> None:
        """Drop cached styles and rows."""
        super().notify_style_update()
        self._looks.clear()
        self._strips.clear()
        self._drawn.clear()

    def watch_cursor(self, old: int, new: int) -> None:
        """Scroll to the cursor and draw its row."""
        self.follows_end = self.follows_end and new == self.row_count - 1
        self._bring(self.scroll_offset.y)
        for index in (old, new):
            y = index - self.scroll_offset.y + self.HEADER_LINES
            if self.HEADER_LINES <= y < self.size.height:
                self.refresh(Region(0, y, self.size.width, 1))
        self.cursor_moved()

    def validate_cursor(self, cursor: int) -> int:
        """Return the nearest existing row."""
        return max(0, min(cursor, self.row_count - 1))

    def _bring(self, top: int) -> None:
        """Scroll to `top`, or as little further as needed to show the cursor."""
        if not self.size.height:  # hidden: its height on the screen is not known yet
            return
        top = max(self.cursor - self.page_height + 1, min(top, self.cursor))
        if top != self.scroll_offset.y:
            # Force: the scrollbar of new rows may not exist yet.
            self.scroll_to(y=top, animate=False, immediate=True, force=True)

    @property
    def in_sight(self) -> range:
        """The indexes of the rows on the screen."""
        return range(self.scroll_offset.y, self.scroll_offset.y + self.page_height)

    def lift(self, in_sight: range) -> None:
        """Scroll the cursor's row to the upper third, unless it was in sight above the last visible row."""
        if self.cursor not in in_sight[:-1]:
            self._bring(max(0, min(self.cursor - self.page_height // 3, self.row_count - self.page_height)))

    def on_resize(self, _event: events.Resize) -> None:
        """Keep the cursor in sight."""
        self._strips.clear()
        self._drawn.clear()
        self._bring(self.scroll_offset.y)

    def header_clicked(self, x: int) -> None:
        """Handle a click on the header at column `x`. Subclasses may override it."""

    def action_open(self) -> None:
        """Open the row under the cursor. Subclasses may override it."""

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the row under the mouse. A double click opens the row."""
        index = event.y - self.HEADER_LINES + self.scroll_offset.y
        if event.y < self.HEADER_LINES:
            self.header_clicked(event.x)
        elif index < self.row_count:
            self.cursor = index
            if event.chain == 2:
                self.action_open()

    def action_move(self, rows: int) -> None:
        """Move the cursor by rows."""
        self.cursor += rows

    def action_page(self, pages: float) -> None:
        """Move cursor and view by pages."""
        rows = int(self.page_height * pages) or (1 if pages > 0 else -1)
        top = self.scroll_offset.y + rows
        self.cursor += rows
        self._bring(max(0, min(top, self.row_count - self.page_height)))

    def action_top(self) -> None:
        """Move the cursor to the first row."""
        self.cursor = 0

    def action_bottom(self) -> None:
        """Move the cursor to the last row, and follow new rows until the cursor moves again."""
        self.cursor = self.row_count - 1
        self.follows_end = True
