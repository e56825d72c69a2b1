"""What the app costs while nothing happens: the share of a core, and the bytes sent to the terminal.

    python tests/benchmarks/bench_idle.py [SECONDS]

The list, an ended trace and a running trace, each also paused, one after the other. The store is polled. The list and
the running trace show how long a saga runs: those are the only bytes that may be sent.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from pty_terminal import PtyTerminal
from sagas import failed, recent, running
from sagatrace.stores import open_store

SETTLED = 4.0
"""Seconds after which the first frames are drawn and their memory is collected."""


def measure(name: str, terminal: PtyTerminal, seconds: float) -> None:
    """Print the processor time and the bytes of so many seconds without a key."""
    terminal.read(quiet=SETTLED, limit=SETTLED)
    process, sent = psutil.Process(terminal.process.pid), 0
    before, began = process.cpu_times(), time.monotonic()
    while time.monotonic() - began < seconds:
        sent += len(terminal.read(quiet=0.5, limit=0.5)[0])
    took, after = time.monotonic() - began, process.cpu_times()
    used = after.user + after.system - before.user - before.system
    print(f"{name:<24} {100 * used / took:5.2f} % of a core   {sent / took:6.1f} bytes a second", flush=True)


def main() -> None:
    """Print two lines for each screen."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/traces.db"
        store = open_store(url)
        store.append([*failed("loan-ended"), *recent(running("loan-running"), 5)])
        store.close()
        for screen, arguments in (("list", []), ("ended trace", ["loan-ended"]), ("running trace", ["loan-running"])):
            command = [sys.executable, "-m", "sagatrace_tui", "--store", url, *arguments]
            with PtyTerminal(command, env={"XDG_STATE_HOME": directory}) as terminal:
                terminal.until("polling every", "loan")
                measure(screen, terminal, seconds)
                terminal.press("f", "paused")
                measure(f"{screen}, paused", terminal, seconds)


if __name__ == "__main__":
    main()
