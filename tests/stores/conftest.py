"""All stores under test, and a Cosmos DB account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cosmos_server import CosmosAccount, cosmos_account, running_cosmos


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace this machine's settings by those of the tests."""
    for name in ("KEY", "CONNECTION_STRING", "TLS", "REGIONS", "CONSISTENCY"):
        monkeypatch.delenv(f"SAGATRACE_COSMOS_{name}", raising=False)


@pytest.fixture(scope="session")
def account() -> Iterator[CosmosAccount]:
    """Return the account that the environment names, or else the test server."""
    with cosmos_account() as account:
        yield account


@pytest.fixture(scope="session")
def local_account() -> Iterator[CosmosAccount]:
    """Return the test server without TLS, for tests with a proxy."""
    with running_cosmos() as account:
        yield account


@pytest.fixture(scope="session")
def tls_account() -> Iterator[CosmosAccount]:
    """Return the test server with TLS and its self-signed certificate."""
    with running_cosmos(tls=True) as account:
        yield account


@pytest.fixture
def next_second(until: Callable[..., object]) -> Callable[[], object]:
    """Wait for the next second of the service's clock, which counts whole seconds."""

    def wait() -> object:
        began = time.time()
        return until(lambda: time.time() > began + 1.1, "the next second")

    return wait
