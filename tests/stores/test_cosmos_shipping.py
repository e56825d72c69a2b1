"""From an outbox to Cosmos DB: after kills of the shipper the container holds each emitted event once."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cosmos_server import CosmosAccount
from fault_proxy import FaultProxy, answering
from faults import died_or_idle, killed_after, lines_of
from sagatrace import TraceContext, Tracer
from sagatrace.destination import outbox_directory
from sagatrace.event import new_event
from sagatrace.outbox import Outbox
from sagatrace.segments import sealed_segments
from sagatrace.settings import Settings
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.commands.doctor import CHECKS, Patient

MAX_WAIT = 60.0  # seconds: these tests are not about the length of a call


@pytest.fixture
def store(local_account: CosmosAccount) -> Iterator[CosmosStore]:
    address = local_account.address()
    provision(address, max_wait=MAX_WAIT)
    store = CosmosStore(address, max_wait=MAX_WAIT)
    yield store
    store.close()
    local_account.drop(address)


def held(store: CosmosStore, traces: int) -> list[tuple[str, str]]:
    found = [event for number in range(traces) for event in store.fetch_trace(f"T{number}").events]
    return sorted((event.trace_id, event.id) for event in found)


def test_shippers_that_are_killed_lose_and_double_nothing(store: CosmosStore, tmp_path: Path, heavy: bool) -> None:
    directory = tmp_path / "outbox"
    tracer = Tracer(Outbox(directory))
    chance = random.Random(41434)
    emitted: list[tuple[str, str]] = []
    kills = 200 if heavy else 12

    def emit() -> None:
        for _ in range(20):
            event = tracer.emit("ai:decision", TraceContext(f"T{chance.randrange(20)}"), data={"note": "x" * 90})
            assert event is not None
            emitted.append((event.trace_id, event.id))

    def ship(work: Callable[[Shipper], object]) -> None:
        own = CosmosStore(store.address, max_wait=MAX_WAIT)  # a connection does not cross a fork
        shipper = Shipper(directory, own)
        work(shipper)
        shipper.close()
        own.close()

    emit()
    whole = lines_of(lambda: ship(Shipper.run_once))
    assert sealed_segments(directory) == []
    midway = 0
    for number in range(kills):
        emit()
        # Every fourth may deliver all before it is killed: its events are sent again one by one.
        last = None if number % 4 == 1 else chance.randint(1, 2 * whole)
        child = killed_after(last, lambda: ship(lambda shipper: shipper.follow(threading.Event())))
        midway += not died_or_idle(child, directory)
    final = Shipper(directory, store)
    shipment = final.run_once()
    final.close()
    print(f"{midway} of {kills} kills left a segment; {shipment.delivered} of {len(emitted)} events came at the end")
    assert kills // 4 <= midway <= kills - kills // 4
    assert shipment.delivered < len(emitted)
    assert shipment.fault is None
    assert held(store, 20) == sorted(emitted)
    assert not (directory / DEAD_LETTERS).exists()


def test_a_container_created_later_gets_the_waiting_events(local_account: CosmosAccount, tmp_path: Path) -> None:
    """Events that arrive before the container exists stay in the outbox, unchanged."""
    address = local_account.address()
    store = CosmosStore(address, max_wait=MAX_WAIT)
    tracer = Tracer(Outbox(tmp_path))
    for number in range(300):
        tracer.emit("ai:decision", TraceContext(f"T{number % 3}"), event_id=f"e{number:03d}")
    shipper = Shipper(tmp_path, store)
    missing = shipper.run_once()
    assert (missing.delivered, missing.set_aside) == (0, 0)
    assert "sagatrace init" in (missing.fault or "")
    provision(address, max_wait=MAX_WAIT)
    assert shipper.run_once().delivered == 300
    shipper.close()
    assert held(store, 3) == sorted((f"T{number % 3}", f"e{number:03d}") for number in range(300))
    store.close()
    local_account.drop(address)


@pytest.mark.parametrize(
    ("status", "sub_status", "said"),
    [
        (429, "3200", r"pending, the shipper \(pid \d+\) cannot deliver: .*\(status 429/3200, activity 0a1b"),
        (
            403,
            "1014",
            r"1 event could not be stored: .*limit of 20 GB.*\(status 403/1014, activity 0a1b",
        ),
    ],
)
def test_doctor_separates_pending_from_refused_events(
    behind: CosmosStore,
    proxy: FaultProxy,
    tmp_path: Path,
    until: Callable[..., object],
    status: int,
    sub_status: str,
    said: str,
) -> None:
    patient = Patient({"SAGATRACE_OUTBOX": str(tmp_path), "SAGATRACE_STORE": behind.label})
    directory = outbox_directory(Settings.from_env(patient.environ), in_worker=True)
    assert directory is not None
    Outbox(directory).append([new_event(trace_id="T", span_id="S", event_type="x")])
    proxy.fault = answering(status, headers={"x-ms-retry-after-ms": "60000", "x-ms-substatus": sub_status})
    shipper, stop = Shipper(directory, behind), threading.Event()
    following = threading.Thread(target=shipper.follow, args=(stop,))
    following.start()

    def reported() -> bool:
        return any(re.search(said, check.said) for check in dict(CHECKS)["outbox"](patient) if check.state == "fault")

    try:
        until(reported, "a fault of the outbox")
    finally:
        stop.set()
        following.join()
        shipper.close()
