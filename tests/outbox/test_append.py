"""The outbox: an event emitted is on disk, whoever dies; it is bounded, private, and never breaks the work."""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from faults import in_child, stored
from sagatrace import TraceContext, Tracer, direct
from sagatrace.errors import OutboxFullError
from sagatrace.event import TraceEvent, new_event
from sagatrace.outbox import ACTIVE, REFUSED, Outbox, outbox_directory, seal, sealed_segments
from sagatrace.settings import Settings
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
    """What a shipper finds in the outbox, in order of id."""
    return shipped_to(MemoryStore(), directory)


def shipped_to(store: EventStore, directory: Path) -> list[TraceEvent]:
    shipper = Shipper(directory, store)
    assert shipper.run_once().fault is None
    shipper.close()
    return sorted(store.fetch_trace("T").events, key=lambda one: one.id)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def test_an_emitted_event_is_one_line_of_json(outbox: Outbox) -> None:
    tracer = Tracer(outbox)
    tracer.emit("ai:decision", TOP, data={"text": "a\nb"}, event_id="e1")
    tracer.emit("ai:decision", TOP, event_id="e2", replace=True)
    lines = [json.loads(line) for line in (outbox.directory / ACTIVE).read_text().split("\n") if line]
    assert [(line["event"]["id"], line.get("replace")) for line in lines] == [("e1", None), ("e2", True)]
    assert lines[0]["event"]["data"] == {"text": "a\nb"}


