"""Trace ids for the completion of a shell: the newest of the store, or none within a second.

A shell runs the command at each press of Tab, and shows whatever it prints in the middle of the line that is typed. So
every error here means no completions, and nothing is printed about it.
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
# A shell inserts an id as it is: one that the shell would act on, or would split, is not offered.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@%+=/-]*")


def trace_ids(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the newest trace ids that begin like the incomplete one."""
    found: list[str] = []
    reading = threading.Thread(target=_read, args=(context.params.get("store_url"), incomplete, found), daemon=True)
    reading.start()
    reading.join(_PATIENCE)
    if reading.is_alive():
        os._exit(0)  # a normal end could wait for the connections of a store that does not answer
    return found


def _read(store_url: str | None, incomplete: str, found: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with suppress(Exception):
        store = open_store(store_url or Settings.from_env().store, read_only=True, max_wait=_PATIENCE)
        hits = store.search(Search(limit=_MOST, trace_prefix=incomplete))
        found += [hit.trace_id for hit in hits if _PLAIN.fullmatch(hit.trace_id)]
        store.close()
