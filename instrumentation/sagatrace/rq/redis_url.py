"""A URL by which the shipper reaches the Redis of a worker's client. Nothing here connects to it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from redis import Redis, SSLConnection
from redis.connection import URL_QUERY_ARGUMENT_PARSERS

__all__ = ["NO_URL", "url_of_redis"]

NO_URL: Final = "none"
"""The URL that a worker passes to its shipper if `url_of_redis` finds none."""

_OBJECTS: Final = ("credential_provider", "redis_connect_func", "ssl_ocsp_context", "ssl_ocsp_expected_cert")
_TEXTS: Final = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_ca_data",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_ciphers",
    "ssl_validate_ocsp",
    "ssl_validate_ocsp_stapled",
)
_FLAGS: Final = ("ssl_include_verify_flags", "ssl_exclude_verify_flags")
_CERT_REQS: Final = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "required", None: "none"}


def url_of_redis(connection: Redis) -> str | None:
    """Return a URL with which another process on this host reaches the same Redis, as the same user.

    It carries the user, the TLS options and the protocol, but no timeouts and limits. Return None if a URL cannot hold
    these: for a cluster, a credential provider, or an option that is an object of the program.
    """
    pool: Any = getattr(connection, "connection_pool", None)
    if pool is None or any(pool.connection_kwargs.get(name) for name in _OBJECTS):
        return None
    known = pool.connection_kwargs
    options = _options(known, tls=_uses_tls(pool))
    if options is None:
        return None
    user, password = (quote(known.get(name) or "", safe="") for name in ("username", "password"))
    login = f"{user}:{password}@" if user or password else ""
    database = known.get("db") or 0
    if hasattr(pool, "sentinel_manager"):
        return _url_of_sentinels(pool, login, database, options)
    if path := known.get("path"):
        return f"unix://{login}{quote(path)}?{urlencode({'db': database, **options}, quote_via=quote)}"
    if not known.get("host"):
        return None
    scheme = "rediss" if _uses_tls(pool) else "redis"
    return f"{scheme}://{login}{_address(known)}/{database}{_query(options)}"


def _url_of_sentinels(pool: Any, login: str, database: int, options: dict[str, str]) -> str | None:
    """Return a URL for `sagatrace.mirror.connect_redis`. Return None if Sentinels and master differ in TLS."""
    manager = pool.sentinel_manager
    if any(_uses_tls(one.connection_pool) != _uses_tls(pool) for one in manager.sentinels):
        return None
    hosts = ",".join(_address(one.connection_pool.connection_kwargs) for one in manager.sentinels)
    for name in ("username", "password"):
        if given := manager.sentinel_kwargs.get(name):
            options[f"sentinel_{name}"] = given
    scheme = "rediss+sentinel" if _uses_tls(pool) else "redis+sentinel"
    return f"{scheme}://{login}{hosts}/{quote(pool.service_name, safe='')}/{database}{_query(options)}"


def _options(known: Mapping[str, Any], *, tls: bool) -> dict[str, str] | None:
    """Return the options that differ from redis-py's defaults; None if this redis-py cannot read one from a URL."""
    options = {name: str(known[name]) for name in _TEXTS if known.get(name)}
    if str(known.get("protocol")) == "2":  # a Redis before 6 accepts only this
        options["protocol"] = "2"
    if not tls:
        return options
    required = known.get("ssl_cert_reqs", "required")
    if (meant := required if isinstance(required, str) else _CERT_REQS[required]) != "required":
        options["ssl_cert_reqs"] = meant
    if known.get("ssl_check_hostname") is False:
        options["ssl_check_hostname"] = "False"
    further = {name: ",".join(flag.name for flag in known[name]) for name in _FLAGS if known.get(name)}
    if known.get("ssl_min_version"):
        further["ssl_min_version"] = str(int(known["ssl_min_version"]))
    return {**options, **further} if further.keys() <= URL_QUERY_ARGUMENT_PARSERS.keys() else None


def _uses_tls(pool: Any) -> bool:
    return issubclass(pool.connection_class, SSLConnection)


def _address(known: Mapping[str, Any]) -> str:
    host = str(known["host"])
    return f"[{host}]:{known.get('port') or 6379}" if ":" in host else f"{host}:{known.get('port') or 6379}"


def _query(options: Mapping[str, str]) -> str:
    return f"?{urlencode(options, quote_via=quote)}" if options else ""
