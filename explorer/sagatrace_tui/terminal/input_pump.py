"""A thread between the terminal and Textual's reader that passes on only well-formed input."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from sagatrace.shown import logger
from sagatrace_tui.terminal.input_filter import InputFilter

__all__ = ["InputPump"]

log: Final = logger("sagatrace")


class InputPump:
    """Read the descriptor `terminal`. The descriptor `outlet` gives filtered input; `reply` gets each answer (OSC).

    With `delays_escape`, Esc may come together with the next key.
    """

    def __init__(self, terminal: int, reply: Callable[[str], None], *, delays_escape: bool = False) -> None:
        self._terminal, self._reply = terminal, reply
        self._filter = InputFilter(delays_escape=delays_escape)
        self.outlet, self._inlet = os.pipe()
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name="sagatrace-input", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.outlet)  # ends a write that waits for room
        os.close(self._stop)
        self._thread.join()
        os.close(self._inlet)
        os.close(self._stopped)
        if self._filter.dropped:
            log.info("%d malformed sequences came from the terminal", self._filter.dropped)

    def _run(self) -> None:
        try:
            while self._pass_on():
                pass
        except BrokenPipeError:  # Textual reads no more
            log.debug("input ended while a part of it was passed on")
        except Exception:  # without this thread no key would arrive, not even the one that quits
            log.exception("the input cannot be read any more")
            os.kill(os.getpid(), signal.SIGHUP)

    def _pass_on(self) -> bool:
        deadline = self._filter.deadline
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self._terminal, self._stopped], [], [], wait)
        if self._stopped in ready:
            return False
        if not ready:
            self._write(self._filter.tick())
            return True
        try:
            data = os.read(self._terminal, 4096)
        except OSError as error:
            log.info("the terminal cannot be read: %s", error)
            data = b""
        if not data:  # the terminal is gone: end as on SIGHUP, which may not come
            os.kill(os.getpid(), signal.SIGHUP)
            return False
        self._write(self._filter.feed(data))
        while self._filter.replies:
            self._reply(self._filter.replies.pop(0))
        return True

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._inlet, data) :]
