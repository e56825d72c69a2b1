"""Fixtures of the tests with real workers."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_on_workers import Scenes

from servers import running_redis

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    """Return the scenes, in a Redis of their own."""
    with running_redis() as server:
        yield Scenes(server.url, tmp_path_factory.mktemp)


@pytest.fixture(scope="session")
def newest_rq2(request: pytest.FixtureRequest) -> Path:
    """Return a directory with the newest RQ 2, as an installer leaves it."""
    directory = request.config.cache.mkdir("newest-rq2")
    with (directory / "lock").open("w") as lock:  # other processes of this test run use it as well
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "rq").exists():
            command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(directory)]
            subprocess.run([*command, "rq>=2.12,<3"], check=True, timeout=500)
    return directory


@pytest.fixture(params=["installed", "newest_rq2"])
def either_rq(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the environment of a program with this version of RQ, and with the modules beside the tests."""
    path = [str(HERE)]
    if request.param == "newest_rq2":
        path.insert(0, str(request.getfixturevalue("newest_rq2")))
    return {"PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore"}
