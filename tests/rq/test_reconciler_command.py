"""The command that searches for lost jobs: without Redis, with an outbox that is full, and until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from redis import Redis

from sagatrace import Tracer
from sagatrace.rq.redis_address import place_of_redis

NOWHERE = "redis://:secret@localhost:1/0"


def search(directory: Path, redis_url: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Search for the lost job of a store, whose start names this Redis."""
    store = f"sqlite:///{directory}/traces.db"
    data = {"job_id": "j", "queue": "q", "redis": place_of_redis(Redis.from_url(redis_url))}
    Tracer(store).emit("job:started", "T", span_id="j", event_id="x:start", data=data)
    command = [sys.executable, "-P", "-m", "sagatrace.rq.reconciler", "--grace", "0", "--redis-url", redis_url]
    env = {**os.environ, "SAGATRACE_STORE": store, **settings}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_without_redis_the_command_fails_with_one_line(tmp_path: Path) -> None:
    done = search(tmp_path, NOWHERE)
    (line,) = done.stderr.splitlines()
    assert "lost jobs cannot be searched for: ConnectionError: " in line
    assert (done.returncode, "secret" in line) == (1, False)


def test_the_outbox_holds_no_more_than_its_setting(tmp_path: Path, redis_server: str) -> None:
    (tmp_path / "traces.db-outbox").mkdir(mode=0o700)
    done = search(tmp_path, redis_server, SAGATRACE_OUTBOX_MB="0.0001")
    assert done.returncode == 1
    assert "too large for the outbox" in done.stderr


def test_ctrl_c_ends_the_searches_and_leaves_the_turn_to_the_next_process(
    tmp_path: Path, redis_server: str, until: Callable[..., object]
) -> None:
    command = [sys.executable, "-P", "-m", "sagatrace.rq.reconciler", "--follow"]
    env = {**os.environ, "SAGATRACE_STORE": f"sqlite:///{tmp_path}/traces.db", "SAGATRACE_RECONCILE": "0.1"}
    turns = "sagatrace:lost-jobs:*"
    with (
        Redis.from_url(redis_server) as redis,
        subprocess.Popen(
            [*command, "--redis-url", redis_server], env=env, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        until(lambda: redis.keys(turns), "a search in turn")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
        assert (process.returncode, said, redis.keys(turns)) == (0, "", [])
