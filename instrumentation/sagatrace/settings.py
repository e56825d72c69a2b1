"""Settings from the environment: read once, frozen, each fault one clear error.

SAGATRACE_STORE     where events are kept, e.g. `sqlite:////var/lib/app/traces.db`; default: a file of the user's own
SAGATRACE_MAX_WAIT  the longest one write may hold up a job, in seconds; default 5
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from sagatrace.errors import SettingsError

__all__ = ["Settings", "default_store_url", "masked"]

_DEFAULT_MAX_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process needs to know to write or read traces. `max_wait` is in seconds."""

    store: str
    max_wait: float = _DEFAULT_MAX_WAIT

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises SettingsError that names the variable."""
        env = os.environ if environ is None else environ
        return cls(
            store=env.get("SAGATRACE_STORE", "").strip() or default_store_url(),
            max_wait=_seconds(env, "SAGATRACE_MAX_WAIT", _DEFAULT_MAX_WAIT),
        )


def default_store_url() -> str:
    """The embedded store in the user's data directory, by the platform's conventions."""
    path = Path(platformdirs.user_data_dir("sagatrace", appauthor=False)) / "traces.db"
    return f"sqlite:///{path}"


def masked(url: str) -> str:
    """The URL fit to be shown: passwords and keys in it are replaced by `***`."""
    url = re.sub(r"(?<=://)([^/@\s]*):[^/@\s]*@", r"\1:***@", url)
    return re.sub(r"(?i)((?:account_?key|password|token|sig|secret)=)[^;&\s]*", r"\1***", url)


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 3600:
        raise SettingsError(f"{name}={text!r} is not a number of seconds between 0 and 3600, e.g. {name}=5")
    return value
