"""All stores under test, and a Cosmos DB account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from behind_proxy import PATIENT, Between
from cosmos_server import CosmosAccount, cosmos_account, running_cosmos
from fault_proxy import FaultProxy
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosStore


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


@pytest.fixture
def between(local_account: CosmosAccount) -> Iterator[Between]:
    address = local_account.address()
    provision(address, max_wait=PATIENT)
    with FaultProxy(local_account.host) as proxy:
        behind = local_account.behind(proxy.port).address(container=address.container)
        store, direct = CosmosStore(behind, max_wait=PATIENT), CosmosStore(address, max_wait=PATIENT)
        yield Between(proxy, store, direct)
        proxy.released.set()
        store.close()
        direct.close()


@pytest.fixture
def proxy(local_account: CosmosAccount) -> Iterator[FaultProxy]:
    with FaultProxy(local_account.host) as proxy:
        yield proxy


@pytest.fixture
def behind(store: CosmosStore, local_account: CosmosAccount, proxy: FaultProxy) -> Iterator[CosmosStore]:
    """Return the module's store, behind the proxy."""
    address = local_account.behind(proxy.port).address(container=store.address.container)
    opened = CosmosStore(address, max_wait=PATIENT)
    opened.fetch_trace("another")  # connects
    yield opened
    opened.close()
