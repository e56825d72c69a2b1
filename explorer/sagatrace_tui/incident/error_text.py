"""The shape of an error: its text without values, such as ids, that differ between failures of one kind."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["VALUE", "shape_of"]

VALUE: Final = "…"
"""The replacement for a value."""
_MOST: Final = 2_000  # characters read of a text
# These errors of Python quote names in the code, which distinguish two faults.
_OF_CODE: Final = frozenset(
    {"AttributeError", "ImportError", "KeyError", "ModuleNotFoundError", "NameError", "TypeError", "UnboundLocalError"}
)
_STACK: Final = re.compile(
    r'(?m)^[ \t]*File ".*", line \d+.*$(?:\n[ \t]{4,}\S.*$)*'  # Python, with the lines of code
    r"|^[ \t]+at \S.*$"  # Java, JavaScript
    r"|^Traceback \(most recent call last\):|^[ \t]*[\^~]+[ \t]*$"
)
_SIGN: Final = r"[\w@/\\.:+%$€£\#~-]"
_SIGNS: Final = rf"(?:{_SIGN}|(?<=\d),(?=\d))*"
# Each part begins at a word or has a bounded length, so that a very long word stays fast.
_PARTS: Final = re.compile(
    rf"""
    (?P<code>\b(?:http(?:/[\d.]+)?|status|code|errno|error|exit|signal|sqlstate|rc)\b["']?[\s:=\#(\[]{{0,3}}\d{{1,5}}\b(?![.,:/-]\w))
    |(?P<url>\b[a-z][a-z0-9+.-]{{0,30}}://[^\s"'<>]+)
    |(?P<mail>[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}})+{_SIGNS})
    |(?P<id>\b[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\b{_SIGNS}|\[(?=[^\]]{{0,64}}:)[0-9a-f:.]+\](?::\d+)?)
    |(?P<quoted>(?<!\w)'[^'\n]*'(?!\w)|"[^"\n]*"|`[^`\n]*`|«[^»\n]*»|“[^”\n]*”|‘[^’\n]*’)
    |(?P<value>(?<!{_SIGN}){_SIGNS}\d{_SIGNS}|\b[0-9a-f]{{8,}}\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_RUN: Final = re.compile(rf"{VALUE}(?:[ ,;]{{1,2}}{VALUE})+")


def shape_of(text: str, error_type: str | None = None) -> str:
    """Return the text with … in place of ids, numbers, dates, addresses and quoted parts, and without stack lines.

    Codes stay, like `HTTP 404` or `errno 2`. Quoted names stay in Python's errors about the code, like `KeyError`. A
    text that consists of one quoted part stays. `error_type` is the type of the error, if known.
    """
    line = " ".join(_STACK.sub("", text[:_MOST]).split())
    of_code = (error_type or "").rpartition(".")[2] in _OF_CODE

    def replaced(match: re.Match[str]) -> str:
        found = match[0]
        if match.lastgroup == "code":
            return found.lower()
        if match.lastgroup == "quoted" and of_code and not re.search(r"\d", found):
            return found
        if match.lastgroup in ("value", "mail", "id"):
            kept = found.rstrip(".:-/+")
            return VALUE + found[len(kept) :]
        return VALUE

    shape = _RUN.sub(VALUE, _PARTS.sub(replaced, line))
    return line if shape == VALUE and line[:1] in "'\"`«“‘" and not re.search(r"\d", line) else shape
