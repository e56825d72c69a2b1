"""An outbox is one store's and one user's: nobody else delivers it, or leaves a file there."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sagatrace.errors import OutboxMismatchError, SagatraceError
from sagatrace.events import TraceEvent, new_event
from sagatrace.outbox import ACTIVE, Outbox
from sagatrace.shipper.launcher import ShipperKeeper
from sagatrace.shipper.shipper import Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stores.memory import MemoryStore


def event(name: str) -> TraceEvent:
    return new_event(id=name, trace_id="T", span_id="S", event_type="ai:decision")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_an_outbox_of_another_store_is_not_delivered(outbox: Outbox) -> None:
    Outbox(outbox.directory, store="sqlite:////a.db").append([event("e1")])
    store = MemoryStore()
    shipper = Shipper(outbox.directory, store)
    with pytest.raises(OutboxMismatchError, match=r"keeps events for sqlite:////a\.db, not for memory:"):
        shipper.run_once()
    shipper.close()
    assert store.fetch_trace("T").events == ()
    assert describe_outbox(outbox.directory).segments == 1


def test_a_shipper_that_was_there_first_does_not_deliver_another_store_s_events(
    outbox: Outbox, until: Callable[..., Any]
) -> None:
    store, caught = MemoryStore(), []
    shipper = Shipper(outbox.directory, store)

    def follow() -> None:
        try:
            shipper.follow(threading.Event())
        except OutboxMismatchError as error:
            caught.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    until(lambda: describe_outbox(outbox.directory).shipper, "a shipper")
    Outbox(outbox.directory, store="sqlite:////a.db").append([event("e1")])
    thread.join(10)
    shipper.close()
    assert len(caught) == 1
    assert store.fetch_trace("T").events == ()
    assert describe_outbox(outbox.directory).segments == 1


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
