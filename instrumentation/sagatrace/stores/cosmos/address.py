"""The address of a Cosmos DB container and its access settings. The URL names the container, never a secret."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args
from urllib.parse import unquote, urlsplit

from sagatrace.errors import SettingsError, StoreUrlError

__all__ = ["Consistency", "CosmosAddress", "CosmosSettings", "Tls", "parse_address", "require_nearby"]


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


_FORM: Final = "cosmos://HOST[:PORT]/DATABASE/CONTAINER, e.g. cosmos://myaccount.documents.azure.com/sagatrace/events"
_FORBIDDEN: Final = re.compile(r"[/\\?#]|[\x00-\x1f]|\s$")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class CosmosAddress:
    """One container of one account. Without a key, authentication uses azure-identity."""

    host: str
    database: str
    container: str
    key: str | None = field(default=None, repr=False)
    tls: Tls = "verify"
    regions: tuple[str, ...] = ()
    consistency: Consistency | None = None

    @property
    def endpoint(self) -> str:
        """The account's URL."""
        return f"{'http' if self.tls == 'off' else 'https'}://{self.host}"

    @property
    def label(self) -> str:
        """The store's address as a user writes it, without a secret."""
        return f"cosmos://{self.host}/{self.database}/{self.container}"


def parse_address(url: str, settings: CosmosSettings) -> CosmosAddress:
    """Read a `cosmos:` URL. Raises StoreUrlError or SettingsError, which repeat no text that may hold a key."""
    try:
        parts, port = urlsplit(url.strip()), urlsplit(url.strip()).port
    except ValueError:
        parts, port = None, None
    if parts is None or parts.scheme != "cosmos":
        raise StoreUrlError(f"this cosmos: URL cannot be read (not repeated here, it may hold a key): write {_FORM}")
    if "@" in parts.netloc or parts.query or parts.fragment or re.search(r"(?i)key=|sig=|;", url):
        raise StoreUrlError(
            "a cosmos: URL holds no key, user, password or options (not repeated here): write "
            f"{_FORM}; the key goes into SAGATRACE_COSMOS_KEY"
        )
    names = [unquote(name) for name in parts.path.strip("/").split("/")]
    host = (parts.hostname or "") if ":" not in (parts.hostname or "") else f"[{parts.hostname}]"
    if len(names) != 2 or not all(0 < len(name) <= 255 and not _FORBIDDEN.search(name) for name in names):
        raise StoreUrlError(f"store URL cosmos://{_shown(host)}/… names no database and container: write {_FORM}")
    if port == 0:
        raise StoreUrlError(
            f"store URL cosmos://{_shown(host)}:0/… names port 0, where nothing can listen: write {_FORM}"
        )
    host = f"{host}:{port}" if port is not None else host
    if settings.endpoint is not None:
        host = _host_of_account(settings, settings.endpoint, host)
    if not _HOST.fullmatch(re.sub(r":\d+$", "", host)):
        raise StoreUrlError(f"store URL names no host: write {_FORM}")
    if settings.key is None and settings.tls != "verify":
        raise SettingsError(
            f"SAGATRACE_COSMOS_TLS={settings.tls} needs SAGATRACE_COSMOS_KEY: a token goes over verified TLS only"
        )
    if settings.tls != "verify":
        require_nearby(re.sub(r":\d+$", "", host), settings.tls)
    key, tls = settings.key, settings.tls
    return CosmosAddress(host, names[0], names[1], key, tls, settings.regions, settings.consistency)


def require_nearby(host: str, tls: Tls) -> None:
    """Raise SettingsError for a public address and for a host of Azure: both need verified TLS.

    Loopback and private addresses pass. For other names the address is checked when a connection opens.
    """
    try:
        is_near = ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_private
    except ValueError:
        is_near = not re.search(r"(?i)\.azure\.(com|cn|us|net)\.?$", host)
    if not is_near:
        raise SettingsError(
            f"SAGATRACE_COSMOS_TLS={tls} is for an emulator at a loopback or private address, and {host} is not one: "
            f"others could read the key and the events; unset it"
        )


def _shown(host: str) -> str:
    return host if _HOST.fullmatch(host) else ""


def _host_of_account(settings: CosmosSettings, endpoint: str, host: str) -> str:
    """Return the host that the connection string names. The URL may omit it, but must not name another one."""
    if endpoint.lower().startswith("http:") and settings.tls != "off":
        raise SettingsError(
            "AccountEndpoint in SAGATRACE_COSMOS_CONNECTION_STRING begins with http://, without TLS: "
            "write https://, or for an emulator without TLS set SAGATRACE_COSMOS_TLS=off"
        )
    try:
        parts = urlsplit(endpoint)
        named = parts.netloc.rpartition("@")[2].removesuffix(":443")
    except ValueError:
        named = ""
    if not _HOST.fullmatch(re.sub(r":\d+$", "", named)):
        raise SettingsError(
            "AccountEndpoint in SAGATRACE_COSMOS_CONNECTION_STRING is not a URL: write https://HOST[:PORT]/"
        )
    if host and host.lower().removesuffix(":443") != named.lower():
        raise SettingsError(
            f"the store URL names {host}, but SAGATRACE_COSMOS_CONNECTION_STRING {named}: "
            f"write cosmos:///DATABASE/CONTAINER to use the latter"
        )
    return named
