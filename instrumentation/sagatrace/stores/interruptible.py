"""Run long calls into a library in another thread: to let a signal end them, or to work meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from queue import Empty, Queue
from typing import Final, Generic, TypeVar

__all__ = ["interruptibly", "read_ahead"]

_MOMENT: Final = 1.0  # seconds for an interrupted call to end
_T = TypeVar("_T")


class _Call(Generic[_T]):
    """Work in a thread of its own, which does not keep the process from ending."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self._results: list[_T] = []
        self._errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, args=(work,), name="sagatrace-call", daemon=True)
        self.thread.start()

    def _run(self, work: Callable[[], _T]) -> None:
        try:
            self._results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            self._errors.append(error)

    def result(self) -> _T:
        """Wait for the result. Raises the exception of the work."""
        self.thread.join()
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def interruptibly(work: Callable[[], _T], interrupt: Callable[[], None]) -> _T:
    """Return the result of `work`. In the main thread, an exception from a signal handler calls `interrupt`.

    Python runs signal handlers only in the main thread, between its own instructions. So the main thread waits, and
    another thread works. Raises the exception of the work or of the signal handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    call = _Call(work)
    try:
        call.thread.join()
    except BaseException:
        interrupt()
        call.thread.join(_MOMENT)
        raise
    return call.result()


def read_ahead(parts: Iterator[_T]) -> Generator[_T, None, None]:
    """Yield the parts. Another thread reads up to two more while the caller uses one. Close it after use."""
    read: Queue[tuple[_T] | BaseException | None] = Queue(maxsize=1)
    is_closed = threading.Event()

    def work() -> None:
        end: BaseException | None = None
        try:
            for part in parts:
                read.put((part,))
                if is_closed.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            end = error
        read.put(end)

    thread = threading.Thread(target=work, name="sagatrace-read-ahead", daemon=True)
    thread.start()
    try:
        while isinstance(found := read.get(), tuple):
            yield found[0]
        if found is not None:
            raise found
    finally:
        is_closed.set()
        with suppress(Empty):
            read.get_nowait()  # let the thread go on if it waits for room
        thread.join()  # it may still use what the caller closes next
