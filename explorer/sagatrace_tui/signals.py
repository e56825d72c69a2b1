"""An end in good order when it comes from outside: SIGTERM, and SIGHUP when the terminal is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Final

from textual.app import App

__all__ = ["end_on_signals"]

GRACE: Final = 3.0
"""Seconds to end in good order; whoever waits for us waits no longer."""


def end_on_signals(app: App[None]) -> None:
    """Let the app give the terminal back and end with status 128 + the signal; call it on the event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _end, app, number)


def _end(app: App[None], number: signal.Signals) -> None:
    status = 128 + number
    # Writing to a terminal that is gone may never return: then nothing is left to put in order.
    last_resort = threading.Timer(GRACE, os._exit, (status,))
    last_resort.daemon = True
    last_resort.start()
    app.exit(return_code=status)
