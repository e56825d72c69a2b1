"""The one container this project needs: made when it is not there, compared with what it should be when it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sagatrace.errors import StoreAccessError, StoreError, StoreNotFoundError
from sagatrace.stores.cosmos.address import CosmosAddress
from sagatrace.stores.cosmos.store import CosmosStore

if TYPE_CHECKING:
    from sagatrace.stores.cosmos.call import Call
    from sagatrace.stores.cosmos.connection import Connection

__all__ = ["PARTITION_KEY", "TTL_SECONDS", "Provisioned", "container_properties", "differences", "provision"]

PARTITION_KEY: Final = "/trace_id"
TTL_SECONDS: Final = 7_776_000  # 90 days


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was done: whether the container is new, and how one that was there differs from what it should be."""

    created: bool
    differences: tuple[str, ...]


def provision(address: CosmosAddress, *, max_wait: float, credential: Any = None) -> Provisioned:
    """Create database and container unless they are there; nothing existing is changed. Raises StoreError."""
    try:
        found = container_properties(address, max_wait=max_wait, credential=credential)
    except StoreNotFoundError:
        found = None
    if found is not None:
        return Provisioned(created=False, differences=differences(found))

    def create(connection: Connection, _: Call) -> bool:
        from azure.cosmos import PartitionKey

        connection.create_database().create_container_if_not_exists(
            address.container, partition_key=PartitionKey(path=PARTITION_KEY), default_ttl=TTL_SECONDS
        )
        return True

    created = _asked(address, create, max_wait=max_wait, credential=credential, writes=True)
    if isinstance(created, StoreAccessError) and address.key is None:
        raise StoreAccessError(
            f"{address.label}: a sign-in may read and write items but not create containers: use SAGATRACE_COSMOS_KEY "
            f"for this, or `az cosmosdb sql container create --partition-key-path {PARTITION_KEY} --ttl {TTL_SECONDS}`"
        )
    if isinstance(created, StoreError):
        raise created
    return Provisioned(created=True, differences=())


def container_properties(address: CosmosAddress, *, max_wait: float, credential: Any = None) -> dict[str, Any]:
    """The container as the service describes it. Raises StoreError, StoreNotFoundError when there is none."""
    found = _asked(address, lambda connection, _: connection.container.read(), max_wait=max_wait, credential=credential)
    if isinstance(found, StoreError):
        raise found
    return dict(found)


def differences(properties: dict[str, Any]) -> tuple[str, ...]:
    """How a container differs from what it should be, each with its consequence and remedy."""
    found = []
    paths = (properties.get("partitionKey") or {}).get("paths")
    if paths != [PARTITION_KEY]:
        found.append(
            f"partition key is {', '.join(paths or ['(none)'])}, not {PARTITION_KEY}: traces cannot be read from it; "
            f"a partition key cannot be changed, so name another container"
        )
    ttl = properties.get("defaultTtl")
    if ttl != TTL_SECONDS:
        kept = "for ever" if ttl in (None, -1) else f"for {ttl} s"
        found.append(f"default TTL is {ttl}, not {TTL_SECONDS} (90 days): events are kept {kept}; set it if not meant")
    policy = properties.get("indexingPolicy") or {}
    mode = policy.get("indexingMode", "consistent")
    included = [path.get("path") for path in policy.get("includedPaths") or [{"path": "/*"}]]
    excluded = [path.get("path") for path in policy.get("excludedPaths") or []]
    if mode != "consistent" or "/*" not in included or any(path != '/"_etag"/?' for path in excluded):
        found.append(
            f"indexing is not the default (mode {mode}, included {included}, excluded {excluded}): "
            f"searches may be slow and dear, or fail"
        )
    return tuple(found)


def _asked(address: CosmosAddress, work: Any, *, max_wait: float, credential: Any, writes: bool = False) -> Any:
    store = CosmosStore(address, max_wait=max_wait, credential=credential)
    try:
        return store.call(work, deadline=time.monotonic() + max_wait, calls=[], writes=writes)
    finally:
        store.close()
