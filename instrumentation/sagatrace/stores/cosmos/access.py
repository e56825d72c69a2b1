"""Settings for access to a Cosmos DB account, from the environment (`sagatrace.settings` names the variables)."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from sagatrace.errors import SettingsError

__all__ = ["Consistency", "CosmosSettings", "Tls"]

Tls = Literal["verify", "self-signed", "off"]
Consistency = Literal["Strong", "BoundedStaleness", "Session", "ConsistentPrefix", "Eventual"]


@dataclass(frozen=True, slots=True)
class CosmosSettings:
    """Settings for access to a Cosmos DB account.

    Attributes:
        key: The account key, which is never shown; None for a sign-in.
        endpoint: The endpoint that a connection string names.
        tls: Whether TLS is verified, not verified or off.
        regions: Names of the regions to read from, in order of preference. Empty: the account's own order.
        consistency: None for the account's own.
    """

    key: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    tls: Tls = "verify"
    regions: tuple[str, ...] = ()
    consistency: Consistency | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> CosmosSettings:
        """Read the environment. Raises SettingsError that names the variable, never a secret's value."""
        env = os.environ if environ is None else environ
        tls = env.get("SAGATRACE_COSMOS_TLS", "").strip().lower() or "verify"
        if tls not in get_args(Tls):
            raise SettingsError(f"SAGATRACE_COSMOS_TLS={tls!r} is none of {', '.join(get_args(Tls))}")
        key = env.get("SAGATRACE_COSMOS_KEY", "").strip() or None
        connection = env.get("SAGATRACE_COSMOS_CONNECTION_STRING", "").strip()
        endpoint = None
        if connection:
            if key is not None:
                raise SettingsError(
                    "SAGATRACE_COSMOS_KEY and SAGATRACE_COSMOS_CONNECTION_STRING are both set: keep one of them"
                )
            endpoint, key = _read_connection_string(connection)
        if key is not None:
            _check_key(key, "SAGATRACE_COSMOS_CONNECTION_STRING" if connection else "SAGATRACE_COSMOS_KEY")
        regions = tuple(name for name in map(str.strip, env.get("SAGATRACE_COSMOS_REGIONS", "").split(",")) if name)
        return cls(key, endpoint, cast("Tls", tls), regions, _read_consistency(env))


def _read_consistency(env: Mapping[str, str]) -> Consistency | None:
    text = env.get("SAGATRACE_COSMOS_CONSISTENCY", "").strip()
    known = {level.lower(): level for level in get_args(Consistency)}
    if text and text.lower() not in known:
        raise SettingsError(f"SAGATRACE_COSMOS_CONSISTENCY={text!r} is none of {', '.join(known.values())}")
    return cast("Consistency | None", known.get(text.lower()))


def _read_connection_string(text: str) -> tuple[str, str]:
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        parts[name.strip().lower()] = value.strip()
    endpoint, key = parts.get("accountendpoint", ""), parts.get("accountkey", "")
    if not endpoint or not key:
        missing = "AccountKey" if endpoint else "AccountEndpoint"
        raise SettingsError(
            f"SAGATRACE_COSMOS_CONNECTION_STRING has no {missing}: it reads AccountEndpoint=https://…;AccountKey=…;"
        )
    return endpoint, key


def _check_key(key: str, name: str) -> None:
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(
            f"the key in {name} is not base64: copy it again, whole ({len(key)} characters now)"
        ) from None
