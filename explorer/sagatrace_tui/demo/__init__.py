"""The demo: real RQ workers with their own Redis run loan and order sagas into their own store.

All files are in one temporary directory, and all processes are children of the supervisor. When the pipe to its
standard input closes, the supervisor ends the processes and removes the files. The pipe also closes when the process
that started the demo is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from sagatrace.files import open_log
from sagatrace.shipper.lock import is_held, try_lock
from sagatrace.stores import open_store
from sagatrace_tui.demo.redis_server import RedisServer, find_redis_server, last_words, short_directory, short_place
from sagatrace_tui.demo.workers import await_last_worker, worker_environment

__all__ = ["DIRECTORY_PREFIX", "Demo", "running_store_url", "start_demo"]

DIRECTORY_PREFIX: Final = "sagatrace-demo-"

_STORE: Final = "traces.db"
_LOCK: Final = "app.lock"  # held by the app, so that a directory left by a killed demo is not a running one
_STOP_WAIT: Final = 20.0  # seconds; the supervisor stops in less
_LAST_HORSE: Final = 10.0  # longer than the longest step of a saga


def start_demo() -> Demo:
    """Start a demo and return immediately. Its first trace follows within seconds.

    Raises:
        SagatraceError: there is no redis-server.
        OSError: the system cannot create the directory or the process.
    """
    find_redis_server()
    directory = short_directory(DIRECTORY_PREFIX)
    try:
        return Demo(directory)
    except BaseException:
        shutil.rmtree(directory)
        raise


def running_store_url() -> str | None:
    """Return the URL of the store of this user's newest running demo; None without one."""
    found: list[tuple[float, Path]] = []
    for path in short_place(DIRECTORY_PREFIX).glob(f"{DIRECTORY_PREFIX}*"):
        with suppress(OSError):  # it ends meanwhile
            status = path.lstat()
            if status.st_uid == os.getuid() and is_held(path / _LOCK):
                found.append((status.st_ctime, path))
    return _store_url(max(found)[1]) if found else None


def _store_url(directory: Path) -> str:
    return f"sqlite:///{quote(str(directory / _STORE))}"


class Demo:
    """A running demo. Leave its `with` block, or call `stop`, to end it and remove its files."""

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory
        self.store_url: Final = _store_url(directory)
        self.mirror_url: Final = RedisServer(directory).url
        store = open_store(self.store_url)
        store.append([])  # creates the store: the app opens it before a worker writes
        store.close()
        self._lock: Final = try_lock(directory / _LOCK)
        with open_log(self._log) as log:
            self._supervisor = subprocess.Popen(
                # -P: modules in the current directory must not shadow this package.
                [sys.executable, "-P", "-m", "sagatrace_tui.demo.supervisor", str(directory), self.store_url],
                env=worker_environment(self.store_url),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # Ctrl+C in the terminal must reach only the app
            )
        assert self._supervisor.stdin is not None  # noqa: S101 - both are pipes
        assert self._supervisor.stdout is not None  # noqa: S101
        self._hold = self._supervisor.stdin
        self._reports = self._supervisor.stdout
        os.set_blocking(self._reports.fileno(), False)
        self._groups: list[int] = []
        self._failure: str | None = None
        self._unread = b""

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._supervisor.pid

    def failure(self) -> str | None:
        """Return why the demo stopped by itself; None while it runs, or after `stop`."""
        self._listen()
        status = None if self._hold.closed else self._supervisor.poll()
        if self._failure is None and status is not None:
            said = f"ended with status {status}: {last_words(self._log)}" if status else "ended on request"
            self._failure = f"the supervisor {said}"
        return self._failure

    def stop(self) -> None:
        """End every process of the demo and remove its directory. Further calls do nothing."""
        if self._hold.closed:
            return
        self.failure()
        self._hold.close()
        if self._lock is not None:
            os.close(self._lock)
        try:
            status = self._supervisor.wait(_STOP_WAIT)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            status = self._supervisor.wait()
        self._listen()
        self._reports.close()
        if status != 0:
            # The supervisor was killed and left its processes running.
            for group in self._groups:
                # macOS raises EPERM for a group of ended processes.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
            await_last_worker(self.directory, _LAST_HORSE)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self.directory / "supervisor.log"

    def _listen(self) -> None:
        """Read the supervisor's reports without waiting."""
        while not self._reports.closed and (said := self._reports.read()):
            self._unread += said
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "pid":
                self._groups.append(int(rest))
            elif word == "failed" and self._failure is None:
                self._failure = rest
