"""Let a signal end a long call into a library. Otherwise the signal waits until the call returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["interruptibly"]

_MOMENT: Final = 1.0  # seconds for an interrupted call to end
_T = TypeVar("_T")


def interruptibly(work: Callable[[], _T], interrupt: Callable[[], None]) -> _T:
    """Return the result of `work`. In the main thread, an exception from a signal handler calls `interrupt`.

    Python runs signal handlers only in the main thread, between its own instructions. So the main thread waits, and
    another thread works. Raises the exception of the work or of the signal handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            errors.append(error)

    thread = threading.Thread(target=run, name="sagatrace-call", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        interrupt()
        thread.join(_MOMENT)
        raise
    if errors:
        raise errors[0]
    return results[0]
