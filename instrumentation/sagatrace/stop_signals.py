"""End a command on a signal, between two pieces of its work."""

from __future__ import annotations

import signal
import threading

__all__ = ["stop_on_signals"]


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set.

    An exception would be lost if the signal came during a `__del__`, where Python ignores it.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the signal may interrupt this thread while it holds the event's lock.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    return stop
