"""A span's bar in the waterfall: its wait, its attempts and the pauses between attempts. Pure.

Bars begin and end at half a cell. Spans on the critical path have heavy bars. Failed work ends in a sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from sagatrace_tui.labels import duration
from sagatrace_tui.model import Span
from sagatrace_tui.theme import STATUS_TONES
from sagatrace_tui.times import Times
from sagatrace_tui.views.outline import Group
from sagatrace_tui.views.timeline import Piece, Timeline, pieces

__all__ = ["axis", "group_bar", "span_bar"]

Part = tuple[str, str]
_TIMES: Final = Times()

_WAIT: Final = "┄"
_HEAVY: Final = "━╸╺"
_LIGHT: Final = "─╴╶"
"""A whole cell, its left half, its right half."""
_LOST: Final = "×"  # failed work: a sign also works without colours
_POINT: Final = "•"
_GAP: Final = "≈"
_BEFORE, _AFTER = "←", "→"


def span_bar(span: Span, line: Timeline, width: int, *, critical: bool) -> list[Part]:
    """Return the bar of a span in exactly `width` columns. `critical` draws it heavy."""
    if span.kind == "point":
        if not line.start <= span.first_at <= line.end:
            return _outside(span.first_at < line.start, width)
        column = min(line.column(span.first_at, width), width - 1)
        return _filled([(" " * column, "plain"), (_POINT, "muted")], column + 1, width)
    found = pieces(span, line, width * 2)
    if not found and not line.start <= span.first_at < line.end:
        return _outside(span.first_at < line.start, width)
    return _joined(_cells(found, width, STATUS_TONES[span.status], _HEAVY if critical else _LIGHT))


def _cells(found: list[Piece], width: int, tone: str, strokes: str) -> Iterator[Part]:
    """Yield the cells of a bar. Its pieces are in halves of cells."""
    halves = [""] * (width * 2)
    for piece in found:
        halves[piece.start : piece.end] = [piece.kind] * (piece.end - piece.start)
    ends = {(piece.end - 1) // 2 for piece in found if piece.kind == "lost" and not piece.is_cut}
    for cell in range(width):
        left, right = halves[cell * 2 : cell * 2 + 2]
        works = [one for one in (left, right) if one in ("run", "lost")]
        if cell in ends:
            yield _LOST, "bad"
        elif works:
            sign = strokes[0] if len(works) == 2 else strokes[1] if left == works[0] else strokes[2]
            yield sign, "bad" if works[0] == "lost" else tone
        elif left or right:
            yield _WAIT, "guide"
        else:
            yield " ", "plain"


def _joined(cells: Iterator[Part]) -> list[Part]:
    """Return the cells as few parts: each style change costs bytes."""
    return [("".join(sign for sign, _ in run), tone) for tone, run in groupby(cells, lambda cell: cell[1])]


def _outside(before: bool, width: int) -> list[Part]:
    """Return an arrow for a bar outside the visible time."""
    blank = (" " * (width - 1), "plain")
    return [(_BEFORE, "muted"), blank] if before else [blank, (_AFTER, "muted")]


def group_bar(group: Group, line: Timeline, width: int) -> list[Part]:
    """Return a bar from the start of the first span to the end of the last."""
    if group.last_at < line.start or group.first_at > line.end:
        return _outside(group.last_at < line.start, width)
    first = min(line.column(group.first_at, width), width - 1)
    last = max(line.column(group.last_at, width), first + 1)
    return _filled([(" " * first, "plain"), ("╍" * (last - first), "ok")], last, width)


def _filled(parts: list[Part], at: int, width: int) -> list[Part]:
    return [*parts, (" " * (width - at), "plain")] if at < width else parts


def axis(line: Timeline, width: int, origin: int | None = None, times: Times = _TIMES) -> str:
    """Return the time axis in `width` columns: its start, its end, and ≈ at each collapsed gap.

    Args:
        line: the time scale.
        width: terminal columns.
        origin: microseconds since 1970; relative labels count from here. None counts from the start of the line.
        times: the way to write moments.
    """
    cells = list(" " * width)
    for start, end in line.gaps:
        cells[min(width - 1, (line.column(start, width) + line.column(end, width)) // 2)] = _GAP
    first, last = _ends(line, origin, times)
    labels = [(0, first)]
    if width >= len(first) + len(last) + 2:
        labels.append((width - len(last), last))
    for column, label in labels:
        cells[column : column + len(label)] = label
    return "".join(cells[:width])


def _ends(line: Timeline, origin: int | None, times: Times) -> tuple[str, str]:
    if times.mode != "relative":
        return times.of_day(line.start, line.start), times.of_day(line.end, line.start)
    if origin is None:
        return "0", duration(line.end - line.start)
    first, last = (f"+{duration(max(0, at - origin))}" for at in (line.start, line.end))
    return first, last
