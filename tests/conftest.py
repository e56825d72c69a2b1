"""Fixtures for all tests: real servers, started when a test first asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

import servers


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
