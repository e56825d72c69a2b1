"""A store with sagas on disk, and the command that shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sagas import failed, running, succeeded
from sagatrace.stores import open_store

Command = Callable[..., list[str]]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Return the address of a store with a saga of each kind."""
    url = f"sqlite:///{tmp_path}/traces.db"
    store = open_store(url)
    store.append([*succeeded("loan-1", 1), *failed("loan-2", 20), *running("loan-3", 40)])
    store.close()
    return url


@pytest.fixture
def tui(store_url: str) -> Command:
    """Return the command line that opens the app on that store."""

    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "sagatrace_tui", "--store", store_url, *arguments]

    return command
