"""The shipper: an event leaves the outbox only after the store has it, and no event blocks another."""

from __future__ import annotations

import itertools
import logging
import stat
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults import FaultyStore
from outboxes import event, files, following, letters, willing
from sagatrace import TraceContext, Tracer
from sagatrace.errors import StoreError, StoreUnavailableError
from sagatrace.event import TraceEvent
from sagatrace.outbox import Outbox
from sagatrace.segments import seal, sealed_segments
from sagatrace.shipper.shipper import Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stores import AppendError
from sagatrace.stores.memory import MemoryStore


def test_waiting_events_are_delivered_in_batches_of_one_trace_and_removed(outbox: Outbox) -> None:
    for number in range(250):
        outbox.append([event(f"a{number:03d}", "A")])
        if number % 10 == 0:
            outbox.append([event(f"b{number:03d}", "B")])
    store = FaultyStore(willing)
    shipper = Shipper(outbox.directory, store)
    shipment = shipper.run_once()
    shipper.close()
    assert (shipment.delivered, shipment.set_aside, shipment.fault) == (275, 0, None)
    assert store.ids("A") == [f"a{number:03d}" for number in range(250)]
    assert store.ids("B") == [f"b{number:03d}" for number in range(0, 250, 10)]
    assert sorted((events[0].trace_id, len(events)) for _, events in store.calls) == [
        ("A", 50),
        ("A", 100),
        ("A", 100),
        ("B", 25),
    ]
    assert files(outbox.directory) == ["shipper.lock"]


def test_a_missing_outbox_is_empty(tmp_path: Path) -> None:
    shipper = Shipper(tmp_path / "later" / "outbox", MemoryStore())
    assert shipper.run_once().delivered == 0
    shipper.close()
    assert stat.S_IMODE((tmp_path / "later" / "outbox").stat().st_mode) == 0o700


def test_a_store_that_is_down_keeps_all_events_in_the_outbox(outbox: Outbox) -> None:
    down = StoreUnavailableError("no route to host", retry_after=7.0)
    store = FaultyStore(lambda _: down)
    for number in range(50):
        outbox.append([event(f"e{number}", f"T{number}")])
    before = describe_outbox(outbox.directory)
    shipper = Shipper(outbox.directory, store)
    for attempt in range(1, 4):
        shipment = shipper.run_once()
        assert (shipment.delivered, shipment.fault, shipment.retry_after) == (0, "no route to host", 7.0)
        assert len(store.calls) <= 8 * attempt  # the first refusal spares the other forty-nine
    after = describe_outbox(outbox.directory)
    assert (after.size, after.segments) == (before.size, 1)
    store.plan = willing
    assert shipper.run_once().delivered == 50
    shipper.close()


