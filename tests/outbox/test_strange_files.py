"""Foreign files in an outbox: no directory, pipe or endless line stops the shipper or a worker."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from outboxes import event
from sagatrace import TraceContext, Tracer
from sagatrace.errors import OutboxFullError
from sagatrace.event import encode_event, new_event
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE, REFUSED, seal, sealed_segments
from sagatrace.shipper.dead_letters import DEAD_LETTERS, DeadLetters
from sagatrace.shipper.launcher import SHIPPER_LOG, ShipperKeeper
from sagatrace.shipper.lock import SHIPPER_LOCK, USERS_LOCK, is_held, try_lock
from sagatrace.shipper.shipper import Shipment, Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stores.memory import MemoryStore

GIGABYTE = 1 << 30
SEALED = "sealed-00000000000000000001-1-aa.jsonl"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def directory(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    (tmp_path / "outbox").mkdir()
    return Outbox(tmp_path / "outbox")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [fifo, link, directory])
def test_a_segment_that_is_not_a_file_is_skipped_and_logged_once(
    outbox: Outbox, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    make(outbox.directory / SEALED)
    outbox.append([event("e1")])
    store = MemoryStore()
    shipper = Shipper(outbox.directory, store)
    assert [shipper.run_once() for _ in range(2)] == [Shipment(1, 0), Shipment(0, 0)]
    shipper.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"{outbox.directory / SEALED} is not a regular file: skipped, remove it"
    ]
    state = describe_outbox(outbox.directory)
    assert (state.segments, state.size, state.strange) == (0, 0, [outbox.directory / SEALED])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [fifo, link, directory])
def test_an_active_file_that_is_not_a_file_neither_blocks_a_worker_nor_gets_its_events(
    outbox: Outbox, make: Callable[[Path], None]
) -> None:
    active = outbox.directory / ACTIVE
    make(active)
    with pytest.raises(OSError, match=r"events\.jsonl"):
        outbox.append([event("e1")])
    if make is fifo:
        reader = os.open(active, os.O_RDONLY | os.O_NONBLOCK)  # another program's, which would take the events
        with pytest.raises(OSError, match=r"events\.jsonl"):
            outbox.append([event("e1")])
        os.close(reader)
    assert seal(outbox.directory) is None
    shipper = Shipper(outbox.directory, MemoryStore())
    assert shipper.run_once() == Shipment(0, 0)
    shipper.close()
    assert describe_outbox(outbox.directory).strange == [active]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [fifo, link, directory])
def test_no_other_strange_file_of_the_outbox_blocks_its_reader(outbox: Outbox, make: Callable[[Path], None]) -> None:
    for name in (REFUSED, DEAD_LETTERS, SHIPPER_LOCK, USERS_LOCK, SHIPPER_LOG):
        make(outbox.directory / name)
    for used in (
        lambda: DeadLetters(outbox.directory).add(b"text", "reason"),
        lambda: try_lock(outbox.directory / SHIPPER_LOCK),
        lambda: try_lock(outbox.directory / USERS_LOCK, shared=True),
        lambda: is_held(outbox.directory / SHIPPER_LOCK),
        lambda: Outbox(outbox.directory, max_bytes=10).append([event("e1")]),
    ):
        with pytest.raises(OSError, match="not a regular file"):
            used()
    keeper = ShipperKeeper(outbox.directory)
    keeper._log_file(outbox.directory / SHIPPER_LOG).close()
    with pytest.raises(OSError, match="not a regular file"):
        describe_outbox(outbox.directory)


@pytest.mark.timeout(60)
def test_a_job_continues_if_refusals_cannot_be_counted(outbox: Outbox) -> None:
    fifo(outbox.directory / REFUSED)
    tracer = Tracer(Outbox(outbox.directory, max_bytes=10))
    assert tracer.emit("ai:decision", TraceContext("T")) is None
    assert tracer.lost.total() == 1


def endless(path: Path, end: bytes = b"\n") -> None:
    with path.open("ab") as file:
        file.write(b'\n{"event":{"id":"endless')
        file.truncate(file.tell() + GIGABYTE)
        file.seek(0, os.SEEK_END)
        file.write(end)


def test_a_line_longer_than_any_event_is_one_dead_letter_and_needs_little_memory(outbox: Outbox) -> None:
    outbox.append([event("e1")])
    endless(outbox.directory / ACTIVE, b'\n{"event":' + encode_event(event("e2")) + b"}\n")
    store = MemoryStore()
    shipper = Shipper(outbox.directory, store)
    tracemalloc.start()
    assert shipper.run_once() == Shipment(2, 1)
    assert tracemalloc.get_traced_memory()[1] < GIGABYTE // 8
    tracemalloc.stop()
    shipper.close()
    (letter,) = [json.loads(line) for line in (outbox.directory / DEAD_LETTERS).read_text().splitlines()]
    size = GIGABYTE + len(b'{"event":{"id":"endless') + 1
    assert f"a line of {size:,} bytes" in letter["reason"]
    assert letter["text"].startswith('{"event":{"id":"endless')
    assert len(letter["text"]) <= 1000


def test_an_outbox_with_such_a_line_is_described_in_little_memory(outbox: Outbox) -> None:
    endless(outbox.directory / ACTIVE)
    endless(outbox.directory / DEAD_LETTERS)
    tracemalloc.start()
    state = describe_outbox(outbox.directory)
    assert tracemalloc.get_traced_memory()[1] < GIGABYTE // 8
    tracemalloc.stop()
    assert (state.segments, state.dead_letters, state.oldest) == (1, 1, None)


def test_the_largest_event_that_an_outbox_accepts_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGATRACE_OUTBOX_MB", "400")
    outbox = Outbox(tmp_path, max_bytes=400 << 20)
    large = new_event(id="e1", trace_id="T", span_id="S", event_type="x", data={"note": "x" * ((40 << 20) - 500)})
    outbox.append([large])
    with pytest.raises(OutboxFullError):
        outbox.append([large, event("e2")] * 2)
    store = MemoryStore()
    shipper = Shipper(tmp_path, store)
    assert shipper.run_once() == Shipment(1, 0)
    shipper.close()
    assert sealed_segments(tmp_path) == []
