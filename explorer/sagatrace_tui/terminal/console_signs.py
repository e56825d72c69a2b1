"""Replace the app's signs by signs of a Linux console's font, cell for cell. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sagatrace_tui.terminal.plain_signs import plain

__all__ = ["few"]

_HAS: Final = frozenset(
    {*bytes(range(128, 255)).decode("cp437"), *map(chr, range(0xA1, 0x100)), *"•►◄▲▼↕↑↓→←"} - {"\xad"}
)
_NEAREST: Final = str.maketrans("━╸╺╴╶┃╍═▶▸▾▴●✔✘↩", "═══──║─═►►▼▲•√x←")


def few(cells: Iterable[str]) -> str:
    """Return the cells in the nearest signs of code page 437 or Latin-1, else in ASCII."""
    return "".join(map(_sign, cells))


def _sign(cell: str) -> str:
    sign = cell[:1].translate(_NEAREST)
    return sign if sign in _HAS else plain([cell if sign == cell[:1] else sign])