def test_nobody_else_may_read_it(outbox: Outbox) -> None:
    before = os.umask(0)
    try:
        outbox.append([event(1)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(outbox.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((outbox.directory / ACTIVE).stat().st_mode) == 0o600


def test_no_descriptor_stays_open(outbox: Outbox) -> None:
    """A number kept open would outlive `os.closerange` in a job, and then mean another file of the job's."""
    before = set(Path("/proc/self/fd").iterdir())
    outbox.append([event(1)])
    assert set(Path("/proc/self/fd").iterdir()) == before


FIELDS = {"id": "e1", "trace_id": "T", "span_id": "S", "event_type": "job:started", "data": {"note": "a\nb"}}


@pytest.mark.parametrize("end", [lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_what_was_emitted_outlives_the_process(outbox: Outbox, end: Callable[[], object]) -> None:
    tracer = Tracer(outbox)

    def work() -> None:
        tracer.emit("ai:decision", TOP, event_id="last-words")
        end()

    assert in_child(work) in (0, -signal.SIGKILL)
    assert [one.id for one in shipped(outbox.directory)] == ["last-words"]


def test_what_is_sealed_while_it_is_written_is_written_again(outbox: Outbox) -> None:
    """A writer races with somebody who seals thousands of times a second, at any moment of its writing."""
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


def test_a_writer_that_was_overtaken_by_the_shipper_loses_nothing(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: between opening the file and writing to it, it is sealed, delivered and removed."""
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


def test_a_full_segment_is_sealed_by_whoever_meets_it(outbox: Outbox) -> None:
    small = Outbox(outbox.directory, max_bytes=640_000)
    for number in range(100):
        small.append([event(number, size=900)])
    segments = sealed_segments(outbox.directory)
    assert 8 <= len(segments) <= 10
    assert all(10_000 <= path.stat().st_size < 12_000 for path in segments)
    assert segments == sorted(segments)
    assert len(shipped(outbox.directory)) == 100


def test_a_full_outbox_refuses_beginnings_first_then_ends_and_counts_them(outbox: Outbox) -> None:
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


def test_sealing_again_and_again_does_not_undo_the_bound(outbox: Outbox) -> None:
    """Every worker seals at its end, and during an outage nothing of it goes."""
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


def test_a_disk_that_fills_up_costs_only_the_event_it_cut(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """The limit on a file's size cuts a write as a full disk does: in the middle of a line."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        tracer = Tracer(outbox)
        emitted = [tracer.emit("ai:decision", TOP, event_id=f"child-{n}", data={"n": "x" * 60}) for n in range(10)]
        kept = [one.id for one in emitted if one is not None]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert 2 <= len(kept) <= 6
        assert kept == [f"child-{number}" for number in range(len(kept))]
        assert tracer.lost.total() == 10 - len(kept)
        # The write that was cut and those that did not begin are two causes, each logged once.
        assert sorted(tracer.lost) == ["event lost: OSError 27", "event lost: OSError 28"]
        assert len(caplog.records) == 2
        (outbox.directory / "kept").write_text(" ".join(kept))

    assert in_child(work) == 0
    outbox.append([event(1)])
    kept = (outbox.directory / "kept").read_text().split()
    assert [one.id for one in shipped(outbox.directory)] == [*kept, "e00001"]
    assert not (outbox.directory / DEAD_LETTERS).exists(), "the writer knows of the event that was cut"


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can write to; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def as_nobody() -> None:
    """For root every directory is writable: so be somebody else."""
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)


def test_an_outbox_that_cannot_be_written_is_bypassed_while_the_store_is_there(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    readonly, database = open_directory / "readonly", open_directory / "traces.db"
    readonly.mkdir(mode=0o500)
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(readonly))
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{database}")

    def work() -> None:
        as_nobody()
        tracer = Tracer()
        for number in range(5):
            assert tracer.emit("ai:decision", TOP, event_id=f"e{number}") is not None
        tracer.close()
        assert tracer.lost == {"delivered directly, outbox unusable: PermissionError 13": 5}
        assert len(caplog.records) == 1

    with caplog.at_level(logging.ERROR, "sagatrace"):
        assert in_child(work) == 0
    assert stored(database) == [("T", f"e{number}") for number in range(5)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("what", ["file", "directory"])
def test_an_outbox_of_another_user_takes_no_event(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Open to all, it could be a trap: its owner would read the events."""
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(open_directory / "outbox"))
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{open_directory}/traces.db")
    directory = outbox_directory(Settings.from_env())
    assert directory is not None
    directory.mkdir(parents=True)
    if what == "file":
        (directory / ACTIVE).write_text("{}")
        (directory / ACTIVE).chmod(0o666)
        os.chown(directory / ACTIVE, 65534, 65534)
    else:
        directory.chmod(0o777)
        os.chown(directory, 65534, 65534)
    tracer = Tracer()
    assert tracer.emit("ai:decision", TOP, event_id="e1") is not None
    tracer.close()
    assert tracer.lost == {"delivered directly, outbox unusable: PermissionError 13": 1}
    assert stored(open_directory / "traces.db") == [("T", "e1")]


def test_when_neither_takes_the_event_it_is_lost_and_the_store_is_not_asked_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "file" / "outbox"))
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/file/traces.db")
    tracer = Tracer()
    with caplog.at_level(logging.ERROR, "sagatrace"):
        assert [tracer.emit("ai:decision", TOP) for _ in range(5)] == [None] * 5
    assert tracer.lost == {
        "event lost: StoreError": 1,
        "event lost: NotADirectoryError 20": 4,
    }
    assert len(caplog.records) == 2
    assert "and the outbox is unusable: [Errno 20]" in caplog.records[0].getMessage()


def test_a_direct_write_takes_half_a_second_of_a_minute_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its clock, which the store moves by as much as it may take."""
    clock, waits = [0.0], list[float]()

    class SlowStore(MemoryStore):
        def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
            clock[0] += waits[-1]
            return super().append(events, replace)

    def opened(_: str, __: Settings, max_wait: float) -> EventStore:
        waits.append(max_wait)
        return SlowStore()

    (tmp_path / "file").touch()
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "file" / "outbox"))
    monkeypatch.setattr(direct, "opened_store", opened)
    monkeypatch.setattr(direct, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    tracer, ends = Tracer(), list[float]()
    for second in range(300):
        clock[0] = float(second)
        if tracer.emit("ai:decision", TOP) is not None:
            ends.append(clock[0])
    assert set(waits) == {0.25}
    assert len(ends) == 10  # two of every minute
    assert all(later - first > 60 for first, later in zip(ends, ends[2:], strict=False))


def test_each_store_has_an_outbox_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "outbox"))
    for store, name in ((one, "e1"), (other, "e2")):
        monkeypatch.setenv("SAGATRACE_STORE", store)
        assert Tracer().emit("ai:decision", TOP, event_id=name)
    directories = [outbox_directory(Settings(store=store, outbox=f"{tmp_path}/outbox")) for store in (one, other)]
    assert None not in directories
    assert [[one.id for one in shipped(directory)] for directory in directories if directory] == [["e1"], ["e2"]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"SAGATRACE_STORE": "cosmos://a/db/c"}, {"SAGATRACE_STORE": "cosmos://b/db/c"}),
        (
            {
                "SAGATRACE_STORE": "cosmos:///db/c",
                "SAGATRACE_COSMOS_CONNECTION_STRING": "AccountEndpoint=https://a/;K=1",
            },
            {
                "SAGATRACE_STORE": "cosmos:///db/c",
                "SAGATRACE_COSMOS_CONNECTION_STRING": "AccountEndpoint=https://b/;K=1",
            },
        ),
    ],
)
def test_no_two_accounts_share_an_outbox(one: dict[str, str], other: dict[str, str]) -> None:
    assert outbox_directory(Settings.from_env(one)) != outbox_directory(Settings.from_env(other))
    assert outbox_directory(Settings.from_env(one)) == outbox_directory(Settings.from_env(one))


def test_a_relative_file_in_two_directories_is_two_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.add(outbox_directory(Settings(store="sqlite:///traces.db", outbox=f"{tmp_path}/outbox")))
    assert len(found) == 2


def test_where_events_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite files are written to directly but by workers; `off` and a directory are taken by their word."""
    local = Settings(store=f"sqlite:///{tmp_path}/traces.db")
    assert outbox_directory(local) is None
    assert outbox_directory(local, in_worker=True) == tmp_path / "traces.db-outbox"
    assert outbox_directory(Settings(store=local.store, outbox="off"), in_worker=True) is None
    assert outbox_directory(Settings(store="memory:"), in_worker=True) is None
    of_worker = local.outbox_of_worker
    assert outbox_directory(Settings(store=local.store, outbox=of_worker)) == tmp_path / "traces.db-outbox"
    assert outbox_directory(Settings(store=f"sqlite:///{tmp_path}/other.db", outbox=of_worker)) is None
    explicit = outbox_directory(Settings(store=local.store, outbox=f"{tmp_path}/o"))
    assert explicit is not None
    assert explicit.parent == tmp_path / "o"
    assert outbox_directory(Settings(store="off", outbox=f"{tmp_path}/o")) is None
    assert Settings.from_env({"SAGATRACE_OUTBOX": " off "}).outbox == "off"
    assert Settings.from_env({}).outbox == "auto"
    assert Settings.from_env({"SAGATRACE_OUTBOX_MB": "0.5"}).outbox_mb == 0.5
    monkeypatch.setenv("SAGATRACE_STORE", local.store)
    tracer = Tracer()
    tracer.emit("ai:decision", TOP, event_id="e1")
    tracer.close()
    assert stored(tmp_path / "traces.db") == [("T", "e1")]
    assert not (tmp_path / "traces.db-outbox").exists()


def test_a_tracer_with_a_store_or_a_url_writes_to_it_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "outbox"))
    memory = MemoryStore()
    Tracer(memory).emit("ai:decision", TOP, event_id="e1")
    assert [one.id for one in memory.fetch_trace("T").events] == ["e1"]
    tracer = Tracer(f"sqlite:///{tmp_path}/traces.db")
    tracer.emit("ai:decision", TOP, event_id="e2")
    tracer.close()
    assert stored(tmp_path / "traces.db") == [("T", "e2")]
    assert not (tmp_path / "outbox").exists()


def test_what_replaces_writes_over_what_was_there(outbox: Outbox, tmp_path: Path) -> None:
    """What was seen wins over what was presumed, whichever came first."""
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
