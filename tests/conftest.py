"""Fixtures for all tests: real servers, started when a test first asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

import servers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that plays whole what is played in part by default."""
    parser.addoption(
        "--heavy",
        action="store_true",
        help="play hundreds of kills and thousands of examples where a few are played by default",
    )


@pytest.fixture(scope="session")
def heavy(request: pytest.FixtureRequest) -> bool:
    """Return whether the run was started with `--heavy`."""
    return bool(request.config.getoption("--heavy"))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a redis-server that runs for the whole session."""
    with servers.running_redis() as server:
        yield server.url


@pytest.fixture
def redis(redis_server: str) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def work_off() -> Callable[..., str]:
    """servers.work_off: run a real `rq worker --burst` and give what it said."""
    return servers.work_off


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """servers.until: wait for a probe to give something true, and give it."""
    return servers.until
