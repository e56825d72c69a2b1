"""Settings from the environment. They are immutable. An invalid value raises SettingsError with the variable's name.

SAGATRACE_STORE      the store of events, e.g. `sqlite:////var/lib/app/traces.db`, or `off` to record nothing, as
                     `SAGATRACE=off` does; default: a file in the user's data directory
SAGATRACE_REDACT     `package.module:function`, called as (event_type, data) before anything is stored; it returns the
                     data to keep
SAGATRACE_SAMPLE     the share of traces to record, e.g. `0.1`; other traces are recorded from their first failure;
                     default 1
SAGATRACE_OUTBOX     the directory where events wait for delivery, or `off` to write each to the store directly;
                     default `auto`: a directory of the user; for SQLite one beside the file, in workers only
SAGATRACE_OUTBOX_MB  the maximum size of the outbox, in megabytes; default 256
SAGATRACE_FSYNC      `on`: events survive even a loss of power, and each write waits for the disk; default `off`
SAGATRACE_MAX_WAIT   seconds that a direct write to the store, or delivery at the end of a worker, may take; default 5
SAGATRACE_MIRROR     the Redis where shippers publish stored events for the live tail, e.g. `redis://HOST:6379` or
                     `redis+sentinel://HOST:26379/SERVICE`; default: none
SAGATRACE_REDIS_URL  the Redis of RQ, in which the shipper looks for lost jobs; default: the worker's own
SAGATRACE_RECONCILE  seconds between two looks for lost jobs, or `off`; default 60

For a store at `cosmos://HOST/DATABASE/CONTAINER`; without a key, authentication uses azure-identity (az login, …):

SAGATRACE_COSMOS_KEY                the account's key, if there is no identity to sign in with
SAGATRACE_COSMOS_CONNECTION_STRING  `AccountEndpoint=…;AccountKey=…`; then `cosmos:///DATABASE/CONTAINER` suffices
SAGATRACE_COSMOS_TLS                `verify` (default); `self-signed`: any certificate, as an emulator's; `off`: http;
                                    the last two only for loopback and private addresses
SAGATRACE_COSMOS_REGIONS            regions to read, nearest first: `West Europe, North Europe`; default: the account's
SAGATRACE_COSMOS_CONSISTENCY        consistency of reads, e.g. `Eventual`; default, and maximum: the account's own
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sagatrace.errors import SettingsError
from sagatrace.store_url import default_store_url

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process.

    `max_wait` and `reconcile` are in seconds, `outbox_mb` in 2**20 bytes. `sample` is a share, above 0 and up to 1.
    """

    store: str
    max_wait: float = 5.0
    outbox: str = "auto"
    outbox_mb: float = 256.0
    fsync: bool = False
    mirror: str = field(default="", repr=False)  # may hold a password
    redis_url: str = field(default="", repr=False)
    reconcile: float = 60.0  # 0 is off
    sample: float = 1.0
    account: str = ""  # the endpoint in the Cosmos DB connection string

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment, or the given mapping. Raises SettingsError that names the variable."""
        env = {name: text.strip() for name, text in (os.environ if environ is None else environ).items()}
        endpoint = re.search(r"(?i)AccountEndpoint=([^;]*)", env.get("SAGATRACE_COSMOS_CONNECTION_STRING", ""))
        return cls(
            store="off" if env.get("SAGATRACE") == "off" else env.get("SAGATRACE_STORE") or default_store_url(),
            max_wait=_number(env, "SAGATRACE_MAX_WAIT", 5.0, "number of seconds", most=3600),
            outbox=_directory(env, "SAGATRACE_OUTBOX") or "auto",
            outbox_mb=_number(env, "SAGATRACE_OUTBOX_MB", 256.0, "number of megabytes", most=1 << 20),
            fsync=_switch(env, "SAGATRACE_FSYNC"),
            mirror=env.get("SAGATRACE_MIRROR", ""),
            redis_url=env.get("SAGATRACE_REDIS_URL", ""),
            reconcile=_number(env, "SAGATRACE_RECONCILE", 60.0, "number of seconds", most=86_400, off=True),
            sample=_number(env, "SAGATRACE_SAMPLE", 1.0, "share of traces", most=1),
            account=endpoint[1] if endpoint else "",
        )


def _directory(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "")
    if "://" in text:  # not repeated, as a URL may hold a password
        raise SettingsError(f"{name} is a URL, write the path of a directory")
    return text


def _switch(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name) or "off"
    if text not in ("on", "off"):
        raise SettingsError(f"{name}={text!r} is neither `on` nor `off`")
    return text == "on"


def _number(env: Mapping[str, str], name: str, default: float, kind: str, *, most: int, off: bool = False) -> float:
    text = env.get(name) or f"{default:g}"
    if off and text == "off":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        instead = ", nor `off`" if off else ""
        bounds = f"above 0 and up to {most:,}{instead}"
        raise SettingsError(f"{name}={text!r} is not a {kind} {bounds}, e.g. {name}={default:g}")
    return value
