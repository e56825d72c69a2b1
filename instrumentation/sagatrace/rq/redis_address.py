"""The name of a Redis in events. Nothing here connects to it."""

from __future__ import annotations

import socket
from typing import Any, Final

from redis import Redis

__all__ = ["is_perhaps", "place_of_redis"]

_SENTINEL: Final = "sentinel:"


def place_of_redis(connection: Redis) -> str | None:
    """Return a name of the Redis, without a secret. Return None for a client without an address, such as a cluster.

    The name is `HOST:PORT/DB`, or `HOST:PATH/DB` for a Unix socket. For a loopback address, HOST is this host's name.
    Behind Sentinels the name is `sentinel:SERVICE/DB`, whichever host the master runs on.
    """
    pool: Any = getattr(connection, "connection_pool", None)
    if pool is None:
        return None
    known = pool.connection_kwargs
    database = known.get("db") or 0
    if service := getattr(pool, "service_name", None):
        return f"{_SENTINEL}{service}/{database}"
    if path := known.get("path"):
        return f"{socket.gethostname()}:{path}/{database}"
    host = known.get("host")
    if not host:
        return None
    if host == "localhost" or host == "::1" or host.startswith("127."):
        host = socket.gethostname()
    return f"{host}:{known.get('port') or 6379}/{database}"


def is_perhaps(place: object, host: object, mine: str) -> bool:
    """Return whether `place`, written by a process on `host`, may be another name of the Redis `mine`.

    A host and its local Redis get a new name when the pod restarts. Before `sentinel:` existed, events did not name a
    Redis behind Sentinels. Only that Redis's own data about a job can confirm it.
    """
    if place is None:
        return mine.startswith(_SENTINEL)
    here, here_before = f"{socket.gethostname()}:", f"{host}:"
    if not isinstance(place, str) or not (mine.startswith(here) and place.startswith(here_before)):
        return False
    return mine.removeprefix(here) == place.removeprefix(here_before)
