"""What the terminal at hand can do, read from the environment: characters, colours, background, clipboard."""

from __future__ import annotations

import curses
import locale
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Terminal", "clipboard_envelopes", "detect"]

Multiplexer = Literal["", "tmux", "screen", "either"]

LARGEST_COPY: Final = 74_000
"""Characters of base64 that terminals take at once: xterm's limit, and the smallest of those that have one."""
_SCREEN_CHUNK: Final = 700  # GNU screen drops a string of more than 768 bytes
_COERCED: Final = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})


@dataclass(frozen=True, slots=True)
class Terminal:
    """`colors` is 0 (NO_COLOR), 16, 256 or 16 777 216. `copies` says whether a clipboard may be within reach."""

    name: str
    ascii_only: bool
    colors: int
    light: bool
    bce: bool
    multiplexer: Multiplexer
    copies: bool


def detect(env: Mapping[str, str]) -> Terminal:
    """The terminal that the environment describes."""
    name = env.get("TERM", "")
    return Terminal(
        name=name,
        ascii_only=_ascii_only(env),
        colors=_colors(env, name),
        light=_light(env),
        bce=_bce(name),
        multiplexer=_multiplexer(env, name),
        copies=name not in ("linux", "vt100", "vt220") and env.get("TERM_PROGRAM") != "Apple_Terminal",
    )


def _ascii_only(env: Mapping[str, str]) -> bool:
    if sys.flags.utf8_mode and "PYTHONUTF8" not in env and (env.get("LC_ALL") or env.get("LC_CTYPE")) in _COERCED:
        return not env.get("LC_ALL")  # Python made it UTF-8 by itself: the locale was C or POSIX
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:  # not installed here; its name still says what the terminal speaks
        told = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG", "")
        return "utf" not in told.lower()
    return "utf" not in locale.nl_langinfo(locale.CODESET).lower()


def _colors(env: Mapping[str, str], name: str) -> int:
    if env.get("NO_COLOR"):
        return 0
    if env.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return 1 << 24
    return 256 if name.endswith(("-256color", "kitty")) else 16


def _light(env: Mapping[str, str]) -> bool:
    """What COLORFGBG says, as `15;0` or `0;default;15`: foreground first, background last."""
    return env.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")


def _bce(name: str) -> bool:
    """Whether the terminal's own description says that erased cells take the background in force."""
    try:
        curses.setupterm(name or "dumb", 1)
    except curses.error:
        return False
    return curses.tigetflag("bce") > 0


def _multiplexer(env: Mapping[str, str], name: str) -> Multiplexer:
    if name.startswith("tmux"):
        return "tmux"
    if env.get("STY"):  # also inside of tmux, whose variable is still there
        return "screen"
    if env.get("TMUX"):
        return "tmux"
    return "either" if name.startswith("screen") else ""


def clipboard_envelopes(sequence: str, terminal: Terminal) -> Iterator[str]:
    """The sequence that sets the clipboard (OSC 52), as what is between us and the terminal wants it."""
    if terminal.multiplexer != "screen":  # which would draw the end of a long one
        yield sequence
    if terminal.multiplexer == "tmux":
        # Plain it works with `set-clipboard on`, wrapped with `allow-passthrough on`: twice the same does no harm.
        yield f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"
    elif terminal.multiplexer:
        chunks = (sequence[at : at + _SCREEN_CHUNK] for at in range(0, len(sequence), _SCREEN_CHUNK))
        yield "".join(f"\x1bP{chunk}\x1b\\" for chunk in chunks)
