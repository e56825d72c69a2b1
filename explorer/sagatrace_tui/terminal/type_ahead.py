"""Keys in turn: each waits until the app has handled the key before it, which may have moved the focus.

Textual gives a key to the widget that has the focus when the key arrives. Over a slow connection several keys arrive
at once, so that the keys after an Enter would still go into the line that the Enter leaves.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, wait
from typing import Any, Final

from textual.app import App

__all__ = ["TypeAhead"]

PATIENCE: Final = 0.25
"""Seconds that a key waits for the key before it. Then it goes on: the app may be busy, and this may be Ctrl+C."""
_ROUNDS: Final = 8  # through the queues; what a key leads to mostly needs two


class TypeAhead:
    """Hold a key back while the one before it is on its way. For the thread of keys, beside the app's `loop`."""

    def __init__(self, app: App[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._app, self._loop = app, loop
        self._handled: Future[None] | None = None
        self._deadline = 0.0

    def wait(self) -> None:
        """Wait until the last key is handled, but not longer than `PATIENCE` after it was sent."""
        if self._handled is not None:
            wait((self._handled,), max(0.0, self._deadline - time.monotonic()))

    def sent(self) -> None:
        """A key was sent. While an earlier one is not handled, this one counts as part of it."""
        if self._handled is None or self._handled.done():
            self._handled = asyncio.run_coroutine_threadsafe(self._until_handled(), self._loop)
            self._deadline = time.monotonic() + PATIENCE

    async def _until_handled(self) -> None:
        """Follow a key: from the app up through the focused widget to the app again, and what it posts on the way."""
        before = None
        for _ in range(_ROUNDS):
            if not self._app.screen_stack:
                return
            focused = self._app.focused or self._app.screen
            way = [self._app, *focused.ancestors_with_self]
            waiting = way if focused is not before else [pump for pump in way if pump.message_queue_size]
            if not waiting:
                return
            before = focused
            for pump in waiting:
                reached = asyncio.Event()
                if pump.call_later(reached.set):
                    await reached.wait()
