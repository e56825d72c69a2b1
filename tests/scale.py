"""How much of what is played at random a run plays: a part by default, all of it with `--heavy`."""

from __future__ import annotations

__all__ = ["examples", "play_all"]

_all = False


def play_all(wanted: bool) -> None:
    """Have `examples` return the larger of its numbers, as `--heavy` asks for."""
    global _all
    _all = wanted


def examples(some: int, heavy: int) -> int:
    """Return how many examples a test plays; called while tests are collected, when fixtures are not there yet."""
    return heavy if _all else some
