"""Replace the app's signs by ASCII, cell for cell, for terminals of another character set. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["plain"]

_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("─═▔╴╶", "-"),
        **dict.fromkeys("━╸╺", "="),
        "◆": "*",
        "◇": "o",
        **dict(zip("▁▂▃▄▅▆▇█", ".:-=+*%#", strict=True)),  # eight heights of a bar, each darker than the one before
        **dict.fromkeys("╌┄░", "."),
        **dict.fromkeys("│┃╎┆║▏▕", "|"),
        **dict.fromkeys("├┌┐└┘┤┬┴┼╭╮╰╯┏┓┗┛┣┫╞╡", "+"),
        "▓": "#",
        **dict.fromkeys("▌▐▍▎▊▋▉", ">"),
        **dict.fromkeys("▒▀", "="),
        "✔": "+",
        "✘": "x",
        "▶": ">",
        "▸": ">",
        "▾": "v",
        "▴": "^",
        "◌": "o",
        "●": "*",
        "■": "#",
        "⊘": "/",
        "↯": "%",
        "•": ".",
        "·": "-",
        "×": "x",
        "…": "~",
        "⋯": "~",
        "—": "-",
        "–": "-",
        "→": ">",
        "←": "<",
        "↑": "^",
        "↓": "v",
        "↩": "<",
        "↺": "<",
        "↕": "|",
        "⚠": "!",
        "µ": "u",
        "≈": "~",
        "⟨": "<",
        "⟩": ">",
    }
)


def plain(cells: Iterable[str]) -> str:
    """Return the cells in ASCII. The second half of a wide sign becomes a blank, an unknown sign `?`."""
    drawn = "".join(cell[:1] or " " for cell in cells).translate(_SIGNS)
    return drawn if drawn.isascii() else "".join(sign if sign.isascii() else "?" for sign in drawn)
