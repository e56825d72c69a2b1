"""Settings from the environment: read once, frozen, each fault one clear error.

SAGATRACE_STORE     where events are kept, e.g. `sqlite:////var/lib/app/traces.db`; default: a file of the user's own
SAGATRACE_MAX_WAIT  the longest one write may hold up a job, and delivery the end of a worker, in seconds; default 5
SAGATRACE_OUTBOX    the directory where events wait for their delivery, or `off` to write each to the store at once;
                    default `auto`: a directory of the user's own, for an SQLite file only in workers and beside it
SAGATRACE_OUTBOX_MB how much may wait there, in megabytes; default 256

For a store at `cosmos://HOST/DATABASE/CONTAINER`; without a key, azure-identity signs in (az login, …):

SAGATRACE_COSMOS_KEY                the account's key, when there is no identity to sign in with
SAGATRACE_COSMOS_CONNECTION_STRING  `AccountEndpoint=…;AccountKey=…`; then `cosmos:///DATABASE/CONTAINER` suffices
SAGATRACE_COSMOS_TLS                `verify` (default); `self-signed`: any certificate, as an emulator's; `off`: http
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast, get_args

import platformdirs

from sagatrace.errors import SettingsError

__all__ = ["CosmosSettings", "Settings", "Tls", "default_store_url", "masked"]

_DEFAULT_MAX_WAIT: Final = 5.0
_DEFAULT_OUTBOX_MB: Final = 256.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process needs to know to write or read traces. `max_wait` is in seconds, `outbox_mb` in 2**20 bytes."""

    store: str
    max_wait: float = _DEFAULT_MAX_WAIT
    outbox: str = "auto"
    outbox_mb: float = _DEFAULT_OUTBOX_MB

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises SettingsError that names the variable."""
        env = os.environ if environ is None else environ
        return cls(
            store=env.get("SAGATRACE_STORE", "").strip() or default_store_url(),
            max_wait=_number(env, "SAGATRACE_MAX_WAIT", "seconds", _DEFAULT_MAX_WAIT, below=3600),
            outbox=env.get("SAGATRACE_OUTBOX", "").strip() or "auto",
            outbox_mb=_number(env, "SAGATRACE_OUTBOX_MB", "megabytes", _DEFAULT_OUTBOX_MB, below=1 << 20),
        )


Tls = Literal["verify", "self-signed", "off"]


@dataclass(frozen=True, slots=True)
class CosmosSettings:
    """How to be let into a Cosmos DB account. `endpoint` is what a connection string names; the key is never shown."""

    key: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    tls: Tls = "verify"

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
        return cls(key=key, endpoint=endpoint, tls=cast("Tls", tls))


def _read_connection_string(text: str) -> tuple[str, str]:
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.strip().partition("=")
        parts[name] = value
    endpoint, key = parts.get("AccountEndpoint", ""), parts.get("AccountKey", "")
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
        fault = f"the key in {name} is not base64: copy it again, whole ({len(key)} characters now)"
    else:
        return
    raise SettingsError(fault)


def default_store_url() -> str:
    """The embedded store in the user's data directory, by the platform's conventions."""
    path = Path(platformdirs.user_data_dir("sagatrace", appauthor=False)) / "traces.db"
    return f"sqlite:///{path}"


def masked(url: str) -> str:
    """The URL fit to be shown: passwords and keys in it are replaced by `***`."""
    url = re.sub(r"(?<=://)([^/@\s]*):[^/@\s]*@", r"\1:***@", url)
    return re.sub(r"(?i)((?:account_?key|password|token|sig|secret)=)[^;&\s]*", r"\1***", url)


def _number(env: Mapping[str, str], name: str, unit: str, default: float, *, below: int) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < below:
        example = f"{name}={default:g}"
        raise SettingsError(f"{name}={text!r} is not a number of {unit} between 0 and {below}, e.g. {example}")
    return value
