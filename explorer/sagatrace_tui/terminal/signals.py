"""Signals: an end in good order on SIGTERM, and on SIGHUP when the terminal is gone; whether a stop is for good."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from typing import Final

from textual.app import App

__all__ = ["end_on_signals", "is_resumable", "stop_all"]

GRACE: Final = 3.0
"""Seconds to end in good order; whoever waits for us waits no longer."""


def end_on_signals(app: App[None]) -> None:
    """Let the app give the terminal back and end with status 128 + the signal; call it on the event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _end, app, number)


def is_resumable() -> bool:
    """Whether a shell is there that could take a stopped app up again; waits for a process of its own.

    `ssh -t HOST sagatrace-tui`, a tmux window's command and `docker exec` start none: the app would be stopped for
    good, and the terminal with it. The system lets no SIGTSTP stop such an orphaned process group (POSIX, Signal
    Concepts), but SIGSTOP always stops. So a process in our group tries.
    """
    # Textual has a handler of its own; what is executed has the default again.
    with subprocess.Popen(["/bin/sh", "-c", "kill -s TSTP $$"], stdin=subprocess.DEVNULL) as trial:
        _, status = os.waitpid(trial.pid, os.WUNTRACED)
        if stopped := os.WIFSTOPPED(status):
            trial.kill()
    return stopped


def stop_all() -> None:
    """Stop as a terminal does it, whoever started us included: a script around the app would wait for it for ever.

    Returns once a shell has brought the group back.
    """
    os.kill(0, signal.SIGSTOP)


def _end(app: App[None], number: signal.Signals) -> None:
    status = 128 + number
    # Writing to a terminal that is gone may never return: then nothing is left to put in order.
    last_resort = threading.Timer(GRACE, os._exit, (status,))
    last_resort.daemon = True
    last_resort.start()
    app.exit(return_code=status)
