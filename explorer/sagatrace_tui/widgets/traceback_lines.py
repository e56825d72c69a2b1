"""A traceback as rows for the detail of a span: its last frames and the error. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sagatrace_tui.labels import plural
from sagatrace_tui.values import text_lines, wrapped
from sagatrace_tui.widgets.rows import Part

__all__ = ["traceback_lines"]

_MAX_LINES: Final = 60
_MAX_ROWS: Final = 18
"""Rows of a traceback. Its last frames, the error and the worker then fit on a terminal of 40 lines."""
_FRAME: Final = re.compile(r'(\s*File ")(.*)(", line .*)')
_OF_RQ: Final = re.compile(r'\s*File ".*/(?:site|dist)-packages/rq/(?:\w+/)*\w+\.py", line .*')
_POINTERS: Final = re.compile(r"[ ~^]+")  # the ^^^ lines of a traceback; useless when lines wrap


def traceback_lines(stack: str, width: int) -> list[Part]:
    """Return the rows of a traceback in lines of at most `width` columns. A long traceback loses its first frames."""
    rows = list(_rows(stack, width))
    if len(rows) <= _MAX_ROWS:
        return rows
    return [rows[0], (f"  … {plural(len(rows) - _MAX_ROWS + 2, 'more line')}", "muted"), *rows[2 - _MAX_ROWS :]]


def _rows(stack: str, width: int) -> Iterator[Part]:
    lines = text_lines(stack, max_lines=_MAX_LINES)
    lines, frames = _without_rq(lines)
    for number, line in enumerate(lines):
        if number == 1 and frames:
            yield f"  … {plural(frames, 'frame')} of RQ", "muted"
        # Frame lines are plain, source lines are muted, and the last line is the error.
        is_error = number == len(lines) - 1
        if _POINTERS.fullmatch(line):
            continue
        tone = "bad" if is_error else "muted" if line.startswith("    ") else "plain"
        shown = _frame(line, width)
        indent = " " * (len(shown) - len(shown.lstrip()) + 2)
        for count, part in enumerate(wrapped(shown, width if len(shown) <= width else width - len(indent))):
            yield (indent + part if count else part), tone


def _without_rq(lines: list[str]) -> tuple[list[str], int]:
    """Return the lines without RQ's frames before the job's first frame, and the number of frames removed."""
    starts = [at for at, line in enumerate(lines) if _FRAME.fullmatch(line)]
    own = next((at for at in starts if not _OF_RQ.fullmatch(lines[at])), None)
    if own is None or not starts or starts[0] != 1:
        return lines, 0
    return [lines[0], *lines[own:]], starts.index(own)


def _frame(line: str, width: int) -> str:
    """Return a frame's line that fits `width`. A long path keeps its end, where the file's name is."""
    match = _FRAME.fullmatch(line)
    if match is None or len(line) <= width:
        return line
    lead, path, tail = match.groups()
    room = max(len(path.rpartition("/")[2]) + 1, width - len(lead) - len(tail) - 1)
    kept = path[-room:]
    kept = kept[kept.find("/") :] if "/" in kept else kept
    return f"{lead}…{kept}{tail}" if len(kept) < len(path) - 1 else line
