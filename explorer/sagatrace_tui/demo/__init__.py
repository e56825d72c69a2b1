"""The demo: real RQ workers on a Redis of their own run loan sagas into a store of their own.

All of it lives in one temporary directory and under one process, the supervisor, which ends and removes it all
when the pipe to its standard input closes: also when the process that holds the demo is killed.
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
from sagatrace.stores import open_store
from sagatrace_tui.demo.redis_server import RedisServer, find_redis_server, last_words, short_directory
from sagatrace_tui.demo.workers import await_last_worker, worker_environment

__all__ = ["DIRECTORY_PREFIX", "Demo", "start_demo"]

DIRECTORY_PREFIX: Final = "sagatrace-demo-"

_STOP_WAIT: Final = 20.0  # seconds; all that can take long in the supervisor is bounded below this
_LAST_HORSE: Final = 10.0  # longer than the longest step of a saga


def start_demo() -> Demo:
    """Start a demo and return at once; its first trace follows within seconds.

    Raises SagatraceError when there is no redis-server, OSError when the system gives no directory or process.
    """
    find_redis_server()
    directory = short_directory(DIRECTORY_PREFIX)
    try:
        return Demo(directory)
    except BaseException:
        shutil.rmtree(directory)
        raise


class Demo:
    """A running demo. Leave its `with` block, or call `stop`, to end it and remove all it left."""

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory
        self.store_url: Final = f"sqlite:///{quote(str(directory / 'traces.db'))}"
        self.mirror_url: Final = RedisServer(directory).url
        store = open_store(self.store_url)
        store.append([])  # the app opens the store before the first worker has written to it
        store.close()
        with open_log(self._log) as log:
            self._supervisor = subprocess.Popen(
                # -P: modules in the current directory must not shadow ours.
                [sys.executable, "-P", "-m", "sagatrace_tui.demo.supervisor", str(directory), self.store_url],
                env=worker_environment(self.store_url),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # Ctrl+C in the terminal is for the app alone
            )
        assert self._supervisor.stdin is not None  # noqa: S101 - both pipes were asked for
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
        """Why the demo stopped by itself, in a sentence; None while it runs, or when it was asked to stop."""
        self._listen()
        status = None if self._hold.closed else self._supervisor.poll()
        if self._failure is None and status is not None:
            said = f"ended with status {status}: {last_words(self._log)}" if status else "was asked to end, and did"
            self._failure = f"its supervisor {said}"
        return self._failure

    def stop(self) -> None:
        """End every process of the demo and remove its directory; no more than once."""
        if self._hold.closed:
            return
        self.failure()
        self._hold.close()
        try:
            status = self._supervisor.wait(_STOP_WAIT)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            status = self._supervisor.wait()
        self._listen()
        self._reports.close()
        if status != 0:
            # It cannot have stopped what it started.
            for group in self._groups:
                # macOS answers EPERM for a group that has only ended.
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
        """Read what the supervisor has reported so far, without waiting."""
        while not self._reports.closed and (said := self._reports.read()):
            self._unread += said
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "pid":
                self._groups.append(int(rest))
            elif word == "failed" and self._failure is None:
                self._failure = rest
