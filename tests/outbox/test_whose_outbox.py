"""An outbox belongs to one user. No other user delivers it or creates a file there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from outboxes import event, files
from sagatrace.errors import SagatraceError
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE
from sagatrace.shipper.launcher import ShipperKeeper
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores.memory import MemoryStore


@pytest.fixture
def shared() -> Iterator[Path]:
    """Create a directory that every user can reach. pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_root_does_not_touch_another_user_s_outbox(
    shared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    directory = shared / "outbox"
    Outbox(directory).append([event("e1")])
    directory.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)  # as with sudo, which is another user than the worker
    shipper = Shipper(directory, MemoryStore())
    with pytest.raises(SagatraceError, match=r"belongs to .* and this process runs as .*: run the process as "):
        shipper.run_once()
    shipper.close()
    keeper = ShipperKeeper(directory)
    keeper.attend()
    keeper.close()
    assert "no shipper for" in caplog.text
    assert files(directory) == [ACTIVE]
