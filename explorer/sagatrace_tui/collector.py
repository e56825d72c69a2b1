"""Pause the cyclic garbage collector. Its passes double the time to build a trace, and stop every thread."""

from __future__ import annotations

import gc
from threading import Lock

__all__ = ["CollectorPaused", "pause_collector", "resume_collector"]

_lock = Lock()
_pauses = 0
_was_enabled = True


def pause_collector() -> None:
    """Pause the collector until `resume_collector`. Pauses of several threads may overlap."""
    global _pauses, _was_enabled
    with _lock:
        if not _pauses:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pauses += 1


def resume_collector() -> None:
    """End one pause. After the last, the collector is as it was before the first. Does nothing without a pause."""
    global _pauses
    with _lock:
        if _pauses == 1 and _was_enabled:
            gc.enable()
        _pauses = max(0, _pauses - 1)


class CollectorPaused:
    """Pause the collector within a block."""

    def __enter__(self) -> None:
        pause_collector()

    def __exit__(self, *_: object) -> None:
        resume_collector()
