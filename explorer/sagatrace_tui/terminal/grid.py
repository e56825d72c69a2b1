"""The cells that a terminal shows and those that it should show, and a short sequence between the two. Pure.

This module is longer than most: all ways to save bytes read the same cells.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Final, NamedTuple

from rich.cells import cell_len

from sagatrace_tui.terminal.console_signs import few
from sagatrace_tui.terminal.plain_signs import plain

__all__ = ["Grid"]

UNKNOWN: Final = "\x00"
"""The content of a cell that is not known. It equals no sign."""
_BRIDGE: Final = 4  # sending up to this many unchanged cells again is no longer than stepping over them
_ERASE: Final = 6  # from this many blanks on, erasing is shorter than sending
_MANY: Final = re.compile(" {12,}")  # blanks for which erasing and stepping over them is shorter than sending
_DETOUR: Final = 12  # a change of style longer than this costs more than going to a later run and back
_WORTH: Final = 60  # scrolling takes four sequences, so it must save this many cells

_UNSEEN: Final = frozenset(("", "1", "2", "3"))
"""Attributes that change nothing on a blank: bold, dim and italic."""
_FORM: Final = re.compile("(.)[\ufe0e\ufe0f](\u20e3?)")


class _Run(NamedTuple):
    """Cells of a row that one style draws."""

    start: int
    end: int
    style: str


class Grid:
    """Two pictures of `width` by `height` cells: the terminal's, and the wanted one. Columns and rows count from 0.

    With `bce` erased cells take the current background. With `ascii_only` only ASCII is sent, with `few_signs` only the
    signs of a console's font.
    """

    def __init__(self, width: int, height: int, *, bce: bool, ascii_only: bool, few_signs: bool = False) -> None:
        self._bce = bce
        self._drawn = plain if ascii_only else few if few_signs else None
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Start over at another size."""
        self.width, self.height = width, height
        self._signs = [[" "] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]
        self.forget()

    def forget(self) -> None:
        """Treat the terminal's picture as unknown."""
        self._shown_signs = [[UNKNOWN] * self.width for _ in range(self.height)]
        self._shown_styles = [[UNKNOWN] * self.width for _ in range(self.height)]
        self._changed = set(range(self.height))
        self._at: tuple[int, int] | None = None
        self._style: str | None = None

    def put(self, row: int, column: int, text: str, style: str) -> int:
        """Put text in one style on a row. Return the column after it."""
        if not 0 <= row < self.height:
            return column
        self._changed.add(row)
        if "\ufe0e" in text or "\ufe0f" in text:
            text = _FORM.sub(_of_one_form, text)
        spread = text if text.isascii() else _spread(text)
        end = column + len(spread)
        signs = spread[: max(0, self.width - column)]
        self._signs[row][column : column + len(signs)] = signs
        blank = _of_blank(style)
        self._styles[row][column : column + len(signs)] = [blank if sign == " " else style for sign in signs]
        return end

    def difference(self) -> str:
        """Return the sequences that bring the terminal to the wanted picture. From then on it counts as shown."""
        out: list[str] = []
        rows = [row for row in sorted(self._changed) if self._differs(row)]
        self._changed.clear()
        if len(rows) > 2 and (shift := self._shift(rows)) is not None:
            self._scroll(*shift, out)
            rows = [row for row in range(self.height) if self._differs(row)]
        for row in rows:
            self._row(row, out)
            self._shown_signs[row] = self._signs[row].copy()
            self._shown_styles[row] = self._styles[row].copy()
        if self._style:  # leave no style behind for the next writer, such as a shell after a kill
            out.append("\x1b[m")
            self._style = ""
        return "".join(out)

    def _differs(self, row: int) -> bool:
        return self._signs[row] != self._shown_signs[row] or self._styles[row] != self._shown_styles[row]

    def _row(self, row: int, out: list[str]) -> None:
        signs, styles = self._signs[row], self._styles[row]
        new = [
            old_sign != sign or old_style != style
            for old_sign, sign, old_style, style in zip(
                self._shown_signs[row], signs, self._shown_styles[row], styles, strict=True
            )
        ]
        tail = self._tail(signs, styles)
        tail = tail if sum(new[tail:]) >= _ERASE else self.width
        runs: list[_Run] = []
        column = 0
        while column < tail:
            if not new[column]:
                column += 1
                continue
            while column and not signs[column]:  # the second half of a wide sign is drawn with its first
                column -= 1
            end = self._end(row, column, tail, new)
            style = next((styles[at] for at in range(column, end) if signs[at] != " "), styles[column])
            runs.append(_Run(column, end, style))
            column = end
        while runs:
            self._run(row, runs.pop(self._next(runs)), out)
        if tail < self.width:
            self._move(row, new.index(True, tail), out)
            self._dress(styles[-1], out, blank=True)
            out.append("\x1b[K")

    def _tail(self, signs: list[str], styles: list[str]) -> int:
        """Return the column from which only erasable blanks of one style follow."""
        style = styles[-1]
        if not self._can_erase(style):
            return self.width
        column = self.width
        while column and signs[column - 1] == " " and styles[column - 1] == style:
            column -= 1
        return column

    def _can_erase(self, style: str) -> bool:
        attributes, _, background = _parts(style)
        return not attributes and (self._bce or not background)

    def _next(self, runs: list[_Run]) -> int:
        """Return the index of the run to send next: the first, or one in the current style if that is shorter."""
        if self._style is not None and len(_change(self._style, runs[0].style)) > _DETOUR:
            return next((index for index, run in enumerate(runs) if run.style == self._style), 0)
        return 0

    def _run(self, row: int, run: _Run, out: list[str]) -> None:
        """Send changed cells of one style."""
        signs = self._signs[row][run.start : run.end]
        text = "".join(signs)
        is_blank = not text.strip(" ")
        self._move(row, run.start, out)
        self._dress(run.style, out, blank=is_blank)
        if is_blank and len(text) >= _ERASE and self._can_erase(run.style) and run.end < self.width:
            out.append(f"\x1b[{len(text)}X")
            return
        out.append(self._drawn(signs) if self._drawn is not None else text)
        # Terminals disagree about the cursor after the last column, and about the width of some signs.
        certain = run.end < self.width and (text.isascii() or self._drawn is not None or _narrow(text))
        self._at = (row, run.end) if certain else None

    def _end(self, row: int, start: int, limit: int, new: list[bool]) -> int:
        """Return the end of the changed cells from `start` on that one style can draw.

        A few unchanged cells between them count. Many blanks are a run of their own.
        """
        signs, styles = self._signs[row], self._styles[row]
        style, blank, end = None, _of_blank(styles[start]), start
        for at in range(start, limit):
            if signs[at] == " ":
                fits = styles[at] == blank
            elif style is None:
                style = styles[at]
                fits = _of_blank(style) == blank
            else:
                fits = styles[at] == style
            if not fits or at - end > _BRIDGE:
                break
            if new[at] or (not signs[at] and at == end):
                end = at + 1
        many = _MANY.search("".join(sign[:1] or "x" for sign in signs[start:end])) if self._can_erase(blank) else None
        return start + (many.start() or many.end()) if many else end

    def _move(self, row: int, column: int, out: list[str]) -> None:
        if self._at == (row, column):
            return
        place = f"\x1b[{row + 1};{column + 1}H" if column else f"\x1b[{row + 1}H"
        if self._at is not None and row - self._at[0] in (0, 1):
            place = min(place, _near(row - self._at[0], column - self._at[1], column), key=len)
        out.append(place)
        self._at = (row, column)

    def _dress(self, style: str, out: list[str], *, blank: bool = False) -> None:
        if blank and self._style is not None and _of_blank(self._style) == style:
            return
        if style != self._style:
            out.append(_change(self._style, style))
            self._style = style

    def _shift(self, rows: list[int]) -> tuple[int, int, int] | None:
        """Return (top, bottom, by) for rows that the terminal shows already, but higher or lower; else None."""
        # A scroll bar at the right edge stays where it is.
        keys = {
            (tuple(self._shown_signs[row][1:-2]), tuple(self._shown_styles[row][1:-2])): row
            for row in range(self.height)
        }
        votes: Counter[int] = Counter()
        moved: dict[int, list[int]] = {}
        for row in rows:
            if not "".join(self._signs[row]).strip():
                continue
            was = keys.get((tuple(self._signs[row][1:-2]), tuple(self._styles[row][1:-2])))
            if was is not None and was != row:
                votes[was - row] += 1
                moved.setdefault(was - row, []).append(row)
        if not votes:
            return None
        by, _ = votes.most_common(1)[0]
        top, bottom = min(moved[by]), max(moved[by])
        top, bottom = (top, bottom + by) if by > 0 else (top + by, bottom)
        inside = range(top, bottom + 1)
        saved = sum(self._cost(row, row) for row in inside) - sum(
            self._cost(row, row + by if row + by in inside else None) for row in inside
        )
        return (top, bottom, by) if saved > _WORTH else None

    def _cost(self, row: int, shown: int | None) -> int:
        """Return how many cells to send on a row if the terminal shows the row `shown` there, or nothing."""
        if shown is None:
            return len("".join(self._signs[row]).rstrip())
        pairs = zip(
            self._signs[row], self._shown_signs[shown], self._styles[row], self._shown_styles[shown], strict=True
        )
        return sum(sign != old or style != old_style for sign, old, style, old_style in pairs)

    def _scroll(self, top: int, bottom: int, by: int, out: list[str]) -> None:
        self._dress("", out)
        out.append(f"\x1b[{top + 1};{bottom + 1}r\x1b[{top + 1}H\x1b[{abs(by)}{'M' if by > 0 else 'L'}\x1b[r")
        self._at = None
        for picture, blank in ((self._shown_signs, " "), (self._shown_styles, "")):
            kept = picture[top : bottom + 1]
            gone = [[blank] * self.width for _ in range(abs(by))]
            picture[top : bottom + 1] = kept[by:] + gone if by > 0 else gone + kept[:by]


