"""The number of random examples in a run: a part by default, all with `--heavy`."""

from __future__ import annotations

__all__ = ["examples", "play_all"]

_all = False


def play_all(wanted: bool) -> None:
    """Let `examples` return the larger of its numbers, for `--heavy`."""
    global _all
    _all = wanted


def examples(some: int, heavy: int) -> int:
    """Return the number of examples of a test. It is called during collection, before fixtures exist."""
    return heavy if _all else some
