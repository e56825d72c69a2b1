"""The stores under test: every one of them, and a Cosmos DB account to keep things in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cosmos_server import CosmosAccount, cosmos_account, running_cosmos


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine's own settings are, the tests have theirs."""
    for name in ("KEY", "CONNECTION_STRING", "TLS", "REGIONS", "CONSISTENCY"):
        monkeypatch.delenv(f"SAGATRACE_COSMOS_{name}", raising=False)


@pytest.fixture(scope="session")
def account() -> Iterator[CosmosAccount]:
    """The account the environment names, else the test server."""
    with cosmos_account() as account:
        yield account


@pytest.fixture(scope="session")
def local_account() -> Iterator[CosmosAccount]:
    """The test server without TLS, which a proxy can stand before."""
    with running_cosmos() as account:
        yield account


@pytest.fixture(scope="session")
def tls_account() -> Iterator[CosmosAccount]:
    """The test server with TLS and its self-signed certificate."""
    with running_cosmos(tls=True) as account:
        yield account


@pytest.fixture
def next_second(until: Callable[..., object]) -> Callable[[], object]:
    """Wait until the service's clock, which has whole seconds, shows a later one."""

    def wait() -> object:
        began = time.time()
        return until(lambda: time.time() > began + 1.1, "the next second")

    return wait