def test_after_an_outage_every_event_is_delivered_once_and_the_log_says_so(
    outbox: Outbox, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(lambda _: StoreError("down"))
    with caplog.at_level(logging.INFO, "sagatrace.shipper"), following(Shipper(outbox.directory, store)):
        outbox.append([event("e1")])
        until(lambda: len(store.calls) >= 4, "some attempts")
        outbox.append([event("e2")])
        state = describe_outbox(outbox.directory).shipper
        assert state is not None
        assert state.fault == "down"
        store.plan = willing
        until(lambda: store.ids("T") == ["e1", "e2"], "both events")
        until(lambda: files(outbox.directory) == ["shipper.lock"], "an empty outbox")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.records[0].getMessage().endswith("retrying until it works: down")


def test_waits_grow_with_jitter_up_to_a_bound(outbox: Outbox, until: Callable[..., Any]) -> None:
    store = FaultyStore(lambda _: StoreError("down"))
    outbox.append([event("e1")])
    with following(Shipper(outbox.directory, store, max_pause=0.4, grace=0.0)):
        until(lambda: len(store.calls) >= 6, "six attempts")
    moments = [at for at, _ in store.calls][:6]
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert all(pause >= low for pause, low in zip(pauses, (0.05, 0.1, 0.2, 0.2, 0.2), strict=True))
    assert len({round(pause, 3) for pause in pauses[2:]}) > 1


def test_the_shipper_waits_as_long_as_the_store_asks(outbox: Outbox, until: Callable[..., Any]) -> None:
    asked = [StoreUnavailableError("429", retry_after=0.6)]
    store = FaultyStore(lambda _: asked.pop() if asked else None)
    outbox.append([event("e1")])
    with following(Shipper(outbox.directory, store)):
        until(lambda: store.ids("T") == ["e1"], "the event")
    (first, _), (second, _) = store.calls
    assert second - first >= 0.6


def test_only_the_pending_part_is_sent_again(outbox: Outbox, until: Callable[..., Any]) -> None:
    store = FaultyStore(willing)
    pushed_back: list[str] = []

    def plan(events: list[TraceEvent]) -> Exception | None:
        late = [one for one in events if one.id == "e2"]
        if not late or pushed_back:
            return None
        pushed_back.append("e2")
        MemoryStore.append(store, [one for one in events if one.id != "e2"])
        cause = StoreUnavailableError("busy", retry_after=0.01)
        return AppendError("1 of 3 waits: busy", new=2, pending=late, cause=cause)

    store.plan = plan
    outbox.append([event("e1"), event("e2"), event("e3")])
    with following(Shipper(outbox.directory, store)):
        until(lambda: store.ids("T") == ["e1", "e2", "e3"], "all three")
    assert [[one.id for one in events] for _, events in store.calls] == [["e1", "e2", "e3"], ["e2"]]


def test_a_slow_store_delays_neither_the_emitter_nor_other_traces(outbox: Outbox, until: Callable[..., Any]) -> None:
    """While the store answers no call, sixteen traces are being sent, and events are emitted."""
    answer = threading.Event()

    def plan(_: list[TraceEvent]) -> None:
        answer.wait(60)

    store = FaultyStore(plan)
    tracer = Tracer(outbox)
    for number in range(40):
        tracer.emit("ai:decision", TraceContext(f"T{number}"))
    shipper = Shipper(outbox.directory, store)
    shipping = threading.Thread(target=shipper.run_once)
    shipping.start()
    until(lambda: len(store.calls) == 16, "sixteen concurrent calls")
    for _ in range(100):
        assert tracer.emit("ai:decision", TraceContext("meanwhile"))
    assert len(store.calls) == 16
    assert store.ids("T0") == []
    answer.set()
    shipping.join(60)
    shipper.close()
    assert len(store.ids("meanwhile")) == 100
    assert len(store.calls) == 41


def test_memory_stays_bounded_with_any_number_of_waiting_events(outbox: Outbox) -> None:
    """A large segment is read in slices, and only one slice is in memory."""
    held = Counter[str]()
    peak = 0

    def plan(events: list[TraceEvent]) -> Exception | None:
        nonlocal peak
        peak = max(peak, len(shipper._delivery._traces))
        held["calls"] += 1
        return None

    shipper = Shipper(outbox.directory, FaultyStore(plan), parallel=1)
    for number in range(5000):
        outbox.append([event(f"e{number}", f"T{number}")])
    assert shipper.run_once().delivered == 5000
    shipper.close()
    assert (held["calls"], peak) == (5, 1000)


def test_an_outbox_is_described_without_changing_it(outbox: Outbox) -> None:
    old = event("e1", timestamp="2026-01-01T00:00:00.000000Z")
    empty = describe_outbox(outbox.directory)
    assert (empty.segments, empty.size, empty.oldest, empty.dead_letters, empty.refused) == (0, 0, None, 0, 0)
    assert not outbox.directory.exists()
    outbox.append([old])
    seal(outbox.directory)
    outbox.append([event("e2")])
    (outbox.directory / "refused").write_bytes(b"..")
    before = files(outbox.directory)
    state = describe_outbox(outbox.directory, now=old.micros / 1e6 + 90)
    assert files(outbox.directory) == before
    assert (state.segments, state.oldest, state.refused, state.shipper) == (2, 90, 2, None)
    assert state.size == sum(path.stat().st_size for path in outbox.directory.glob("*.jsonl"))
    assert len(sealed_segments(outbox.directory)) == 1


def test_traces_share_a_call_to_a_local_file_until_one_fails(outbox: Outbox, until: Callable[..., Any]) -> None:
    """Then each trace is sent alone. The bad event is set aside, and no other waits for it."""
    calls: list[list[str]] = []

    def plan(events: list[TraceEvent]) -> Exception | None:
        calls.append([one.id for one in events])
        return ValueError("cannot") if any(one.id == "b1" for one in events) else None

    for name in ("a1", "b1", "c1"):
        outbox.append([event(name, name[0].upper())])
    for name in ("c2", "a2"):
        outbox.append([event(name, name[0].upper())], replace=True)
    store = FaultyStore(plan)
    shipper = Shipper(outbox.directory, store, parallel=1)
    with following(shipper):
        until(lambda: shipper.set_aside == 1, "the broken one set aside")
        for name in ("a3", "c3"):
            outbox.append([event(name, name[0].upper())])
        until(lambda: shipper.delivered == 6, "all others delivered")
    assert calls[0] == ["a1", "b1", "c1"]
    assert (store.ids("A"), store.ids("B"), store.ids("C")) == (["a1", "a2", "a3"], [], ["c1", "c2", "c3"])
    assert [letter["event"]["id"] for letter in letters(outbox.directory)] == ["b1"]


def test_further_batches_of_traces_are_sent_in_order_by_few_calls(outbox: Outbox) -> None:
    calls: list[list[str]] = []

    def plan(events: list[TraceEvent]) -> Exception | None:
        calls.append([one.id for one in events])
        return None

    for number in range(1, 4):
        outbox.append([event(f"a{number}", "A")], replace=number == 2)
        outbox.append([event(f"c{number}", "C")], replace=number == 2)
    outbox.append([event("b1", "B")], replace=True)
    shipper = Shipper(outbox.directory, FaultyStore(plan), parallel=1)
    assert shipper.run_once().delivered == 7
    shipper.close()
    assert calls == [["a1", "c1"], ["a2", "c2", "b1"], ["a3", "c3"]]


def test_a_local_file_that_cannot_be_written_is_tried_once_a_round(outbox: Outbox) -> None:
    """A lock of another process costs the longest wait once, not once for each trace."""
    calls = itertools.count()

    def plan(events: list[TraceEvent]) -> Exception | None:
        return StoreError("database is locked") if next(calls) == 0 else None

    for name in ("a1", "b1"):
        outbox.append([event(name, name[0].upper())])
    store = FaultyStore(plan)
    shipper = Shipper(outbox.directory, store, parallel=1)
    shipment = shipper.run_once()
    assert (shipment.delivered, shipment.fault, next(calls)) == (0, "database is locked", 1)
    assert shipper.run_once().delivered == 2
    assert (store.ids("A"), store.ids("B")) == (["a1"], ["b1"])
    shipper.close()


def test_a_trace_with_an_event_that_fails_each_call_blocks_no_other(outbox: Outbox, until: Callable[..., Any]) -> None:
    """The store reports only that the whole call failed. The next time each trace is sent alone."""

    def plan(events: list[TraceEvent]) -> Exception | None:
        return StoreError("too big") if any(one.id == "b1" for one in events) else None

    for name in ("a1", "b1", "c1"):
        outbox.append([event(name, name[0].upper())])
    store = FaultyStore(plan)
    shipper = Shipper(outbox.directory, store, parallel=1, max_pause=0.02, grace=0.1)
    with following(shipper):
        until(lambda: shipper.delivered == 2, "its neighbours delivered")
    assert (store.ids("A"), store.ids("B"), store.ids("C")) == (["a1"], [], ["c1"])