def _near(down: int, right: int, column: int) -> str:
    """Return the sequence to a cell of the same or the next row, `right` columns further, in the column `column`."""
    if down and not column:
        return "\r\n"
    below = "\x1b[B" if down else ""
    if right <= 0:
        return below + "\b" * -right
    return below + ("\x1b[C" if right == 1 else f"\x1b[{right}C")


def _of_one_form(match: re.Match[str]) -> str:
    """Return a sign without its variation selector, padded with blanks: terminals disagree about its width."""
    bare = match[1] + match[2]
    return bare + " " * max(0, cell_len(match[0]) - cell_len(bare))


@lru_cache(maxsize=1024)
def _spread(text: str) -> tuple[str, ...]:
    """Return one entry per cell. An empty entry follows a wide sign. A combining sign joins the sign before it."""
    signs: list[str] = []
    for sign in text:
        columns = cell_len(sign)
        if columns == 0:
            if signs:
                place = len(signs) - 1 if signs[-1] else len(signs) - 2
                signs[place] += sign
            continue
        signs.append(sign)
        signs.extend([""] * (columns - 1))
    return tuple(signs)


@lru_cache(maxsize=1024)
def _narrow(text: str) -> bool:
    """Return whether every terminal gives the text the same width: lines, blocks and the signs of this app."""
    return cell_len(text) == len(text) and all(
        sign.isascii() or "\u2190" <= sign <= "\u25ff" or sign in "·×…—✔✘⚠" for sign in text
    )


