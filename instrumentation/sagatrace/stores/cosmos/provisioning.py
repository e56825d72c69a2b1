"""Create the container for events, or check one that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sagatrace.errors import SettingsError, StoreAccessError, StoreError, StoreNotFoundError
from sagatrace.stores.cosmos.address import CosmosAddress
from sagatrace.stores.cosmos.store import CosmosStore

if TYPE_CHECKING:
    from sagatrace.stores.cosmos.call import Call
    from sagatrace.stores.cosmos.connection import Connection

__all__ = [
    "LEAN_INDEX",
    "PARTITION_KEY",
    "TTL_SECONDS",
    "Finding",
    "Plan",
    "Provisioned",
    "Throughput",
    "container_properties",
    "examined",
    "provision",
    "read_throughput",
]


PARTITION_KEY: Final = "/trace_id"
TTL_SECONDS: Final = 7_776_000  # 90 days
_DAY: Final = 86_400
_NEEDED: Final = ("/trace_id", "/timestamp")
_SEARCHED: Final = ("/event_type", "/status", "/tags", "/data/error", "/data/error_type")

LEAN_INDEX: Final[Mapping[str, Any]] = {
    "indexingMode": "consistent",
    "includedPaths": [{"path": f"{path}/{'*' if path == '/tags' else '?'}"} for path in (*_NEEDED, *_SEARCHED)],
    "excludedPaths": [{"path": "/*"}, {"path": '/"_etag"/?'}],
}
"""An indexing policy for the searched properties. It leaves out the other values in `data`.

Writes cost less, and `data.KEY` searches cost more.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark on a container. A finding that is a fault means that data is lost or hidden."""

    text: str
    is_fault: bool


def examined(properties: Mapping[str, Any]) -> list[Finding]:
    """Return all findings for a container, from the service's description of it."""
    return [*_of_keys(properties), *_of_lifetime(properties), *_of_index(properties)]


def _of_keys(properties: Mapping[str, Any]) -> Iterable[Finding]:
    key = properties.get("partitionKey") or {}
    paths = key.get("paths") or ["(none)"]
    if paths != [PARTITION_KEY]:
        text = f"partition key is {', '.join(paths)}, not {PARTITION_KEY}: traces cannot be read from it; "
        yield Finding(f"{text}a partition key cannot be changed, so name another container", is_fault=True)
    elif key.get("version", 1) != 2:
        yield Finding(
            "partition key has version 1: trace ids that differ only past 101 bytes share a partition, and longer ones "
            "are refused; it cannot be changed, so name another container (`sagatrace init` makes version 2)",
            is_fault=True,
        )
    unique = (properties.get("uniqueKeyPolicy") or {}).get("uniqueKeys") or []
    for paths in (one.get("paths") or [] for one in unique):
        yield Finding(
            f"unique key on {', '.join(paths)}: of two events with equal values there, one is lost without an error; "
            f"it cannot be removed, so name another container",
            is_fault=True,
        )


def _of_lifetime(properties: Mapping[str, Any]) -> Iterable[Finding]:
    ttl = properties.get("defaultTtl")
    if ttl != TTL_SECONDS:
        kept = "for ever" if ttl in (None, -1) else f"for {ttl / _DAY:g} d"
        yield Finding(f"default TTL is {ttl}: events are kept {kept}", is_fault=False)


def _of_index(properties: Mapping[str, Any]) -> Iterable[Finding]:
    policy = properties.get("indexingPolicy") or {}
    mode = policy.get("indexingMode", "consistent")
    if mode != "consistent":
        yield Finding(f"indexing mode is {mode}, not consistent: searches fail; set it", is_fault=True)
        return
    missing = [path for path in _NEEDED if not _is_indexed(policy, path)]
    if missing:
        yield Finding(f"{', '.join(missing)} is not indexed: searches fail or read all; add it", is_fault=True)
    unsearched = [path for path in _SEARCHED if not _is_indexed(policy, path)]
    if unsearched:
        named = ", ".join(path.strip("/").replace("/", ".") for path in unsearched)
        yield Finding(f"{named} not indexed: searches for it read every event of their time", is_fault=False)
    elif not _is_indexed(policy, "/data/anything"):
        yield Finding("data is not indexed: searches for data.KEY read every event of their time", is_fault=False)


def _is_indexed(policy: Mapping[str, Any], path: str) -> bool:
    """Return whether the policy indexes the path. The most precise pattern that matches it decides."""
    included = [str(one.get("path")) for one in policy.get("includedPaths") or [{"path": "/*"}]]
    excluded = [str(one.get("path")) for one in policy.get("excludedPaths") or []]
    return _precision(included, path) > _precision(excluded, path)


def _precision(patterns: Iterable[str], path: str) -> int:
    """Return the precision of the longest pattern that matches the path; -1 if none does. `?` beats `*`."""
    found = [-1]
    for pattern in patterns:
        plain = pattern.replace('"', "").replace("/[]", "")
        stem, _, end = plain.rpartition("/")
        if end == "?" and stem == path:
            found.append(2 * len(stem) + 1)
        elif end == "*" and (path == stem or path.startswith(f"{stem}/")):
            found.append(2 * len(stem))
    return max(found)


