"""A span's bar in the waterfall: its wait, its attempts and the pauses between them, as parts of a row. Pure."""

from __future__ import annotations

from collections.abc import Sequence
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
_RUN: Final = "━"
_LOST: Final = "×"  # where an attempt failed: a sign, for those who see no colours
_POINT: Final = "•"
_GAP: Final = "≈"


def span_bar(span: Span, line: Timeline, width: int) -> list[Part]:
    """Exactly `width` columns."""
    if span.kind == "point":
        column = min(line.column(span.first_at, width), width - 1)
        return _filled([(" " * column, "plain"), (_POINT, "muted")], column + 1, width)
    tone = STATUS_TONES[span.status]
    parts: list[Part] = []
    at = 0
    for piece in pieces(span, line, width):
        if piece.start > at:
            parts.append((" " * (piece.start - at), "plain"))
        parts += _drawn(piece, tone)
        at = piece.end
    return _filled(parts, at, width)


def _drawn(piece: Piece, tone: str) -> list[Part]:
    columns = piece.end - piece.start
    if piece.kind == "run":
        return [(_RUN * columns, tone)]
    if piece.kind == "lost":
        return [(_RUN * (columns - 1) + _LOST, "bad")]
    return [(_WAIT * columns, "guide")]


def group_bar(group: Group, line: Timeline, width: int) -> list[Part]:
    """From the first of them to the last."""
    first = min(line.column(group.first_at, width), width - 1)
    last = max(line.column(group.last_at, width), first + 1)
    return _filled([(" " * first, "plain"), ("╍" * (last - first), "ok")], last, width)


def _filled(parts: list[Part], at: int, width: int) -> list[Part]:
    return [*parts, (" " * (width - at), "plain")] if at < width else parts


def axis(line: Timeline, width: int, times: Times = _TIMES) -> str:
    """Where the start, the middle and the end are; gaps drawn short are marked ≈."""
    cells = list(" " * width)
    total = line.end - line.start
    for start, end in line.gaps:
        cells[min(width - 1, (line.column(start, width) + line.column(end, width)) // 2)] = _GAP
    is_relative = times.mode == "relative"
    start_label = "0" if is_relative else times.of_day(line.start, line.start)
    labels: Sequence[tuple[int, str]] = [(0, start_label)]
    end_label = duration(total) if is_relative else times.of_day(line.end, line.start)
    if width >= len(start_label) + len(end_label) + 2:
        labels = [*labels, (width - len(end_label), end_label)]
    for column, label in labels:
        cells[column : column + len(label)] = label
    return "".join(cells[:width])
