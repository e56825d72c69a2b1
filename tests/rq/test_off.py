"""With recording switched off, workers, jobs, queues and sagas do their work and leave no trace of sagatrace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import off_jobs
import pytest
from redis import Redis

from sagatrace_tui.demo.workers import worker_command

HERE = Path(__file__).parent


@pytest.mark.parametrize("setting", ["SAGATRACE", "SAGATRACE_STORE"])
@pytest.mark.parametrize("kind", ["Worker", "SimpleWorker", "SpawnWorker"])
def test_nothing_is_recorded_opened_or_logged(
    redis: Redis, redis_server: str, tmp_path: Path, kind: str, setting: str
) -> None:
    off = run(redis, redis_server, tmp_path / "off", kind, {setting: "off"})
    assert off == (set(), [])
    on, _ = run(redis, redis_server, tmp_path / "on", kind, {"SAGATRACE_STORE": f"sqlite:///{tmp_path}/on/traces.db"})
    assert "traces.db" in on


def run(redis: Redis, url: str, home: Path, kind: str, settings: dict[str, str]) -> tuple[set[str], list[str]]:
    """Run a saga whose undo is a job; return the files in the user's directory, and the log lines of sagatrace."""
    home.mkdir()
    redis.flushdb()
    job = off_jobs.queue(redis).enqueue(off_jobs.buy)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SAGATRACE", "XDG_"))}
    environment = {**plain, "HOME": str(home), "PYTHONPATH": str(HERE), **settings}
    command = worker_command(url, "--burst", "--path", str(HERE), "-w", f"sagatrace.rq.{kind}", "off")
    worker = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=300, check=True)
    latest = job.latest_result()
    assert latest is not None
    assert "ValueError: out of stock" in str(latest.exc_string)
    assert redis.lrange("done", 0, -1) == [b"charge", b"refund", b"later"]
    lines = [line for line in worker.stderr.splitlines() if "sagatrace:" in line or "Warning" in line]
    return {path.name for path in home.rglob("*")}, lines
