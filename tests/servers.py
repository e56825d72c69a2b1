"""The real servers and workers of the tests. They are started and stopped here, by process id."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import psutil
from redis import AuthenticationError, Redis, ResponseError
from redis import ConnectionError as RedisConnectionError

from sagatrace_tui.demo.redis_server import RedisServer, find_redis_server, short_directory
from sagatrace_tui.demo.workers import worker_command, worker_environment

T = TypeVar("T")


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Run a redis-server on a Unix socket in a directory of its own."""
    directory = short_directory("sagatrace-test-")
    try:
        with RedisServer(directory) as server:
            yield server
    finally:
        shutil.rmtree(directory)


def work_off(
    redis_url: str,
    store_url: str,
    *queues: str,
    path: Path | None = None,
    options: tuple[str, ...] = (),
    timeout: float = 300.0,
    mirror: str = "",
) -> str:
    """Run `rq worker --burst` on the queues until they are empty, and return its output.

    `path` is the directory of the job functions. Fails when the worker fails, or takes longer than `timeout` seconds.
    """
    command = worker_command(redis_url, "--burst", *(("--path", str(path)) if path else ()), *options, *queues)
    worker = subprocess.Popen(
        command,
        env=worker_environment(store_url, mirror),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with worker:
        try:
            said, _ = worker.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            for process in (*psutil.Process(worker.pid).children(recursive=True), worker):
                process.kill()
            said, _ = worker.communicate()
            raise AssertionError(f"rq worker still at work after {timeout:g} s:\n{said}") from None
    assert worker.returncode == 0, f"rq worker ended with status {worker.returncode}:\n{said}"
    return said


def end_worker(worker: subprocess.Popen[bytes], log: Path) -> int:
    """End a worker that has no job to do, and return its status. Its standard error goes to `log`.

    RQ's signal handler raises an exception. Python ignores it if the signal came during a `__del__`, and reports that.
    Only then send a second signal.
    """
    worker.terminate()
    until(lambda: worker.poll() is not None or b"rq.exceptions.StopRequested" in log.read_bytes(), "the end", 300)
    worker.terminate()
    return worker.wait(300)


def until(probe: Callable[[], T], what: str, timeout: float = 120.0) -> T:
    """Wait until the probe returns a true value, and return it. The failure names the missing event."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        pause.wait(0.02)
    return found


class TcpRedis:
    """A redis-server on a TCP port, by default a free one. The spawned work-horses of RQ 2 need TCP.

    `sentinel` is the configuration of a Sentinel, which names its port itself.
    """

    def __init__(self, *options: str, sentinel: Path | None = None, port: int = 0) -> None:
        self._options = options
        self._sentinel = sentinel
        self.port = port or free_port()

    def __enter__(self) -> Self:
        with socket.socket() as free:  # another Redis must not be used for tests
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", self.port))
        self.directory = short_directory("sagatrace-tcp-")
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()
        return self

    def start(self) -> None:
        """Start the server, always on the same port, and wait until it answers."""
        if self._sentinel is not None:
            command = [find_redis_server(), str(self._sentinel), "--sentinel"]
        else:
            command = [find_redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
            command += [*self._options, "--dir", str(self.directory)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with Redis.from_url(self.url) as client:
                until(lambda: _answers(client), "redis-server answers")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory)


def free_port(most: int = 65535) -> int:
    """Return a TCP port without a listener."""
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            if (port := int(free.getsockname()[1])) <= most:
                return port


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except (AuthenticationError, ResponseError):  # it asks for a password, or lacks a command, so it is running
        return True
    except RedisConnectionError:
        return False
