"""The shipper: nothing leaves the outbox before the store has said yes, and no event holds up its neighbours."""

from __future__ import annotations

import itertools
import json
import logging
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faults import FaultyStore
from sagatrace import TraceContext, Tracer
from sagatrace.errors import ShipperRunningError, StoreError, StoreUnavailableError
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.outbox import ACTIVE, Outbox, seal, sealed_segments
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipment, Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stores import AppendError, RefusedEvent
from sagatrace.stores.memory import MemoryStore


def event(name: str, trace_id: str = "T", timestamp: str | None = None) -> TraceEvent:
    return new_event(id=name, trace_id=trace_id, span_id="S", event_type="ai:decision", timestamp=timestamp)


def willing(_: list[TraceEvent]) -> Exception | None:
    return None


def letters(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / DEAD_LETTERS).read_text().splitlines()]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


@contextmanager
def following(shipper: Shipper, *, while_used: bool = False) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=shipper.follow, args=(stop,), kwargs={"while_used": while_used})
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(60)
        shipper.close()
        assert not thread.is_alive()


def test_what_waits_is_delivered_in_batches_of_one_trace_and_removed(outbox: Outbox) -> None:
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


def test_an_outbox_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    shipper = Shipper(tmp_path / "later" / "outbox", MemoryStore())
    assert shipper.run_once().delivered == 0
    shipper.close()
    assert stat.S_IMODE((tmp_path / "later" / "outbox").stat().st_mode) == 0o700


def test_a_store_that_is_down_leaves_everything_where_it_is(outbox: Outbox) -> None:
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


