"""One open connection to a container: the SDK's client, set up so that the transport can bound its waits."""

from __future__ import annotations

import socket
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.cosmos import CosmosClient

from sagatrace.errors import SettingsError
from sagatrace.stores.cosmos.address import CosmosAddress, require_nearby
from sagatrace.stores.cosmos.transport import BoundedTransport

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.cosmos import ContainerProxy, DatabaseProxy

__all__ = ["Connection"]


class Connection:
    """A client for one container. Its constructor reads the account's regions: one round trip."""

    def __init__(self, address: CosmosAddress, *, credential: TokenCredential | None, max_wait: float) -> None:
        self._address = address
        self._credential: Any = None if address.key else credential or _default_credential(max_wait)
        verify = address.tls == "verify"
        if not verify:
            _require_nearby(address)
        self._transport = BoundedTransport(max_wait=max_wait, verify=verify)
        self.client = CosmosClient(
            address.endpoint,
            address.key or self._credential,  # type: ignore[arg-type]  # one of the two is given
            transport=self._transport,
            # The SDK waits as long as a 429 asks and repeats that page. The transport keeps the deadline.
            retry_throttle_total=1000,
            retry_throttle_backoff_max=max_wait,
            retry_total=0,
            retry_connect=0,
            retry_read=0,
            retry_status=0,
            # An emulator may list addresses that cannot be reached; an account lists those of its regions.
            enable_endpoint_discovery=verify,
            preferred_locations=list(address.regions),
            consistency_level=address.consistency,
            user_agent_suffix=f"sagatrace/{version('sagatrace')}",
            enable_compact_utf8_item_writes=True,
            no_response_on_write=True,
        )

    @property
    def database(self) -> DatabaseProxy:
        """The database, without a request."""
        return self.client.get_database_client(self._address.database)

    @property
    def container(self) -> ContainerProxy:
        """The container, without a request."""
        return self.database.get_container_client(self._address.container)

    def close(self) -> None:
        """Close the sockets. Wait for the SDK's background check of regions, so that no fork interrupts the check."""
        self.client.close()
        self._transport.close()
        if hasattr(self._credential, "close"):
            self._credential.close()


def _require_nearby(address: CosmosAddress) -> None:
    """Raise SettingsError if the host's name resolves to a public address."""
    parts = urlsplit(address.endpoint)
    with suppress(OSError):  # the request fails for the same reason, with an error that names the host
        for *_, place in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM):
            require_nearby(str(place[0]), address.tls)


def _default_credential(max_wait: float) -> TokenCredential:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise SettingsError(
            "signing in to Azure needs azure-identity: pip install 'sagatrace[azure]', or set SAGATRACE_COSMOS_KEY"
        ) from None
    transport = BoundedTransport(max_wait=max_wait, counted=False)
    return DefaultAzureCredential(transport=transport, process_timeout=max(1, int(max_wait)))
