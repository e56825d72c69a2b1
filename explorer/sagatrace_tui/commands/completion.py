"""Trace ids for shell completion: the newest in the store, or none if the store needs more than a second.

A shell runs the command at each press of Tab and shows its output inside the typed line. So an error means no
completions, and prints nothing.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from contextlib import suppress
from typing import Final

import click

from sagatrace.settings import Settings
from sagatrace.stores import Search, open_store

__all__ = ["trace_ids"]

_PATIENCE: Final = 1.0  # seconds
_MOST: Final = 50
# A shell inserts an id unquoted, so ids with special characters are not offered.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@%+=/-]*")


def trace_ids(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the newest trace ids that begin with the incomplete one."""
    found: list[str] = []
    reading = threading.Thread(target=_read, args=(context.params.get("store_url"), incomplete, found), daemon=True)
    reading.start()
    reading.join(_PATIENCE)
    if reading.is_alive():
        os._exit(0)  # a normal exit could wait for a store that does not answer
    return found


def _read(store_url: str | None, incomplete: str, found: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with suppress(Exception):
        store = open_store(store_url or Settings.from_env().store, read_only=True, max_wait=_PATIENCE)
        hits = store.search(Search(limit=_MOST, trace_prefix=incomplete))
        found += [hit.trace_id for hit in hits if _PLAIN.fullmatch(hit.trace_id)]
        store.close()
