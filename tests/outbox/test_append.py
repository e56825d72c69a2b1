"""The outbox: an emitted event survives every process. The outbox is bounded, private, and never breaks the work."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import in_child
from sagatrace import TraceContext, Tracer
from sagatrace.errors import OutboxFullError
from sagatrace.event import TraceEvent, new_event
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE, REFUSED, seal, sealed_segments
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores import EventStore
from sagatrace.stores.memory import MemoryStore
from sagatrace.stores.sqlite import SqliteStore

TOP = TraceContext("T")


def event(number: int, event_type: str = "stage:x:started", trace_id: str = "T", size: int = 0) -> TraceEvent:
    return new_event(
        id=f"e{number:05d}", trace_id=trace_id, span_id="S", event_type=event_type, data={"note": "x" * size}
    )


def shipped(directory: Path) -> list[TraceEvent]:
    """Return the events that a shipper finds in the outbox, in order of id."""
    return shipped_to(MemoryStore(), directory)


def shipped_to(store: EventStore, directory: Path) -> list[TraceEvent]:
    shipper = Shipper(directory, store)
    assert shipper.run_once().fault is None
    shipper.close()
    return sorted(store.fetch_trace("T").events, key=lambda one: one.id)


def test_an_emitted_event_is_one_line_of_json(outbox: Outbox) -> None:
    tracer = Tracer(outbox)
    tracer.emit("ai:decision", TOP, data={"text": "a\nb"}, event_id="e1")
    tracer.emit("ai:decision", TOP, event_id="e2", replace=True)
    lines = [json.loads(line) for line in (outbox.directory / ACTIVE).read_text().split("\n") if line]
    assert [(line["event"]["id"], line.get("replace")) for line in lines] == [("e1", None), ("e2", True)]
    assert lines[0]["event"]["data"] == {"text": "a\nb"}


def test_only_its_user_may_read_the_outbox(outbox: Outbox) -> None:
    before = os.umask(0)
    try:
        outbox.append([event(1)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(outbox.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((outbox.directory / ACTIVE).stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o777, 0o277, 0o477])
def test_a_umask_does_not_lock_out_the_user_and_the_shipper(outbox: Outbox, umask: int) -> None:
    outbox.append([event(1)])
    seal(outbox.directory)
    before = os.umask(umask)
    try:
        outbox.append([event(2)])
    finally:
        os.umask(before)
    assert stat.S_IMODE((outbox.directory / ACTIVE).stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root directory")
def test_a_process_with_another_root_directory_counts_its_events_as_lost(outbox: Outbox, tmp_path: Path) -> None:
    jail = tmp_path / "jail"
    jail.mkdir()
    tracer = Tracer(outbox)

    def work() -> None:
        assert tracer.emit("ai:decision", TOP)
        os.chroot(jail)
        assert tracer.emit("ai:decision", TOP) is None
        assert tracer.lost == {"event lost: SagatraceError": 1}

    assert in_child(work) == 0
    assert list(jail.iterdir()) == []
    assert len(shipped(outbox.directory)) == 1


def test_no_descriptor_stays_open(outbox: Outbox) -> None:
    """After `os.closerange` in a job, the number of an open descriptor could be of another file."""
    before = set(Path("/proc/self/fd").iterdir())
    outbox.append([event(1)])
    assert set(Path("/proc/self/fd").iterdir()) == before


FIELDS = {"id": "e1", "trace_id": "T", "span_id": "S", "event_type": "job:started", "data": {"note": "a\nb"}}


@pytest.mark.parametrize("end", [lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_an_emitted_event_survives_its_process(outbox: Outbox, end: Callable[[], object]) -> None:
    tracer = Tracer(outbox)

    def work() -> None:
        tracer.emit("ai:decision", TOP, event_id="last-words")
        end()

    assert in_child(work) in (0, -signal.SIGKILL)
    assert [one.id for one in shipped(outbox.directory)] == ["last-words"]


def test_a_line_sealed_during_its_write_is_written_again(outbox: Outbox) -> None:
    """Another process seals thousands of times a second, at any moment of a write."""
    sealer = os.fork()
    if sealer == 0:
        pause, chance = threading.Event(), random.Random(1)
        while True:  # until killed
            pause.wait(chance.uniform(0, 3e-4))
            seal(outbox.directory)
    written, deadline = 0, time.monotonic() + 30
    try:
        while len(sealed_segments(outbox.directory)) <= 100:
            assert time.monotonic() < deadline
            for _ in range(500):
                outbox.append([event(written)])
                written += 1
    finally:
        os.kill(sealer, signal.SIGKILL)
        os.waitpid(sealer, 0)
    lines = sum(path.read_bytes().count(b'"event"') for path in outbox.directory.glob("*.jsonl"))
    print(f"{lines - written} of {written} events were written again")
    assert [one.id for one in shipped(outbox.directory)] == [f"e{number:05d}" for number in range(written)]


def test_a_file_removed_before_the_write_loses_no_event(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the worst case the file is sealed, delivered and removed between the open and the write."""
    outbox.append([event(0)])
    store = MemoryStore()
    write, overtaken = os.write, []

    def overtaking_write(file: int, data: bytes) -> int:
        if not overtaken:
            overtaken.append(file)
            shipper = Shipper(outbox.directory, store)
            shipper.run_once()
            shipper.close()
        return write(file, data)

    monkeypatch.setattr(os, "write", overtaking_write)
    outbox.append([event(1)])
    monkeypatch.undo()
    assert [one.id for one in store.fetch_trace("T").events] == ["e00000"]
    assert [one.id for one in shipped(outbox.directory)] == ["e00001"]


