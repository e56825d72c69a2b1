"""The target of events: which outbox, and where they go if it is unusable."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from faults import in_child, stored
from sagatrace import TraceContext, Tracer, direct
from sagatrace.destination import SERVED, outbox_directory, outbox_id, serve, serve_no_longer
from sagatrace.event import TraceEvent
from sagatrace.segments import ACTIVE
from sagatrace.settings import Settings
from sagatrace.stores import EventStore
from sagatrace.stores.memory import MemoryStore

TOP = TraceContext("T")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Create a directory that every user can write to. pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def as_nobody() -> None:
    """Run as another user: root can write to every directory."""
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
    # By a clock that stands still: on a busy machine the writes may take longer than direct writes may.
    monkeypatch.setattr(direct, "time", SimpleNamespace(monotonic=lambda: 0.0))

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
    """An outbox that is open to all could be a trap: its owner would read the events."""
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


def test_an_event_that_neither_outbox_nor_store_accepts_is_lost_and_the_store_is_not_tried_each_time(
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


def test_direct_writes_take_at_most_half_a_second_of_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store moves the clock forward by its longest wait."""
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
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
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
    kept = [(directory / ACTIVE).read_text() for directory in directories if directory is not None]
    assert [[f'"{name}"' in text for name in ("e1", "e2")] for text in kept] == [[True, False], [False, True]]


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


def test_the_settings_decide_where_events_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite files are written directly, except by workers. `off` and a directory are used as they are."""
    local = Settings(store=f"sqlite:///{tmp_path}/traces.db")
    assert outbox_directory(local) is None
    assert outbox_directory(local, in_worker=True) == tmp_path / "traces.db-outbox"
    assert outbox_directory(Settings(store=local.store, outbox="off"), in_worker=True) is None
    assert outbox_directory(Settings(store="memory:"), in_worker=True) is None
    with monkeypatch.context() as of_worker:
        of_worker.setenv(SERVED, outbox_id(local))
        assert outbox_directory(local) == tmp_path / "traces.db-outbox"
        assert outbox_directory(Settings(store=f"sqlite:///{tmp_path}/other.db")) is None
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


def test_each_of_two_workers_in_threads_has_the_outbox_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker ends first. A tracer of the second one's jobs must not open the file."""
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    monkeypatch.setenv(SERVED, "of-another")
    outbox, workers, of_job = outbox_id(Settings.from_env()), [Tracer(), Tracer()], Tracer()
    for worker in workers:
        serve(outbox, worker.destination)
        worker.emit("job:started", TOP)
    serve_no_longer(workers[0].destination)
    of_job.emit("ai:decision", TOP)
    assert of_job.destination.opened is workers[1].destination.opened
    serve_no_longer(workers[1].destination)
    assert os.environ[SERVED] == "of-another"
    of_job.emit("ai:decision", TOP, event_id="e1")
    of_job.close()
    assert stored(tmp_path / "traces.db") == [("T", "e1")]


def test_a_job_that_switches_recording_off_records_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    monkeypatch.setenv(SERVED, "")
    outbox, worker = outbox_id(Settings.from_env()), Tracer()
    serve(outbox, worker.destination)
    worker.emit("job:started", TOP)
    before = (tmp_path / "traces.db-outbox" / ACTIVE).read_bytes()
    monkeypatch.setenv("SAGATRACE", "off")
    Tracer().emit("ai:decision", TOP)
    serve_no_longer(worker.destination)
    assert (tmp_path / "traces.db-outbox" / ACTIVE).read_bytes() == before


def test_a_tracer_with_a_store_or_a_url_ignores_the_environment(
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
