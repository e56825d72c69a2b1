"""The address of a mirror: the URL of a Redis, and the names of the channels."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from sagatrace.errors import SettingsError
from sagatrace.settings import Settings
from sagatrace.shown import masked

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["MAX_MESSAGE", "PULSE", "Mirror", "connect_redis", "open_mirror", "redis_error_text", "redis_url_parts"]

MAX_MESSAGE: Final = 1 << 18
PULSE: Final = 2.0
_ANSWER_WITHIN: Final = 0.5  # seconds
_SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_SENTINEL_PORT: Final = 26379


class Mirror:
    """The mirror of one store. Opens no connection. Raises SettingsError for a wrong URL."""

    def __init__(self, url: str, store_label: str) -> None:
        try:
            redis_url_parts(url)
        except SettingsError as error:
            raise SettingsError(f"SAGATRACE_MIRROR: {error}") from None
        self._url = url
        self.heard_at = float("-inf")
        """When a subscriber of this process last heard a publisher on its open connection (monotonic seconds)."""
        self.label = masked(url)
        name = f"sagatrace:{sha256(store_label.encode()).hexdigest()[:12]}"
        self.all_channel = f"{name}:traces"
        self.pulse_channel = f"{name}:pulse"
        self._trace_prefix = f"{name}:trace:"

    def trace_channel(self, trace_id: str) -> str:
        """Return the channel for the events of one trace."""
        return self._trace_prefix + trace_id

    def connect(self, timeout: float = _ANSWER_WITHIN) -> Redis:
        """Return a client of the mirror, as `connect_redis` does."""
        return connect_redis(self._url, timeout)


def redis_url_parts(url: str) -> SplitResult:
    """Return the parts of a Redis URL. Raises SettingsError, which repeats only the scheme of the URL.

    In a malformed URL the password cannot be found and masked. A parser reads a part of a password with / # or ? as the
    host or the port, so connection errors would print that part.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in _SCHEMES and url.isprintable() and " " not in url and _reads_well(parts):
            return parts
    scheme = url.partition(":")[0][:20] if ":" in url else ""
    raise SettingsError(
        f"a URL that begins with {scheme!r} is not the URL of a Redis: write "
        f"redis://HOST:PORT, rediss://HOST:PORT, unix:///PATH or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, "
        f"with special characters of a password as %XX"
    )


def _reads_well(parts: SplitResult) -> bool:
    """Return whether the URL names a complete address. Raises ValueError for a malformed URL."""
    is_torn = "@" in parts.query + parts.fragment or ("@" in parts.path and parts.scheme != "unix")
    if is_torn or parts.fragment:
        return False
    if parts.scheme.endswith("+sentinel"):
        return bool(_sentinels(parts)) and bool(_service(parts)[0])
    return parts.port != 0


def connect_redis(url: str, timeout: float) -> Redis:
    """Return a client that tries once and waits `timeout` seconds for each response, unless the URL sets a timeout.

    Accepts the URLs of redis-py and `redis+sentinel://` URLs. Does not connect. Raises SettingsError for a wrong
    URL.
    """
    from redis import Redis, RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    bounds: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    once = Retry(NoBackoff(), 0)
    parts = redis_url_parts(url)
    try:
        if parts.scheme.endswith("+sentinel"):
            return _connect_to_master(parts, {**bounds, "retry": once})
        client = Redis.from_url(url, retry=once, **bounds)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # finds unknown options now, not at the first use
    except (RedisError, TypeError, ValueError) as error:
        raise SettingsError(f"an option in the URL {masked(url)} cannot be used: {error}") from None
    return client


def _connect_to_master(parts: SplitResult, options: dict[str, Any]) -> Redis:
    """Return a client for a Sentinel URL, which redis-py does not support.

    User, password and options apply to the master. Options named `sentinel_…` apply to the Sentinels.
    """
    from redis.connection import parse_url
    from redis.sentinel import Sentinel

    service, database = _service(parts)
    user = parts.netloc.rpartition("@")[0]
    plain = f"{parts.scheme.partition('+')[0]}://{user}@any/{database}?{parts.query}"
    given: dict[str, Any] = parse_url(plain)  # type: ignore[no-untyped-call]
    given.pop("host", None)
    theirs = {name: given.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    tls = {name: value for name, value in given.items() if name.startswith("ssl")}
    if given.pop("connection_class", None) is not None:
        tls["ssl"] = True
    asking = {**options, **tls, **{name: value for name, value in theirs.items() if value is not None}}
    sentinel = Sentinel(_sentinels(parts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return cast("Redis", sentinel.master_for(service, **{**options, **given, **tls}))  # type: ignore[no-untyped-call]


def _sentinels(parts: SplitResult) -> list[tuple[str, int]]:
    """Return the hosts and ports before the path. Raises ValueError."""
    found = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname or one.port == 0:
            return []
        found.append((one.hostname, one.port or _SENTINEL_PORT))
    return found


def _service(parts: SplitResult) -> tuple[str, str]:
    """Return the Sentinels' name for the master, and the number of the database."""
    service, _, database = parts.path.strip("/").partition("/")
    return unquote(service), database or parse_qs(parts.query).get("db", ["0"])[0]


def open_mirror(settings: Settings, store_label: str) -> Mirror | None:
    """Return the mirror of these settings; None if it is off. Raises SettingsError."""
    return Mirror(settings.mirror, store_label) if settings.mirror else None


def redis_error_text(error: BaseException) -> str:
    """Return an error of a Redis connection as one line without a secret.

    A Redis server repeats the arguments of an unknown command. The arguments of a sign-in contain the password.
    """
    text, cut, _ = " ".join(str(error).split()).partition(", with args beginning with")
    hint = ": to sign in to so old a server, write `protocol=2` in the URL" if cut and "HELLO" in text else ""
    return f"{type(error).__name__}: {text}{hint}"
