"""Keys and reports of the mouse, as control sequences that Textual's parser can read. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["REPORT", "key_sequences", "mouse_sequence", "sgr_mouse"]

REPORT: Final = re.compile(
    r"[IO]"  # focus
    r"|\?\d{1,5};[0-4]\$y"  # of a mode
    r"|[1-9]\d{0,4};[1-9]\d{0,4}R"  # of the cursor's place
    r"|48;[1-9]\d{0,2};[1-9]\d{0,3};[1-9]\d{0,4};[1-9]\d{0,4}t"  # of the size
)
"""Other reports of a terminal, after ESC and [."""
_SGR: Final = re.compile(r"<(\d{1,3});([1-9]\d{0,4});([1-9]\d{0,4})")
_URXVT: Final = re.compile(r"(\d{1,3});([1-9]\d{0,4});([1-9]\d{0,4})")
_FIELD: Final = re.compile(r"\d{0,7}(?::\d{0,7})*")
_NAMELESS: Final = frozenset("abcdGZ")  # keys of other terminals, without numbers
_LARGEST: Final = 0x10FFFF
_BUTTONS: Final = 128  # higher buttons have no use here


def mouse_sequence(params: str, final: str) -> str | None:
    """Return a report of the mouse in the coding SGR; None for other sequences and unused buttons."""
    if final in "Mm" and (match := _SGR.fullmatch(params)):
        return f"\x1b[{params}{final}" if int(match[1]) < _BUTTONS else None
    if final == "M" and (match := _URXVT.fullmatch(params)):
        button = int(match[1]) - 32
        return sgr_mouse(button, int(match[2]), int(match[3])) if 0 <= button < _BUTTONS else None
    return None


def sgr_mouse(button: int, column: int, row: int, released: int = 0) -> str:
    """Return a report in the coding SGR. The older codings do not say which button was `released`."""
    if button & 3 == 3 and not button & 96:
        return f"\x1b[<{button & ~3 | released};{column};{row}m"
    return f"\x1b[<{button};{column};{row}M"


def key_sequences(params: str, final: str) -> str | None:
    """Return a key as one sequence for each character that it types; None if it is not a key.

    The kitty keyboard protocol adds the character with Shift, which is the one that the key types. It also reports the
    release of a key, for which the result is empty.
    """
    if final in _NAMELESS and params in ("", "1;2"):
        return f"\x1b[{final}"
    fields = params.split(";")
    if final not in "u~ABCDEFHPQRS" or len(fields) > 3 or not all(map(_FIELD.fullmatch, fields)):
        return None
    code, _, shifted = fields[0].partition(":")
    modifiers, _, event = (*fields[1:2], "")[0].partition(":")
    if not _is_character(int(code or "1")) or int(modifiers or "1") not in range(1, 257):
        return None
    if event.partition(":")[0] == "3":
        return ""
    start = f"\x1b[{code}{f';{modifiers}' if len(fields) > 1 else ''}"
    typed = [int(text) for text in (*fields[2:], "")[0].split(":") if text]
    if modifiers == "2" and not typed and (shifted := shifted.partition(":")[0]):
        typed = [int(shifted)]
    if not typed:
        return start + final
    if not all(map(_is_text, typed)):
        return None
    return "".join(f"{start};{text}{final}" for text in typed)


def _is_character(code: int) -> bool:
    return code <= _LARGEST and not 0xD800 <= code <= 0xDFFF


def _is_text(code: int) -> bool:
    return _is_character(code) and code >= 0x20 and not 0x7F <= code <= 0x9F
