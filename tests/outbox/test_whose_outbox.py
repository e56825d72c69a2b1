"""An outbox belongs to one user: no other user delivers it, or leaves a file there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagatrace.errors import SagatraceError
from sagatrace.event import TraceEvent, new_event
from sagatrace.outbox import ACTIVE, Outbox
from sagatrace.shipper.launcher import ShipperKeeper
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores.memory import MemoryStore


def event(name: str) -> TraceEvent:
    return new_event(id=name, trace_id="T", span_id="S", event_type="ai:decision")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def shared() -> Iterator[Path]:
    """A place that every user can get at; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_root_leaves_another_user_s_outbox_alone(
    shared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    directory = shared / "outbox"
    Outbox(directory).append([event("e1")])
    directory.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)  # as sudo is somebody else than the worker
    shipper = Shipper(directory, MemoryStore())
    with pytest.raises(SagatraceError, match=r"it belongs to .* and this is .*: run this as "):
        shipper.run_once()
    shipper.close()
    keeper = ShipperKeeper(directory)
    keeper.attend()
    keeper.close()
    assert "no shipper for" in caplog.text
    assert files(directory) == [ACTIVE]
