"""The number of random examples in a run: a part by default, all with `--heavy`, few with `--light`."""

from __future__ import annotations

from typing import Literal

__all__ = ["FEW", "choose", "examples"]

Scale = Literal["light", "", "heavy"]
FEW = 10
"""Examples of a test with `--light`, if it names no number itself."""

_scale: Scale = ""


def choose(scale: Scale) -> None:
    """Let `examples` return the larger of its numbers, or a tenth of the smaller one."""
    global _scale
    _scale = scale


def examples(some: int, heavy: int) -> int:
    """Return the number of examples of a test. It is called during collection, before fixtures exist."""
    return heavy if _scale == "heavy" else max(FEW, some // 10) if _scale == "light" else some
