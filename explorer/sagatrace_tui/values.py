"""A decoded JSON value as lines to read: bounded in lines and width of text, with what was cut said. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sagatrace_tui.labels import inert, plural

__all__ = ["MAX_DEPTH", "MAX_LINES", "MAX_TEXT", "text_lines", "value_lines"]

MAX_LINES: Final = 200
MAX_TEXT: Final = 400
MAX_DEPTH: Final = 12


def value_lines(value: Any, *, max_lines: int = MAX_LINES, max_text: int = MAX_TEXT) -> list[tuple[str, str]]:
    """The value as (what leads up to it, the value) pairs, one a line: indentation and key, then the scalar."""
    found = _lines("", "", value, 0, max_text)
    lines = list(islice(found, max_lines))
    if len(lines) == max_lines and (rest := sum(1 for _ in islice(found, 1_000_000))):
        lines.append(("", f"… [{plural(rest, 'more line')}]"))
    return lines


def text_lines(text: str, *, max_lines: int, max_text: int = MAX_TEXT) -> list[str]:
    """The end of a long text, as of a traceback, line by line; what was cut is said first."""
    # The bound on characters comes first: a text of one endless line must not be walked through.
    tail = text[-max_lines * max_text :]
    lines = [inert(line, max_text, lines=True) for line in tail.splitlines()]
    if len(tail) < len(text) or len(lines) > max_lines:
        return [f"[cut: the end of {len(text):,} characters] …", *lines[-max_lines:]]
    return lines


def _lines(indent: str, lead: str, value: Any, depth: int, max_text: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, (dict, list)) and value:
        if depth >= MAX_DEPTH:
            yield indent + lead, f"… [{plural(len(value), 'value')}, nested too deep to show]"
            return
        if lead:
            yield (indent + lead).rstrip(), ""
            indent += "  "
        if isinstance(value, dict):
            for key, item in value.items():
                yield from _lines(indent, f"{inert(str(key), 80)}: ", item, depth + 1, max_text)
        else:
            for item in value:
                yield from _lines(indent, "- ", item, depth + 1, max_text)
    elif isinstance(value, str) and "\n" in value[:max_text]:
        yield (indent + lead).rstrip(), ""
        for line in inert(value, max_text, lines=True).split("\n"):
            yield indent + "  ", line
    else:
        yield indent + lead, _scalar(value, max_text)


def _scalar(value: Any, max_text: int) -> str:
    if isinstance(value, str):
        return inert(value, max_text) if value else '""'
    return inert(json.dumps(value, ensure_ascii=False), max_text)
