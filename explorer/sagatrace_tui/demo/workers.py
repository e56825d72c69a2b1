"""Start and stop real `rq worker` processes with sagatrace's worker class, and wait for the end of all."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from sagatrace.files import open_log
from sagatrace.shipper.lock import SHIPPER_LOCK, is_held
from sagatrace_tui.demo.redis_server import last_words

__all__ = ["WORKER_CLASS", "WorkerGroup", "await_last_worker", "worker_command", "worker_environment"]

WORKER_CLASS: Final = "sagatrace.rq.Worker"

_LOCK: Final = "workers.lock"
_WARM: Final = 1.1  # seconds; RQ ignores a second signal within one second of the first
_COLD: Final = 3.0
_BETWEEN: Final = 0.3


def worker_command(redis_url: str, *options: str) -> list[str]:
    """Return the command line of a worker, with RQ's own command."""
    # -P: modules in the current directory must not shadow this package or RQ.
    return [sys.executable, "-P", "-m", "rq.cli", "worker", "-u", redis_url, "-w", WORKER_CLASS, *options]


def worker_environment(store_url: str, mirror_url: str = "") -> dict[str, str]:
    """Return this process's environment with the store and the mirror, without other RQ and sagatrace settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RQ_", "SAGATRACE_"))}
    mirror = {"SAGATRACE_MIRROR": mirror_url} if mirror_url else {}
    # OBJC_…: RQ's documentation requires it on macOS, whose frameworks otherwise kill a forked work-horse.
    return {**kept, **mirror, "SAGATRACE_STORE": store_url, "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"}


class WorkerGroup:
    """Workers on one Redis, which is also their mirror, and one store. `directory` holds their logs."""

    def __init__(self, redis_url: str, store_url: str, directory: Path) -> None:
        self._redis_url = redis_url
        self._environment = worker_environment(store_url, mirror_url=redis_url)
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        # Each worker and work-horse inherits this lock. It is free when the last of them has ended, for any reason.
        self._lock: int | None = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def start(self, name: str, queue: str) -> int:
        """Start one worker on the queue. Return its process id.

        Raises:
            OSError: the process cannot start.
            ValueError: the group was stopped.
        """
        if self._lock is None:
            raise ValueError(f"worker {name} cannot start: this group was stopped")
        with open_log(self._log(name)) as log:
            # A separate process group: RQ's cold shutdown kills the group of the work-horse, which is still the
            # worker's group for a moment after the fork.
            self._processes[name] = process = subprocess.Popen(
                worker_command(self._redis_url, "--name", name, "--quiet", queue),
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock,),
                process_group=0,
            )
        return process.pid

    def fault(self) -> str | None:
        """Return a sentence about a worker that ended by itself; None while all run."""
        for name, process in self._processes.items():
            status = process.poll()
            if status is not None:
                return f"worker {name} ended with status {status}: {last_words(self._log(name))}"
        return None

    def stop(self) -> None:
        """End all workers and work-horses: warm shutdown, then cold, then SIGKILL."""
        for process in self._processes.values():
            process.terminate()
        patience = time.monotonic() + _WARM + _COLD
        running = self._wait(_WARM)
        while running and time.monotonic() < patience:
            for process in running:
                process.terminate()
            running = self._wait(_BETWEEN)
        for process in running:
            process.kill()
            process.wait()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _wait(self, timeout: float) -> list[subprocess.Popen[bytes]]:
        """Return the workers still running after at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        running = []
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                running.append(process)
        return running

    def _log(self, name: str) -> Path:
        return self._directory / f"worker-{name}.log"


def await_last_worker(directory: Path, timeout: float) -> bool:
    """Wait until no worker, work-horse or shipper runs in a directory. Return False after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    try:
        lock = os.open(directory / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _is_shipping(directory):
                    return True
            if time.monotonic() > deadline:
                return False
            pause.wait(0.02)
    finally:
        os.close(lock)


def _is_shipping(directory: Path) -> bool:
    """Return whether the last worker's shipper still delivers events. It ends by itself."""
    return any(is_held(outbox / SHIPPER_LOCK) for outbox in directory.glob("*-outbox"))