@lru_cache(maxsize=4096)
def _parts(style: str) -> tuple[str, str, str]:
    """Return a style's codes as (attributes, foreground, background)."""
    codes, attributes, foreground, background = style.split(";") if style else [], [], "", ""
    place = 0
    while place < len(codes):
        code = codes[place]
        length = 1
        if code in ("38", "48"):
            length = 5 if codes[place + 1 : place + 2] == ["2"] else 3
        value = ";".join(codes[place : place + length])
        if len(code) == 2 and code[0] in "39":
            foreground = value if code != "39" else ""
        elif (len(code) == 2 and code[0] == "4") or code[:2] == "10":
            background = value if code != "49" else ""
        elif code != "0":
            attributes.append(code)
        place += length
    return ";".join(attributes), foreground, background


@lru_cache(maxsize=4096)
def _of_blank(style: str) -> str:
    """Return the part of a style that shows on a blank: its background, unless the blank has a line or is reversed."""
    attributes, _, background = _parts(style)
    return background if set(attributes.split(";")) <= _UNSEEN else style


@lru_cache(maxsize=4096)
def _change(before: str | None, after: str) -> str:
    """Return the shortest sequence from one style to another."""
    if not after:
        return "\x1b[m"
    attributes, foreground, background = _parts(after)
    whole = ";".join(part for part in ("0" if before else "", attributes, foreground, background) if part)
    if before is None:
        return f"\x1b[0;{whole}m"
    had, was_foreground, was_background = _parts(before)
    if had and had != attributes:
        return f"\x1b[{whole}m"
    steps = [attributes] if attributes != had else []
    if foreground != was_foreground:
        steps.append(foreground or "39")
    if background != was_background:
        steps.append(background or "49")
    step = ";".join(steps)
    return f"\x1b[{min(step, whole, key=len)}m"
