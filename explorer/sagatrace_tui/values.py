"""A decoded JSON value as lines to read, foldable and bounded, with what was cut said; and text in lines. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from rich.cells import cell_len

from sagatrace_tui.labels import inert, plural

__all__ = ["MAX_LINES", "MAX_TEXT", "Path", "ValueLine", "as_text", "text_lines", "value_lines", "wrapped"]

MAX_LINES: Final = 400
MAX_TEXT: Final = 400
MAX_DEPTH: Final = 24
OPEN_DEPTH: Final = 4
"""Levels shown unfolded at first."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ValueLine:
    """One line: `lead` is indentation and key, `text` the value or what stands for it; `value` is all of it.

    `has_more` says that it can be folded; `is_cut` that the text is not all of the value.
    """

    lead: str
    text: str
    path: Path
    value: Any
    has_more: bool = False
    is_folded: bool = False
    is_cut: bool = False


def value_lines(
    value: Any, *, toggled: Collection[Path] = (), max_lines: int = MAX_LINES, max_text: int = MAX_TEXT
) -> list[ValueLine]:
    """The value line by line; `toggled` are the paths that are not as at first, folded or unfolded."""
    found = _lines((), "", value, 0, set(toggled), max_text)
    lines = list(islice(found, max_lines))
    if len(lines) == max_lines and (rest := sum(1 for _ in islice(found, 100_000))):
        lines.append(ValueLine("", f"… [{plural(rest, 'more line')}, Enter shows all]", (), value, is_cut=True))
    return lines


def text_lines(text: str, *, max_lines: int, max_text: int = MAX_TEXT) -> list[str]:
    """The end of a long text, as of a traceback, line by line; what was cut is said first."""
    # The bound on characters comes first: a text of one endless line must not be walked through.
    tail = text[-max_lines * max_text :]
    lines = [inert(line, max_text, lines=True) for line in tail.splitlines()]
    if len(tail) < len(text) or len(lines) > max_lines:
        return [f"[cut: the end of {len(text):,} characters] …", *lines[-max_lines:]]
    return lines


def as_text(value: Any) -> str:
    """A value to copy or to read whole: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Inert text in lines of at most `width` columns, cut wherever one is full."""
    width = max(2, width)
    for line in text.split("\n"):
        if cell_len(line) <= width:
            yield line
            continue
        if line.isascii():
            yield from _wrapped_ascii(line, width)
            continue
        yield from _wrapped_any(line, width)


def _wrapped_any(line: str, width: int) -> Iterator[str]:
    """As `_wrapped_ascii`, where signs may be of any width."""
    start = columns = blank = 0
    for place, sign in enumerate(line):
        own = cell_len(sign)
        if columns + own > width:
            end = blank if blank > start and cell_len(line[start:blank]) >= width * 2 // 3 else place
            yield line[start:end]
            start = end + (end == blank)
            columns = cell_len(line[start:place])
        if sign == " ":
            blank = place
        columns += own
    yield line[start:]


def _wrapped_ascii(line: str, width: int) -> Iterator[str]:
    """Broken at a blank, where one is near the end of a line."""
    start = 0
    while len(line) - start > width:
        blank = line.rfind(" ", start + width * 2 // 3, start + width + 1)
        end = blank if blank > 0 else start + width
        yield line[start:end]
        start = end + (blank > 0)
    yield line[start:]


def _lines(
    path: Path, lead: str, value: Any, depth: int, toggled: Collection[Path], max_text: int
) -> Iterator[ValueLine]:
    indent = "  " * max(0, depth - 1)
    if isinstance(value, (dict, list)) and value:
        is_folded = bool(path) and ((depth > OPEN_DEPTH) != (path in toggled))
        if depth > MAX_DEPTH:
            note = f"… [{plural(len(value), 'value')}, nested too deep to show, Enter opens]"
            yield ValueLine(indent + lead, note, path, value, is_cut=True)
            return
        if path:
            note = plural(len(value), "value") if is_folded else ""
            yield ValueLine(indent + lead, note, path, value, has_more=True, is_folded=is_folded)
        if not is_folded:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                own = f"{inert(str(key), 80)}: " if isinstance(value, dict) else "- "
                yield from _lines((*path, key), own, item, depth + 1, toggled, max_text)
    elif isinstance(value, str) and "\n" in value[:max_text]:
        yield ValueLine((indent + lead).rstrip(), "", path, value)
        for line in inert(value, max_text, lines=True).split("\n"):
            yield ValueLine(indent + "  ", line, path, value, is_cut=len(value) > max_text)
    else:
        yield ValueLine(indent + lead, _scalar(value, max_text), path, value, is_cut=_length(value) > max_text)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


def _scalar(value: Any, max_text: int) -> str:
    if isinstance(value, str):
        return inert(value, max_text) if value else '""'
    return inert(json.dumps(value, ensure_ascii=False), max_text)
