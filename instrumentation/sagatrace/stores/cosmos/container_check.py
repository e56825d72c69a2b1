"""Compare a container with the one that events need. Pure: the input is the service's description of a container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["LEAN_INDEX", "PARTITION_KEY", "TTL_SECONDS", "Finding", "examined"]

PARTITION_KEY: Final = "/trace_id"
TTL_SECONDS: Final = 7_776_000  # 90 days
_DAY: Final = 86_400
_NEEDED: Final = ("/trace_id", "/timestamp")
_SEARCHED: Final = ("/event_type", "/status", "/tags", "/data/error", "/data/error_type")

LEAN_INDEX: Final[Mapping[str, Any]] = {
    "indexingMode": "consistent",
    "includedPaths": [
        *({"path": f"{path}/?"} for path in (*_NEEDED, "/event_type", "/status", "/data/error", "/data/error_type")),
        {"path": "/tags/*"},
    ],
    "excludedPaths": [{"path": "/*"}, {"path": '/"_etag"/?'}],
}
"""An index of the searched properties without the other values in `data`.

Writes cost less, and `data.KEY` searches cost more.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark on a container. A fault loses or hides data."""

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
    if ttl in (None, -1):
        yield Finding(f"default TTL is {ttl}: events are kept for ever", is_fault=False)
    elif ttl != TTL_SECONDS:
        yield Finding(f"default TTL is {ttl} s: events are kept for {ttl / _DAY:g} d", is_fault=False)


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
    """Return the precision of the longest pattern that matches the path, -1 without one. `?` beats `*`."""
    found = [-1]
    for pattern in patterns:
        plain = pattern.replace('"', "").replace("/[]", "")
        stem, _, end = plain.rpartition("/")
        if end == "?" and stem == path:
            found.append(2 * len(stem) + 1)
        elif end == "*" and (path == stem or path.startswith(f"{stem}/")):
            found.append(2 * len(stem))
    return max(found)
