"""When a shipper delivers: one at a time, until it is stopped, and only its own outbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults import FaultyStore
from outboxes import event, files, following, willing
from sagatrace.errors import ShipperRunningError, StoreError
from sagatrace.event import TraceEvent
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE
from sagatrace.shipper.shipper import Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stores.memory import MemoryStore


def test_only_one_shipper_works_at_a_time_and_the_next_takes_over(outbox: Outbox, until: Callable[..., Any]) -> None:
    store = FaultyStore(willing)
    with following(Shipper(outbox.directory, store)):
        until(lambda: describe_outbox(outbox.directory).shipper, "a shipper")
        other = Shipper(outbox.directory, store)
        with pytest.raises(ShipperRunningError, match="another shipper delivers"):
            other.run_once()
    outbox.append([event("e1")])
    assert other.run_once().delivered == 1
    other.close()


def test_after_stop_it_delivers_the_remaining_events_within_its_grace(outbox: Outbox) -> None:
    store = FaultyStore(willing, delay=0.05)
    for number in range(40):
        outbox.append([event(f"e{number}", f"T{number}")])
    stop = threading.Event()
    stop.set()
    shipper = Shipper(outbox.directory, store, parallel=1, grace=30)
    shipper.follow(stop)
    shipper.close()
    assert shipper.delivered == 40


def test_after_stop_it_waits_for_a_store_that_is_down_no_longer_than_its_grace(outbox: Outbox) -> None:
    store = FaultyStore(lambda _: StoreError("down"))
    outbox.append([event("e1")])
    stop = threading.Event()
    stop.set()
    shipper = Shipper(outbox.directory, store, grace=0.5)
    began = time.monotonic()
    shipper.follow(stop)
    shipper.close()
    assert 0.4 < time.monotonic() - began < 30
    assert len(store.calls) >= 2
    assert describe_outbox(outbox.directory).segments == 1


def test_it_ends_after_its_directory_is_removed(outbox: Outbox, until: Callable[..., Any]) -> None:
    shipper = Shipper(outbox.directory, MemoryStore())
    thread = threading.Thread(target=shipper.follow, args=(threading.Event(),))
    thread.start()
    until(lambda: describe_outbox(outbox.directory).shipper, "a shipper")
    (outbox.directory / "shipper.lock").unlink()
    outbox.directory.rmdir()
    thread.join(60)
    shipper.close()
    assert not thread.is_alive()
    assert not outbox.directory.exists()


def test_it_does_not_deliver_an_outbox_that_replaced_its_own(outbox: Outbox) -> None:
    """The new outbox may have its own shipper at this moment."""

    def plan(events: list[TraceEvent]) -> None:
        outbox.directory.rename(outbox.directory.with_name("removed"))
        outbox.append([event("e2")])

    outbox.append([event("e1")])
    store = FaultyStore(plan)
    shipper = Shipper(outbox.directory, store)
    shipper.run_once()
    shipper.close()
    assert store.ids("T") == ["e1"]
    assert files(outbox.directory) == [ACTIVE]


def test_a_removed_outbox_without_a_user_is_not_created_again(tmp_path: Path) -> None:
    """A short-lived worker's directory may be removed before its shipper is running."""
    shipper = Shipper(tmp_path / "gone", MemoryStore())
    shipper.follow(threading.Event(), while_used=True)
    shipper.close()
    assert not (tmp_path / "gone").exists()
