"""From an outbox into Cosmos DB: whenever the shipper is killed, the container holds what was emitted, once each."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos_server import CosmosAccount
from sagatrace import TraceContext, Tracer
from sagatrace.outbox import Outbox, sealed_segments
from sagatrace.ship import DEAD_LETTERS, Shipper
from sagatrace.stores.cosmos import CosmosStore
from sagatrace.stores.cosmos.provision import provision

KILLS = 200


@pytest.fixture
def store(local_account: CosmosAccount) -> Iterator[CosmosStore]:
    address = local_account.address()
    provision(address, max_wait=20)
    store = CosmosStore(address, max_wait=10)
    yield store
    store.close()
    local_account.drop(address)


def held(store: CosmosStore, traces: int) -> list[tuple[str, str]]:
    found = [event for number in range(traces) for event in store.fetch_trace(f"T{number}").events]
    return sorted((event.trace_id, event.id) for event in found)


def test_a_shipper_killed_two_hundred_times_loses_and_doubles_nothing(store: CosmosStore, tmp_path: Path) -> None:
    directory = tmp_path / "outbox"
    tracer = Tracer(Outbox(directory))
    chance = random.Random(41434)
    pause = threading.Event()
    emitted: list[tuple[str, str]] = []
    midway = 0
    for _ in range(KILLS):
        for _ in range(20):
            event = tracer.emit("ai:decision", TraceContext(f"T{chance.randrange(20)}"), data={"note": "x" * 90})
            assert event is not None
            emitted.append((event.trace_id, event.id))
        shipper = os.fork()
        if shipper == 0:
            try:
                # A store of its own: a connection does not cross a fork.
                Shipper(directory, CosmosStore(store.address, max_wait=10)).follow(threading.Event())
            finally:
                os._exit(1)
        pause.wait(chance.uniform(0.0, 0.25))
        os.kill(shipper, signal.SIGKILL)
        os.waitpid(shipper, 0)
        midway += bool(sealed_segments(directory))
    last = Shipper(directory, store)
    shipment = last.run_once()
    last.close()
    print(f"{midway} of {KILLS} kills struck midway; {shipment.delivered} of {len(emitted)} events came at the end")
    assert 10 < midway < KILLS
    assert shipment.fault is None
    assert held(store, 20) == sorted(emitted)
    assert not (directory / DEAD_LETTERS).exists()


def test_a_container_that_is_made_later_gets_what_waited(local_account: CosmosAccount, tmp_path: Path) -> None:
    """Missing when the first events came: they stay in the outbox, each as it was."""
    address = local_account.address()
    store = CosmosStore(address, max_wait=10)
    tracer = Tracer(Outbox(tmp_path))
    for number in range(300):
        tracer.emit("ai:decision", TraceContext(f"T{number % 3}"), event_id=f"e{number:03d}")
    shipper = Shipper(tmp_path, store)
    missing = shipper.run_once()
    assert (missing.delivered, missing.set_aside) == (0, 0)
    assert "sagatrace init" in (missing.fault or "")
    provision(address, max_wait=20)
    assert shipper.run_once().delivered == 300
    shipper.close()
    assert held(store, 3) == sorted((f"T{number % 3}", f"e{number:03d}") for number in range(300))
    store.close()
    local_account.drop(address)
