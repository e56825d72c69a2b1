"""Lay out a decoded JSON value, or a long text, as lines. Values fold. Each cut is marked. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
from rich.cells import cell_len

from sagatrace_tui.labels import inert, plural

__all__ = ["MAX_LINES", "MAX_TEXT", "Path", "ValueLine", "as_text", "text_lines", "value_lines", "wrapped"]

MAX_LINES: Final = 400
MAX_TEXT: Final = 400
MAX_DEPTH: Final = 24
OPEN_DEPTH: Final = 4
"""The levels that are unfolded initially."""

Path = tuple[str | int, ...]


class ValueLine(msgspec.Struct, frozen=True):
    """One line of a value.

    Attributes:
        lead: indentation and key.
        text: the value, or a note in its place.
        path: the keys that lead to the value.
        value: the whole value.
        has_more: whether the line can be folded.
        is_folded: whether it is folded.
        is_cut: whether the text is only a part of the value.
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
    """Return the value as lines. `toggled` are the paths that the reader folded or unfolded."""
    found = _lines((), "", value, 0, set(toggled), max_text)
    lines = list(islice(found, max_lines))
    if len(lines) == max_lines and (rest := sum(1 for _ in islice(found, 100_000))):
        lines.append(ValueLine("", f"… [{plural(rest, 'more line')}, Enter shows all]", (), value, is_cut=True))
    return lines


def text_lines(text: str, *, max_lines: int, max_text: int = MAX_TEXT) -> list[str]:
    """Return the end of a long text, such as a traceback, as lines. The first line marks a cut."""
    # First bound the characters: a single line may be huge.
    tail = text[-max_lines * max_text :]
    lines = [inert(line, max_text, lines=True) for line in tail.splitlines()]
    if len(tail) < len(text) or len(lines) > max_lines:
        return [f"[cut: the end of {len(text):,} characters] …", *lines[-max_lines:]]
    return lines


def as_text(value: Any) -> str:
    """Return a value as text: a text unchanged, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield inert text in lines of at most `width` columns."""
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
    """Do the same as `_wrapped_ascii` for signs of any width."""
    start = columns = blank = 0
    for place, sign in enumerate(line):
        own = cell_len(sign)
        if columns + own > width:
            end = blank if blank > start and cell_len(line[start:blank]) >= width // 2 else place
            yield line[start:end]
            start = end + (end == blank)
            columns = cell_len(line[start:place])
        if sign == " ":
            blank = place
        columns += own
    yield line[start:]


def _wrapped_ascii(line: str, width: int) -> Iterator[str]:
    """Break at a blank if there is one near the end of a line."""
    start = 0
    while len(line) - start > width:
        blank = line.rfind(" ", start + width // 2, start + width + 1)
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
