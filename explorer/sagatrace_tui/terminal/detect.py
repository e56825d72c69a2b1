"""The abilities of the terminal, from the environment and terminfo: characters, colours, background, clipboard."""

from __future__ import annotations

import curses
import locale
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

__all__ = ["ASK_BACKGROUND", "Terminal", "clipboard_envelopes", "detect", "is_light"]

Multiplexer = Literal["", "tmux", "screen", "either"]

LARGEST_COPY: Final = 74_000
"""The most characters of base64 in one copy: xterm's limit, which is the smallest of all terminals with a limit."""
_SCREEN_CHUNK: Final = 700  # GNU screen drops a string of more than 768 bytes
_COERCED: Final = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})
_EVERY_COLOR: Final = re.compile("(?:xterm-)?(?:alacritty|contour|foot|ghostty|kitty|rio|wezterm)|.*-direct")
"""Terminals with 24-bit colours. Their terminfo entries claim fewer, or are not installed on the remote machine."""
_DIRECT: Final = 1 << 24
_LEAST: Final = 8  # colours; a terminal with fewer, such as vt100, has none in terminfo

ASK_BACKGROUND: Final = "\x1b]11;?\x1b\\"
"""The question for the colour of the background (OSC 11)."""
_BACKGROUND: Final = re.compile(r"11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})(?:/[0-9a-fA-F]+)?")


class Terminal(msgspec.Struct, frozen=True):
    """The abilities of a terminal.

    Attributes:
        name: TERM.
        ascii_only: Whether it shows ASCII only.
        colors: 0 (NO_COLOR, or a terminal without), 16, 256 or 16 777 216.
        light: Whether its background is light.
        bce: Whether erased cells take the current background.
        multiplexer: The program between the app and the terminal.
        copies: Whether it may set a clipboard.
        theme: The theme that the environment asks for, or "".
        few_signs: Whether its font has only 256 or 512 signs.
        asks_background: Whether to ask it for its background, as the environment does not say.
    """

    name: str
    ascii_only: bool
    colors: int
    light: bool
    bce: bool
    multiplexer: Multiplexer
    copies: bool
    theme: str = ""
    few_signs: bool = False
    asks_background: bool = False

    @property
    def delays_escape(self) -> bool:
        """Whether the next key may come together with Esc, as from GNU screen while it reports the mouse."""
        return self.multiplexer in ("screen", "either")

    @property
    def holds_mouse(self) -> bool:
        """Whether the app takes the mouse at its start. In GNU screen, Esc would then wait for the next key."""
        return self.multiplexer != "screen"


def detect(env: Mapping[str, str]) -> Terminal:
    """Return the terminal that the environment describes."""
    name = env.get("TERM", "")
    multiplexer, described = _multiplexer(env, name), _is_described(name)
    is_simple = name in ("linux", "vt100", "vt220")
    return Terminal(
        name=name,
        ascii_only=_ascii_only(env),
        colors=_colors(env, name, described=described),
        light=_light(env),
        bce=described and curses.tigetflag("bce") > 0,
        multiplexer=multiplexer,
        copies=not is_simple and env.get("TERM_PROGRAM") != "Apple_Terminal",
        theme=env.get("SAGATRACE_THEME", "").strip(),
        few_signs=name == "linux",
        asks_background=not is_simple and multiplexer in ("", "tmux") and "COLORFGBG" not in env,
    )


def _ascii_only(env: Mapping[str, str]) -> bool:
    if sys.flags.utf8_mode and "PYTHONUTF8" not in env and (env.get("LC_ALL") or env.get("LC_CTYPE")) in _COERCED:
        return not env.get("LC_ALL")  # Python chose UTF-8: the locale was C or POSIX
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:  # not installed here; its name still holds the character set
        name = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG", "")
        return "utf" not in name.lower()
    return "utf" not in locale.nl_langinfo(locale.CODESET).lower()


def _colors(env: Mapping[str, str], name: str, *, described: bool) -> int:
    if env.get("NO_COLOR"):
        return 0
    if env.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return _DIRECT
    # SSH always carries TERM, but COLORTERM only if both ends are configured to.
    if _EVERY_COLOR.match(name):
        return _DIRECT
    known = curses.tigetnum("colors") if described else 0
    if described and (curses.tigetflag("RGB") > 0 or curses.tigetflag("Tc") > 0 or known >= _DIRECT):
        return _DIRECT
    if known >= 256 or name.endswith("-256color"):
        return 256
    return 0 if described and known < _LEAST else 16


def _light(env: Mapping[str, str]) -> bool:
    """Return whether COLORFGBG names a light background. It is `15;0` or `0;default;15`, background last."""
    return env.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")


def is_light(reply: str) -> bool | None:
    """Return whether an answer to `ASK_BACKGROUND` names a light colour; None for any other answer."""
    match = _BACKGROUND.fullmatch(reply)
    if match is None:
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in match.groups())
    return bool(0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5)


def _is_described(name: str) -> bool:
    """Return whether terminfo knows the terminal. Load its entry."""
    try:
        curses.setupterm(name or "dumb", 1)
    except curses.error:
        return False
    return True


def _multiplexer(env: Mapping[str, str], name: str) -> Multiplexer:
    if name.startswith("tmux"):
        return "tmux"
    if env.get("STY"):  # also if screen runs inside tmux, whose variable remains
        return "screen"
    if env.get("TMUX"):
        return "tmux"
    return "either" if name.startswith("screen") else ""


def clipboard_envelopes(sequence: str, terminal: Terminal) -> Iterator[str]:
    """Yield the sequence that sets the clipboard (OSC 52), wrapped for the multiplexer."""
    if terminal.multiplexer != "screen":  # it would draw the end of a long sequence
        yield sequence
    if terminal.multiplexer == "tmux":
        # Plain works with `set-clipboard on`, wrapped with `allow-passthrough on`. Copying twice is harmless.
        yield f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"
    elif terminal.multiplexer:
        chunks = (sequence[at : at + _SCREEN_CHUNK] for at in range(0, len(sequence), _SCREEN_CHUNK))
        yield "".join(f"\x1bP{chunk}\x1b\\" for chunk in chunks)