def test_down_then_up_again_delivers_everything_once_and_says_so(
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
    assert caplog.records[0].getMessage().endswith("asking again until it works: down")


def test_waits_grow_with_jitter_up_to_a_bound(outbox: Outbox, until: Callable[..., Any]) -> None:
    store = FaultyStore(lambda _: StoreError("down"))
    outbox.append([event("e1")])
    with following(Shipper(outbox.directory, store, max_pause=0.4, grace=0.0)):
        until(lambda: len(store.calls) >= 6, "six attempts")
    moments = [at for at, _ in store.calls][:6]
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert all(pause >= low for pause, low in zip(pauses, (0.05, 0.1, 0.2, 0.2, 0.2), strict=True))
    assert len({round(pause, 3) for pause in pauses[2:]}) > 1


def test_the_wait_that_the_store_asks_for_is_kept(outbox: Outbox, until: Callable[..., Any]) -> None:
    asked = [StoreUnavailableError("429", retry_after=0.6)]
    store = FaultyStore(lambda _: asked.pop() if asked else None)
    outbox.append([event("e1")])
    with following(Shipper(outbox.directory, store)):
        until(lambda: store.ids("T") == ["e1"], "the event")
    (first, _), (second, _) = store.calls
    assert second - first >= 0.6


def test_a_part_that_has_to_wait_is_sent_again_alone(outbox: Outbox, until: Callable[..., Any]) -> None:
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


def test_a_refused_event_is_set_aside_with_its_reason_and_the_rest_goes_on(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(willing)

    def plan(events: list[TraceEvent]) -> Exception | None:
        bad = [one for one in events if one.id == "bad"]
        if not bad:
            return None
        MemoryStore.append(store, [one for one in events if one.id != "bad"])
        refused = [RefusedEvent(one, "its id holds a tab") for one in bad]
        return AppendError("1 refused", new=len(events) - 1, refused=refused)

    store.plan = plan
    outbox.append([event("e1"), event("bad"), event("e2"), event("e3", "U")])
    shipper = Shipper(outbox.directory, store)
    shipment = shipper.run_once()
    shipper.close()
    assert (shipment.delivered, shipment.set_aside, shipment.fault) == (3, 1, None)
    assert (store.ids("T"), store.ids("U")) == (["e1", "e2"], ["e3"])
    (letter,) = letters(outbox.directory)
    assert (letter["event"]["id"], letter["reason"]) == ("bad", "its id holds a tab")
    assert stat.S_IMODE((outbox.directory / DEAD_LETTERS).stat().st_mode) == 0o600
    assert "event bad of trace T is set aside" in caplog.text
    assert files(outbox.directory) == [DEAD_LETTERS, "shipper.lock"]


def test_an_event_that_breaks_the_store_s_own_code_holds_up_nobody(outbox: Outbox, until: Callable[..., Any]) -> None:
    store = FaultyStore(lambda events: KeyError("_rid") if any(one.id == "bad" for one in events) else None)
    outbox.append([event("e1"), event("bad"), event("e2"), event("e3", "U")])
    with following(Shipper(outbox.directory, store)):
        until(lambda: store.ids("T") == ["e1", "e2"] and store.ids("U") == ["e3"], "the neighbours")
        until(lambda: describe_outbox(outbox.directory).dead_letters == 1, "the letter")
    assert letters(outbox.directory)[0]["reason"] == "KeyError: '_rid'"
    assert sum(any(one.id == "bad" for one in events) for _, events in store.calls) == 5  # in its batch, then alone


def test_lines_that_are_no_events_are_set_aside_and_their_neighbours_delivered(outbox: Outbox) -> None:
    outbox.append([event("e1")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b'\n{"event":{"id":"torn","trace_id"')  # a writer killed in the middle of its write
    outbox.append([event("e2")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b"\xff\x00\n\n[]\n" + b"[" * 5000 + b"\n")
        line = encode_event(event("e3")).replace(b'"timestamp":"2', b'"timestamp":"x')
        file.write(b'{"event":' + line + b"}\n")
    outbox.append([event("e4")])
    store = MemoryStore()
    shipper = Shipper(outbox.directory, store)
    shipment = shipper.run_once()
    shipper.close()
    assert (shipment.delivered, shipment.set_aside) == (3, 4)
    assert sorted(one.id for one in store.fetch_trace("T").events) == ["e1", "e2", "e4"]
    assert [letter["text"][:8] for letter in letters(outbox.directory)] == [
        "\\xff\x00",
        "[]",
        "[[[[[[[[",
        '{"event"',
    ]
    assert files(outbox.directory) == [DEAD_LETTERS, "shipper.lock"]


def test_a_last_line_without_its_end_is_given_time_to_get_one(outbox: Outbox, until: Callable[..., Any]) -> None:
    """A long line is in the file piece by piece while it is written: half of it is no reason to set it aside."""
    line = b'{"event":' + encode_event(event("e2")) + b"}\n"
    outbox.append([event("e1")])
    store = FaultyStore(willing)
    with (outbox.directory / ACTIVE).open("ab", buffering=0) as file:
        file.write(line[:40])
        with following(Shipper(outbox.directory, store)):
            until(lambda: store.ids("T") == ["e1"], "the whole line")
            file.write(line[40:])
            until(lambda: store.ids("T") == ["e1", "e2"], "the line that was finished")
    assert files(outbox.directory) == ["shipper.lock"]


def test_a_last_line_that_stays_cut_is_counted_in_the_log_and_no_dead_letter(
    outbox: Outbox, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its writer was killed in the middle of its write, and never heard that the event is kept."""
    outbox.append([event("e1")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b'\n{"event":{"id":"torn"')
    store = MemoryStore()
    with caplog.at_level(logging.INFO, "sagatrace.shipper"), following(Shipper(outbox.directory, store)):
        until(lambda: files(outbox.directory) == ["shipper.lock"], "the end of the segment")
    assert len(store.fetch_trace("T").events) == 1
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == ["1 unfinished lines skipped"]


def test_a_line_cut_anywhere_and_followed_by_another_is_no_dead_letter(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"text": "é😀\n\x1b", "numbers": [-1.5e-10, 0, 12345678901234567890], "rest": [True, False, None, {}]}
    whole = new_event(id="cut", trace_id="T", span_id="S", event_type="x", data=data, tags=["a", "b"])
    line = b'{"replace":true,"event":' + encode_event(whole) + b"}"
    escaped = line.replace("é😀".encode(), b"\\u00e9\\ud83d\\ude00")
    for one in (line, escaped):
        outbox.append([whole], replace=True)
        with (outbox.directory / ACTIVE).open("ab") as file:
            file.writelines(b"\n" + one[:size] + b"\n" for size in range(1, len(one)))
    store = MemoryStore()
    shipper = Shipper(outbox.directory, store)
    with caplog.at_level(logging.INFO, "sagatrace.shipper"):
        assert shipper.run_once() == Shipment(2, 0)
    shipper.close()
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        f"{len(line) + len(escaped) - 2} unfinished lines skipped"
    ]


def test_only_one_works_at_a_time_and_the_next_takes_over(outbox: Outbox, until: Callable[..., Any]) -> None:
    store = FaultyStore(willing)
    with following(Shipper(outbox.directory, store)):
        until(lambda: describe_outbox(outbox.directory).shipper, "a shipper")
        other = Shipper(outbox.directory, store)
        with pytest.raises(ShipperRunningError, match="another shipper delivers"):
            other.run_once()
    outbox.append([event("e1")])
    assert other.run_once().delivered == 1
    other.close()


def test_a_slow_store_slows_neither_the_emitter_nor_one_trace_by_another(
    outbox: Outbox, until: Callable[..., Any]
) -> None:
    """While the store answers no call, eight traces are on their way at once, and events are emitted."""
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
    until(lambda: len(store.calls) == 8, "eight calls at once")
    for _ in range(100):
        assert tracer.emit("ai:decision", TraceContext("meanwhile"))
    assert len(store.calls) == 8
    assert store.ids("T0") == []
    answer.set()
    shipping.join(60)
    shipper.close()
    assert len(store.ids("meanwhile")) == 100
    assert len(store.calls) == 41


def test_memory_stays_bounded_however_much_waits(outbox: Outbox) -> None:
    """A large segment is read in slices: never more of it is in memory than a slice."""
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


def test_no_dead_letter_ever_goes_however_many_there_are(outbox: Outbox) -> None:
    path = outbox.directory / DEAD_LETTERS
    for number in range(3):
        outbox.append([event(f"e{number}")])
        with (outbox.directory / ACTIVE).open("ab") as file:
            file.write(b"nonsense\n")
        with path.open("ab") as file:
            file.write(b'{"text":"%s"}\n' % (b"x" * (17 << 20)))
        shipper = Shipper(outbox.directory, MemoryStore())
        assert shipper.run_once() == Shipment(1, 1)
        shipper.close()
    assert describe_outbox(outbox.directory).dead_letters == 6


def test_told_to_stop_it_delivers_what_is_left_within_its_grace(outbox: Outbox) -> None:
    store = FaultyStore(willing, delay=0.05)
    for number in range(40):
        outbox.append([event(f"e{number}", f"T{number}")])
    stop = threading.Event()
    stop.set()
    shipper = Shipper(outbox.directory, store, parallel=1, grace=30)
    shipper.follow(stop)
    shipper.close()
    assert shipper.delivered == 40


def test_told_to_stop_it_does_not_wait_for_a_store_that_is_down_longer_than_its_grace(outbox: Outbox) -> None:
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


def test_it_leaves_when_its_directory_is_gone(outbox: Outbox, until: Callable[..., Any]) -> None:
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


def test_it_delivers_no_outbox_that_took_the_place_of_its_own(outbox: Outbox) -> None:
    """A shipper of its own delivers that one, perhaps at this moment."""

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


def test_an_outbox_that_was_removed_is_not_made_anew_for_nobody(tmp_path: Path) -> None:
    """A worker that ends at once may take its directory along before the shipper it started is up."""
    shipper = Shipper(tmp_path / "gone", MemoryStore())
    shipper.follow(threading.Event(), while_used=True)
    shipper.close()
    assert not (tmp_path / "gone").exists()


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


def test_traces_share_a_call_to_a_local_file_until_one_breaks_it(outbox: Outbox, until: Callable[..., Any]) -> None:
    """Then each goes by itself: what the broken one had to say is set aside, and no other waits for it."""
    calls: list[list[str]] = []

    def plan(events: list[TraceEvent]) -> Exception | None:
        calls.append([told.id for told in events])
        return ValueError("cannot") if any(told.id == "b1" for told in events) else None

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


def test_what_traces_go_on_with_is_sent_in_order_by_few_calls(outbox: Outbox) -> None:
    calls: list[list[str]] = []

    def plan(events: list[TraceEvent]) -> Exception | None:
        calls.append([told.id for told in events])
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
    """A lock that others hold costs its longest wait once, not once for each trace."""
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


def test_a_trace_whose_event_no_call_may_hold_holds_up_no_other(outbox: Outbox, until: Callable[..., Any]) -> None:
    """Though the store says only that the whole call failed: the next time each is sent by itself."""

    def plan(events: list[TraceEvent]) -> Exception | None:
        return StoreError("too big") if any(told.id == "b1" for told in events) else None

    for name in ("a1", "b1", "c1"):
        outbox.append([event(name, name[0].upper())])
    store = FaultyStore(plan)
    shipper = Shipper(outbox.directory, store, parallel=1, max_pause=0.02, grace=0.1)
    with following(shipper):
        until(lambda: shipper.delivered == 2, "its neighbours delivered")
    assert (store.ids("A"), store.ids("B"), store.ids("C")) == (["a1"], [], ["c1"])
