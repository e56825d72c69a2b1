"""The checks of `sagatrace doctor` that only Cosmos DB needs: its container and its regions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sagatrace.stores import EventStore
from sagatrace.stores.cosmos.provisioning import container_properties, examined
from sagatrace.stores.cosmos.store import CosmosStore

__all__ = ["examined_account", "sign_in"]


def sign_in(store: EventStore, environ: Mapping[str, str]) -> str:
    """Return how requests sign in, and where they read."""
    assert isinstance(store, CosmosStore)  # noqa: S101 - the caller asks for no other
    address = store.address
    named = "CONNECTION_STRING" if environ.get("SAGATRACE_COSMOS_CONNECTION_STRING", "").strip() else "KEY"
    who = f"key *** from SAGATRACE_COSMOS_{named}" if address.key else "azure-identity"
    where = f", reads from {', '.join(address.regions)}" if address.regions else ""
    level = f", consistency {address.consistency}" if address.consistency else ""
    return f"{who}, TLS {address.tls}{where}{level}"


def examined_account(store: EventStore) -> Iterator[tuple[str, bool, str]]:
    """Yield (subject, whether it is a fault, text) for the container and the regions.

    Raises:
        StoreError: the account cannot be read.
    """
    assert isinstance(store, CosmosStore)  # noqa: S101 - the caller checked the label
    findings = examined(container_properties(store))
    faults = [finding.text for finding in findings if finding.is_fault]
    if not faults:
        choices = "".join(f"; {finding.text}" for finding in findings)
        yield "container", False, f"partition key, unique keys and index are right{choices}"
    for fault in faults:
        yield "container", True, fault
    if store.address.regions:
        yield _regions(store, store.address.regions)


def _regions(store: CosmosStore, wanted: tuple[str, ...]) -> tuple[str, bool, str]:
    known = store.readable_regions()
    plain = {_plain(name) for name in known}
    unknown = [name for name in wanted if _plain(name) not in plain]
    if not unknown:
        return "regions", False, f"{wanted[0]} is read first"
    named = f"{', '.join(unknown)} in SAGATRACE_COSMOS_REGIONS"
    return "regions", True, f"{named}: not a region of the account, which has {', '.join(known)}"


def _plain(name: str) -> str:
    return name.replace(" ", "").lower()