def test_the_next_writer_seals_a_full_segment(outbox: Outbox) -> None:
    small = Outbox(outbox.directory, max_bytes=640_000)
    for number in range(100):
        small.append([event(number, size=900)])
    segments = sealed_segments(outbox.directory)
    assert 8 <= len(segments) <= 10
    assert all(10_000 <= path.stat().st_size < 12_000 for path in segments)
    assert segments == sorted(segments)
    assert len(shipped(outbox.directory)) == 100


def test_a_full_outbox_refuses_starts_first_then_ends_and_counts_them(outbox: Outbox) -> None:
    bound = 640_000
    small = Outbox(outbox.directory, max_bytes=bound)

    def fill(event_type: str) -> int:
        for number in range(10_000):
            try:
                small.append([event(number, event_type, size=900)])
            except OutboxFullError:
                return sum(path.stat().st_size for path in outbox.directory.glob("*.jsonl"))
        raise AssertionError("never full")

    assert bound * 0.9 <= fill("stage:x:started") <= bound * 0.9 + 12_000
    assert bound <= fill("stage:x:compensated") <= bound + 12_000
    with pytest.raises(OutboxFullError, match=f"of {bound:,} bytes"):
        small.append([event(1, "job:failed")])
    with pytest.raises(OutboxFullError):
        small.append([event(1, "ai:decision")])
    assert (outbox.directory / REFUSED).stat().st_size == 4
    assert len(shipped(outbox.directory)) > 500
    small.append([event(1, "ai:decision")])


def test_repeated_sealing_keeps_the_bound(outbox: Outbox) -> None:
    """Every worker seals at its end, and during an outage no segment is delivered."""
    bound = 100_000
    small = Outbox(outbox.directory, max_bytes=bound)
    kept = refused = 0
    for number in range(400):
        try:
            small.append([event(number, size=900)])
            kept += 1
        except OutboxFullError:
            refused += 1
        if number % 10 == 9:
            seal(outbox.directory)
    assert sum(path.stat().st_size for path in outbox.directory.glob("*.jsonl")) <= bound + 12_000
    assert (outbox.directory / REFUSED).stat().st_size == refused > 200
    assert len(shipped(outbox.directory)) == kept
    small.append([event(1)])


def test_an_event_too_large_for_the_outbox_is_refused_alone(outbox: Outbox) -> None:
    small = Outbox(outbox.directory, max_bytes=64_000)
    with pytest.raises(OutboxFullError, match="too large"):
        small.append([event(1, size=10_000)])
    small.append([event(2)])
    assert [one.id for one in shipped(outbox.directory)] == ["e00002"]


def test_a_full_disk_loses_only_the_cut_event(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """The limit of a file's size cuts a write in the middle of a line, like a full disk."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        tracer = Tracer(outbox)
        emitted = [tracer.emit("ai:decision", TOP, event_id=f"child-{n}", data={"n": "x" * 60}) for n in range(10)]
        kept = [one.id for one in emitted if one is not None]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert 2 <= len(kept) <= 6
        assert kept == [f"child-{number}" for number in range(len(kept))]
        assert tracer.lost.total() == 10 - len(kept)
        # A cut write and a write that did not begin are two causes, each logged once.
        assert sorted(tracer.lost) == ["event lost: OSError 27", "event lost: OSError 28"]
        assert len(caplog.records) == 2
        (outbox.directory / "kept").write_text(" ".join(kept))

    assert in_child(work) == 0
    outbox.append([event(1)])
    kept = (outbox.directory / "kept").read_text().split()
    assert [one.id for one in shipped(outbox.directory)] == [*kept, "e00001"]
    assert not (outbox.directory / DEAD_LETTERS).exists(), "the writer knows of the event that was cut"


def test_a_replacing_event_overwrites_the_stored_one(outbox: Outbox, tmp_path: Path) -> None:
    """An observed event wins over a presumed one, in any order."""
    presumed, seen = event(1, "job:abandoned"), event(1, "job:completed")
    for order in (((presumed, False), (seen, True)), ((seen, True), (presumed, False))):
        for one, replace in order:
            outbox.append([one], replace=replace)
        store = SqliteStore(tmp_path / f"{order[0][0].event_type}.db")
        shipper = Shipper(outbox.directory, store)
        shipper.run_once()
        shipper.close()
        (found,) = store.fetch_trace("T").events
        store.close()
        assert found.event_type == "job:completed"
