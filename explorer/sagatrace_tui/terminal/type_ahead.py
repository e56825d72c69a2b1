"""Keys in turn: each waits until the app has handled the key before it, which may have moved the focus.

Textual gives a key to the widget that has the focus when the key arrives. Over a slow connection several keys arrive
at once, so that the keys after an Enter would still go into the line that the Enter leaves.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from threading import Event
from typing import Any, Final

from textual.app import App

__all__ = ["TypeAhead"]

PATIENCE: Final = 3.0
"""Seconds that a key waits for the key before it. The first trace takes a busy machine a second to open."""
URGENT: Final = 0.25
"""Seconds that Ctrl+C waits: it may have to end a stuck app."""
_MOVES: Final = frozenset({"j", "k", "up", "down", "left", "right", "pageup", "pagedown", "backspace"})
"""Keys that never move the focus. One of them again does not wait, so that a held key draws no frame for each."""
_LOOK: Final = 0.02  # seconds between two looks whether the app ends: its end waits for the thread of keys
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
        self._has_repeats = False  # since the key that is followed

    def wait(self, key: str) -> None:
        """Wait until the keys before are handled, but at most `PATIENCE`. A paste has no `key`."""
        if self._repeats(key):
            return
        if self._has_repeats:
            self._follow()
        deadline = min(self._deadline, time.monotonic() + URGENT) if key == "ctrl+c" else self._deadline
        while self._handled is not None and not self._over.is_set() and (left := deadline - time.monotonic()) > 0:
            if wait((self._handled,), min(left, _LOOK)).done:
                return

    def sent(self, key: str) -> None:
        """A key was sent. While an earlier one is not handled, this one counts as part of it."""
        if self._repeats(key):
            self._has_repeats = True
        elif self._handled is None or self._handled.done():
            self._follow()
        self._last = key

    def _repeats(self, key: str) -> bool:
        return key in _MOVES and key == self._last

    def _follow(self) -> None:
        self._has_repeats = False
        self._handled = asyncio.run_coroutine_threadsafe(self._until_handled(), self._loop)
        self._deadline = time.monotonic() + PATIENCE

    async def _until_handled(self) -> None:
        """Follow a key: from the app up through the focused widget to the app again, and what it posts on the way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):  # a widget that ends may forget the call
                await self._through_queues()

    async def _through_queues(self) -> None:
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