@dataclass(frozen=True, slots=True)
class Throughput:
    """Reserved request units a second: fixed with `manual`, a maximum with `autoscale`, none with `serverless`."""

    kind: Literal["manual", "autoscale", "serverless"]
    units: int = 0

    @property
    def text(self) -> str:
        """The throughput in words."""
        if self.kind == "serverless":
            return "serverless"
        return f"{self.units} RU/s reserved" if self.kind == "manual" else f"autoscale up to {self.units} RU/s"


@dataclass(frozen=True, slots=True)
class Plan:
    """A container to create. `ttl` is in seconds; None keeps events for ever. `throughput` None is the default."""

    ttl: int | None = TTL_SECONDS
    throughput: Throughput | None = None
    lean: bool = False


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The result of `provision`.

    Attributes:
        created: Whether the container is new.
        findings: The findings for a container that existed.
        throughput: Its throughput; None if the service does not report it.
    """

    created: bool
    findings: tuple[Finding, ...] = ()
    throughput: Throughput | None = None

    @property
    def differences(self) -> tuple[str, ...]:
        """The faults of a container that existed."""
        return tuple(finding.text for finding in self.findings if finding.is_fault)


def read_throughput(text: str) -> Throughput:
    """Read `400`, `autoscale 1000` or `serverless`. Raises SettingsError."""
    kind, _, number = text.strip().lower().replace(":", " ").rpartition(" ")
    if number == "serverless" and not kind:
        return Throughput("serverless")
    if number.isascii() and number.isdigit():
        units = int(number)
        if not kind and units >= 400 and units % 100 == 0:
            return Throughput("manual", units)
        if kind.strip() == "autoscale" and units >= 1000 and units % 1000 == 0:
            return Throughput("autoscale", units)
    raise SettingsError(
        f"throughput {text!r} is none of: serverless; a number of RU/s from 400, in hundreds; "
        f"autoscale and a number from 1000, in thousands"
    )


def provision(address: CosmosAddress, plan: Plan | None = None, *, max_wait: float) -> Provisioned:
    """Create database and container unless they exist. Change nothing that exists. Raises StoreError."""
    with closing(CosmosStore(address, max_wait=max_wait)) as store:
        try:
            findings = tuple(examined(container_properties(store)))
        except StoreNotFoundError:
            findings = None
        if findings is None:
            _create(store, plan or Plan())
        return Provisioned(findings is None, findings or (), _reserved_throughput(store))


def _create(store: CosmosStore, plan: Plan) -> None:
    def create(connection: Connection, _: Call) -> None:
        from azure.cosmos import PartitionKey, ThroughputProperties

        options: dict[str, Any] = {"default_ttl": -1 if plan.ttl is None else plan.ttl}
        if plan.lean:
            options["indexing_policy"] = dict(LEAN_INDEX)
        if plan.throughput is not None and plan.throughput.units:
            units = plan.throughput.units
            is_fixed = plan.throughput.kind == "manual"
            options["offer_throughput"] = units if is_fixed else ThroughputProperties(auto_scale_max_throughput=units)
        key = PartitionKey(path=PARTITION_KEY)  # of version 2
        database = connection.client.create_database_if_not_exists(store.address.database)
        database.create_container_if_not_exists(store.address.container, partition_key=key, **options)

    try:
        store.call(create, writes=True)
    except StoreAccessError:
        if store.address.key is not None:
            raise
        raise StoreAccessError(
            f"{store.label}: a sign-in may read and write items but not create containers: "
            f"run the commands that `sagatrace init --print-az` prints, or use SAGATRACE_COSMOS_KEY for this"
        ) from None
    except StoreError as error:
        if plan.throughput is None or not _is_serverless(error):
            raise
        raise StoreError(f"{store.label}: the account is serverless: use --throughput serverless") from None


def _is_serverless(error: StoreError) -> bool:
    """Return whether the service refuses a throughput because the account is serverless."""
    return "serverless" in str(error).lower()


def _reserved_throughput(store: CosmosStore) -> Throughput | None:
    """Return the container's reserved throughput, which is billed; None if the service does not report it.

    An identity may lack the permission, and an emulator may lack the value. Throughput of the database is not read.
    """
    if store.address.key is None:
        return None
    try:
        found = store.call(lambda connection, _: connection.container.get_throughput())
    except StoreError as error:
        return Throughput("serverless") if _is_serverless(error) else None
    if found.auto_scale_max_throughput:
        return Throughput("autoscale", found.auto_scale_max_throughput)
    return Throughput("manual", found.offer_throughput) if found.offer_throughput else None


def container_properties(store: CosmosStore) -> dict[str, Any]:
    """Return the service's description of the container. Raises StoreError; StoreNotFoundError without a container."""
    return dict(store.call(lambda connection, _: connection.container.read()))
