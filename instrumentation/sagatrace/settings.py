"""Settings from the environment: read once, frozen, each fault one clear error.

SAGATRACE_STORE     where events are kept, e.g. `sqlite:////var/lib/app/traces.db`; default: a file of the user's own
SAGATRACE_MAX_WAIT  the longest one write may hold up a job, and delivery the end of a worker, in seconds; default 5
SAGATRACE_OUTBOX    the directory where events wait for their delivery, or `off` to write each to the store at once;
                    default `auto`: a directory of the user's own, for an SQLite file only in workers and beside it
SAGATRACE_OUTBOX_MB how much may wait there, in megabytes; default 256
SAGATRACE_FSYNC     `on`: an event survives even a loss of power, and each write waits for the disk; default `off`
SAGATRACE_MIRROR    the Redis where shippers publish what the store has, and readers hear of it, e.g.
                    `redis://HOST:6379` or `redis+sentinel://HOST:26379/SERVICE`; default: none

For a store at `cosmos://HOST/DATABASE/CONTAINER`; without a key, azure-identity signs in (az login, …):

SAGATRACE_COSMOS_KEY                the account's key, when there is no identity to sign in with
SAGATRACE_COSMOS_CONNECTION_STRING  `AccountEndpoint=…;AccountKey=…`; then `cosmos:///DATABASE/CONTAINER` suffices
SAGATRACE_COSMOS_TLS                `verify` (default); `self-signed`: any certificate, as an emulator's; `off`: http
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import platformdirs

from sagatrace.errors import SettingsError

__all__ = ["Settings", "default_store_url", "masked", "redis_said"]

_DEFAULT_MAX_WAIT: Final = 5.0
_DEFAULT_OUTBOX_MB: Final = 256.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process needs to know to write or read traces. `max_wait` is in seconds, `outbox_mb` in 2**20 bytes."""

    store: str
    max_wait: float = _DEFAULT_MAX_WAIT
    outbox: str = "auto"
    outbox_mb: float = _DEFAULT_OUTBOX_MB
    fsync: bool = False
    mirror: str = field(default="", repr=False)  # may hold a password

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises SettingsError that names the variable."""
        env = os.environ if environ is None else environ
        return cls(
            store=env.get("SAGATRACE_STORE", "").strip() or default_store_url(),
            max_wait=_number(env, "SAGATRACE_MAX_WAIT", "seconds", _DEFAULT_MAX_WAIT, below=3600),
            outbox=env.get("SAGATRACE_OUTBOX", "").strip() or "auto",
            outbox_mb=_number(env, "SAGATRACE_OUTBOX_MB", "megabytes", _DEFAULT_OUTBOX_MB, below=1 << 20),
            fsync=_switch(env, "SAGATRACE_FSYNC"),
            mirror=env.get("SAGATRACE_MIRROR", "").strip(),
        )


def default_store_url() -> str:
    """The embedded store in the user's data directory, by the platform's conventions."""
    path = Path(platformdirs.user_data_dir("sagatrace", appauthor=False)) / "traces.db"
    return f"sqlite:///{path}"


def masked(url: str) -> str:
    """The URL fit to be shown: passwords and keys in it are replaced by `***`."""
    # A password begins at the first colon and ends at the last @, as those who take URLs apart have it.
    url = re.sub(r"(?<=://)([^/@:\s]*):[^/\s]*@", r"\1:***@", url)
    return re.sub(r"(?i)((?:account_?key|password|token|sig|secret)=)[^;&\s]*", r"\1***", url)


def redis_said(error: BaseException) -> str:
    """An error met on the way to Redis, in one line fit to be shown.

    A Redis that lacks a command repeats what it was sent with it: that of the sign-in is the password.
    """
    said, cut, _ = " ".join(str(error).split()).partition(", with args beginning with")
    hint = ": to sign in to one so old takes `protocol=2` in the URL" if cut and "HELLO" in said else ""
    return f"{type(error).__name__}: {said}{hint}"


def _switch(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip() or "off"
    if text not in ("on", "off"):
        raise SettingsError(f"{name}={text!r} is neither `on` nor `off`")
    return text == "on"


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
