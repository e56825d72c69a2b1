"""One open connection to a container: the SDK's client, made so that it waits only where we can bound it."""

from __future__ import annotations

import socket
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from azure.cosmos import CosmosClient

from sagatrace.errors import SettingsError
from sagatrace.stores.cosmos.address import CosmosAddress, require_nearby
from sagatrace.stores.cosmos.transport import BoundedTransport

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.cosmos import ContainerProxy, DatabaseProxy

__all__ = ["Connection"]

_MANY: Final = 1000  # times that one page may be throttled within a call


class Connection:
    """A client for one container. Making it asks the account for its regions: one round trip."""

    def __init__(self, address: CosmosAddress, *, credential: TokenCredential | None, max_wait: float) -> None:
        self._address = address
        self._credential = None if address.key else credential or _default_credential(max_wait)
        verify = address.tls == "verify"
        if not verify:
            _require_nearby(address)
        self._transport = BoundedTransport(max_wait=max_wait, verify=verify)
        self._client = CosmosClient(
            address.endpoint,
            address.key or self._credential,  # type: ignore[arg-type]  # one of the two is given
            transport=self._transport,
            timeout=max_wait,
            # The SDK waits as long as a 429 asks and repeats that one page; the transport ends it in time.
            retry_throttle_total=_MANY,
            retry_throttle_backoff_max=max_wait,
            retry_total=0,
            retry_connect=0,
            retry_read=0,
            retry_status=0,
            # An emulator tells of addresses that are its own idea; an account in several regions tells the truth.
            enable_endpoint_discovery=verify,
            preferred_locations=list(address.regions),
            consistency_level=address.consistency,
            user_agent_suffix=f"sagatrace/{version('sagatrace')}",
            enable_compact_utf8_item_writes=True,
            no_response_on_write=True,
        )

    @property
    def database(self) -> DatabaseProxy:
        """The database; nothing is asked of the service."""
        return self._client.get_database_client(self._address.database)

    @property
    def container(self) -> ContainerProxy:
        """The container; nothing is asked of the service."""
        return self.database.get_container_client(self._address.container)

    def regions(self) -> list[str]:
        """Return the regions that can be read, as the account names them."""
        return [str(region["name"]) for region in self._client.get_database_account().ReadableLocations]

    def create_database(self) -> DatabaseProxy:
        """Create the database unless it is there."""
        return self._client.create_database_if_not_exists(self._address.database)

    def close(self) -> None:
        """Close sockets and let the SDK's background check of regions end, so that no fork copies it half-way."""
        self._client.close()
        self._transport.close()
        close: Any = getattr(self._credential, "close", None)
        if close is not None:
            close()


def _require_nearby(address: CosmosAddress) -> None:
    """Raise SettingsError where the name of the host stands for an address that is not near."""
    parts = urlsplit(address.endpoint)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:  # the request will fail for it, with an error that names the host
        return
    for *_, place in found:
        require_nearby(str(place[0]), address.tls)


def _default_credential(max_wait: float) -> TokenCredential:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        credential = None
    else:
        credential = DefaultAzureCredential(
            transport=BoundedTransport(max_wait=max_wait, counted=False),
            process_timeout=max(1, int(max_wait)),
        )
    if credential is None:
        raise SettingsError(
            "signing in to Azure needs azure-identity: pip install 'sagatrace[azure]', or set SAGATRACE_COSMOS_KEY"
        )
    return credential
