"""The address of a Cosmos DB container, and the settings for access to it from the environment.

The URL names the container, never a secret. `sagatrace.settings` names the variables.
"""

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

__all__ = ["CosmosAddress", "Tls", "parse_address", "require_nearby"]

Tls = Literal["verify", "self-signed", "off"]
Consistency = Literal["Strong", "BoundedStaleness", "Session", "ConsistentPrefix", "Eventual"]

_FORM: Final = "cosmos://HOST[:PORT]/DATABASE/CONTAINER, e.g. cosmos://myaccount.documents.azure.com/sagatrace/events"
_FORBIDDEN: Final = re.compile(r"[/\\?#]|[\x00-\x1f]|\s$")
_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?")
_CONNECTION: Final = "SAGATRACE_COSMOS_CONNECTION_STRING"


@dataclass(frozen=True, slots=True)
class CosmosAddress:
    """One container of one account, and the access to it.

    Attributes:
        host: The account's host, with its port unless that is 443.
        key: The account key, which is never shown. Without one, authentication uses azure-identity.
        tls: Whether TLS is verified, not verified or off.
        regions: Names of the regions to read from, in order of preference. If empty, the account's order.
        consistency: The consistency of reads. None for the account's setting.
    """

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


def parse_address(url: str, environ: Mapping[str, str] | None = None) -> CosmosAddress:
    """Read a `cosmos:` URL and the environment. Raises StoreUrlError or SettingsError, which repeat no secret."""
    env = os.environ if environ is None else environ
    tls = cast("Tls", _choice(env, "SAGATRACE_COSMOS_TLS", get_args(Tls)) or "verify")
    consistency = cast("Consistency | None", _choice(env, "SAGATRACE_COSMOS_CONSISTENCY", get_args(Consistency)))
    key, endpoint = _read_key(env)
    host, database, container = _read_url(url)
    if endpoint is not None:
        host = _host_of_account(endpoint, host, tls)
    found = _HOST.fullmatch(host)
    if found is None:
        raise StoreUrlError(f"store URL names no host: write {_FORM}")
    if tls != "verify":
        if key is None:
            raise SettingsError(
                f"SAGATRACE_COSMOS_TLS={tls} needs SAGATRACE_COSMOS_KEY: a token is sent only over verified TLS"
            )
        require_nearby(found[1], tls)
    regions = tuple(name for name in map(str.strip, env.get("SAGATRACE_COSMOS_REGIONS", "").split(",")) if name)
    return CosmosAddress(host, database, container, key, tls, regions, consistency)


def require_nearby(host: str, tls: Tls) -> None:
    """Raise SettingsError for a public address and for a host of Azure. Both need verified TLS.

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


def _read_url(url: str) -> tuple[str, str, str]:
    """Return the host with its port, the database and the container."""
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
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    shown = f"store URL cosmos://{host if _HOST.fullmatch(host) else ''}"
    names = [unquote(name) for name in parts.path.strip("/").split("/")]
    if len(names) != 2 or not all(0 < len(name) <= 255 and not _FORBIDDEN.search(name) for name in names):
        raise StoreUrlError(f"{shown}/… names no database and container: write {_FORM}")
    if port == 0:
        raise StoreUrlError(f"{shown}:0/… names port 0, where nothing can listen: write {_FORM}")
    return (host if port is None else f"{host}:{port}"), names[0], names[1]


def _choice(env: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    """Return the setting as one of the known values, whatever its case. Return None if it is not set."""
    text = env.get(name, "").strip()
    found = [value for value in known if value.lower() == text.lower()]
    if text and not found:
        raise SettingsError(f"{name}={text!r} is none of {', '.join(known)}")
    return found[0] if found else None


def _read_key(env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the key, and the endpoint that a connection string names."""
    source, key, endpoint = "SAGATRACE_COSMOS_KEY", env.get("SAGATRACE_COSMOS_KEY", "").strip() or None, None
    connection = env.get(_CONNECTION, "").strip()
    if connection:
        if key is not None:
            raise SettingsError(f"{source} and {_CONNECTION} are both set: keep one of them")
        pairs = (part.partition("=") for part in connection.split(";"))
        parts = {name.strip().lower(): value.strip() for name, _, value in pairs}
        source, key, endpoint = _CONNECTION, parts.get("accountkey"), parts.get("accountendpoint")
        if not endpoint or not key:
            missing = "AccountKey" if endpoint else "AccountEndpoint"
            raise SettingsError(f"{source} has no {missing}: it reads AccountEndpoint=https://…;AccountKey=…;")
    try:
        base64.b64decode(key or "", validate=True)
    except (binascii.Error, ValueError):
        size = len(key or "")
        raise SettingsError(
            f"the key in {source} is not base64: copy the whole key again ({size} characters now)"
        ) from None
    return key, endpoint


def _host_of_account(endpoint: str, host: str, tls: Tls) -> str:
    """Return the host in the connection string. The URL may omit the host, but must not name a different one."""
    if endpoint.lower().startswith("http:") and tls != "off":
        raise SettingsError(
            f"AccountEndpoint in {_CONNECTION} begins with http://, without TLS: "
            "write https://, or for an emulator without TLS set SAGATRACE_COSMOS_TLS=off"
        )
    try:
        named = urlsplit(endpoint).netloc.rpartition("@")[2].removesuffix(":443")
    except ValueError:
        named = ""
    if not _HOST.fullmatch(named):
        raise SettingsError(f"AccountEndpoint in {_CONNECTION} is not a URL: write https://HOST[:PORT]/")
    if host and host.lower().removesuffix(":443") != named.lower():
        raise SettingsError(
            f"the store URL names {host}, but {_CONNECTION} {named}: "
            f"write cosmos:///DATABASE/CONTAINER to use the latter"
        )
    return named
