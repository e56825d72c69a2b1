"""Signals: restore the terminal and end on those that end a program; suspend only if a shell can resume the app."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from typing import Final

from textual.app import App

__all__ = ["end_on_signals", "is_resumable", "last_resort", "stop_all"]

GRACE: Final = 3.0
"""Seconds to end in good order. Then the process ends anyway: another process may wait for it."""


def end_on_signals(app: App[None]) -> None:
    """On a signal that ends programs restore the terminal, and end with 128 + the signal. Call it on the event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, _end, app, number)


def is_resumable() -> bool:
    """Return whether a parent shell could resume a stopped app. Wait for a short test process.

    `ssh -t HOST sagatrace-tui`, a tmux window's command and `docker exec` have no such shell: a stopped app would block
    the terminal for ever. There the process group is orphaned, and SIGTSTP stops no process of it (POSIX, Signal
    Concepts). So a test process in this group sends itself SIGTSTP.
    """
    # Textual handles SIGTSTP itself. A new program has the default handler again.
    with subprocess.Popen(["/bin/sh", "-c", "kill -s TSTP $$"], stdin=subprocess.DEVNULL) as trial:
        _, status = os.waitpid(trial.pid, os.WUNTRACED)
        if stopped := os.WIFSTOPPED(status):
            trial.kill()
    return stopped


def stop_all() -> None:
    """Stop the whole process group, as a terminal does: a script that started the app stops as well.

    Return when a shell has resumed the group.
    """
    os.kill(0, signal.SIGSTOP)


def last_resort(status: int) -> threading.Timer:
    """Start a timer that ends the process with this status: a write to a lost terminal may never return."""
    timer = threading.Timer(GRACE, os._exit, (status,))
    timer.daemon = True
    timer.start()
    return timer


def _end(app: App[None], number: signal.Signals) -> None:
    status = 128 + number
    last_resort(status)
    app.exit(return_code=status)
