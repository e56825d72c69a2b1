"""Fixtures for all tests: real servers, started on first use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

import cosmos_server
import scale
import servers

# The time that a machine needs for an example says nothing about the program.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("light", settings.get_profile("any machine"), max_examples=scale.FEW)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for the number of kills and examples."""
    parser.addoption(
        "--heavy",
        action="store_true",
        help="play hundreds of kills and thousands of examples where a few are played by default",
    )
    parser.addoption("--light", action="store_true", help="play few examples: to run tests again on other versions")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Fetch the Cosmos DB test server before the time limit of the first test that needs it begins.

    If that fails, each of those tests tries again and fails alone.
    """
    if session.config.option.collectonly or not any(map(_may_need_cosmos, getattr(session, "items", ()))):
        return
    try:
        cosmos_server.fetched_package()
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"the Cosmos DB test server is not there yet: {error}\n")


def _may_need_cosmos(item: pytest.Item) -> bool:
    """Return whether the test may need a Cosmos DB account."""
    return "stores" in item.path.parts or any("account" in name for name in getattr(item, "fixturenames", ()))


def pytest_configure(config: pytest.Config) -> None:
    """Set `--heavy` and `--light` before tests are collected.

    Processes of tests get no size of a terminal: pytest's parallel processes have one in their environment, which
    programs believe before they ask their terminal.
    """
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    scale.choose("heavy" if config.getoption("--heavy") else "light" if config.getoption("--light") else "")
    if config.getoption("--light"):
        settings.load_profile("light")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of processes that run the tests, for `-n auto`.

    Three for each core, as many tests wait for other processes. None for tests named by file or by `path::test`, and
    with `-s`: those run in pytest's own process, where output and debuggers are at hand.
    """
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    if config.getoption("capture") == "no" or (named and all(_is_file(argument) for argument in config.args)):
        return 0
    return min(3 * (os.cpu_count() or 1), 16)


def _is_file(argument: str) -> bool:
    return argument.partition("::")[0].endswith(".py")


@pytest.fixture(scope="session")
def heavy(request: pytest.FixtureRequest) -> bool:
    """Return whether the run was started with `--heavy`."""
    return bool(request.config.getoption("--heavy"))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """Return the URL of a redis-server that runs for the whole session."""
    with servers.running_redis() as server:
        yield server.url


@pytest.fixture
def redis(redis_server: str) -> Iterator[Redis]:
    """Return a client of an empty Redis."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def work_off() -> Callable[..., str]:
    """Return `servers.work_off`: it runs a real `rq worker --burst` and returns its output."""
    return servers.work_off


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Return `servers.until`: it waits until a probe returns a true value, and returns that."""
    return servers.until
