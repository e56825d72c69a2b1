"""Keys in turn: each waits until the app has handled the key before it, which may have moved the focus.

Textual gives a key to the widget that has the focus when the key arrives. Over a slow connection several keys arrive
at once, so that the keys after an Enter would still go into the line that the Enter leaves.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, wait
from threading import Event
from typing import Any, Final

from textual.app import App

__all__ = ["PATIENCE", "TypeAhead"]

PATIENCE: Final = 3.0
"""Seconds that a key waits for the key before it. The first trace takes a busy machine a second to open."""
URGENT: Final = 0.25
"""Seconds that a key waits if it may have to end a stuck app."""
_URGENT: Final = frozenset({"ctrl+c"})
_MOVES: Final = frozenset({"j", "k", "up", "down", "left", "right", "pageup", "pagedown", "backspace"})
"""Keys that never move the focus. One of them again need not wait, so that a held key draws no frame for each."""
_LOOK: Final = 0.02  # seconds between two looks whether the app ends; it waits for the thread of keys then
_ROUNDS: Final = 8  # through the queues; what a key leads to mostly needs two


class TypeAhead:
    """Hold a key back while the one before it is on its way. For the thread of keys, beside the app's `loop`.

    No key waits once `over` is set.
    """

    def __init__(self, app: App[Any], loop: asyncio.AbstractEventLoop, over: Event) -> None:
        self._app, self._loop, self._over = app, loop, over
        self._handled: Future[None] | None = None
        self._deadline = 0.0
        self._last = ""
        self._is_followed = True

    def wait(self, key: str = "") -> None:
        """Wait until the last key is handled, but at most `PATIENCE` after it was sent. A paste has no `key`."""
        if key in _MOVES and key == self._last:
            return
        if not self._is_followed:
            self._follow()
        if self._handled is not None:
            deadline = min(self._deadline, time.monotonic() + URGENT) if key in _URGENT else self._deadline
            while not self._over.is_set() and (left := deadline - time.monotonic()) > 0:
                if wait((self._handled,), min(left, _LOOK)).done:
                    return

    def sent(self, key: str = "") -> None:
        """A key was sent. While an earlier one is not handled, this one counts as part of it."""
        repeats, self._last = key in _MOVES and key == self._last, key
        if repeats:
            self._is_followed = False
        elif self._handled is None or self._handled.done():
            self._follow()

    def _follow(self) -> None:
        self._is_followed = True
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
