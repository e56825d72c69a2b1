"""The SQLite store beyond the contract: many processes, forks, removed and replaced files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from sagatrace.errors import StoreError, StoreNotFoundError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import Search, open_store
from sagatrace.stores.memory import MemoryStore
from sagatrace.stores.sqlite import SqliteStore
from sagatrace.timestamps import utc_timestamp

# The fork server has imported the modules and has no threads, so its children start in milliseconds.
CLEAN = multiprocessing.get_context("forkserver")
CLEAN.set_forkserver_preload(["pytest", "sagatrace.stores.memory", "sagatrace.stores.sqlite"])
WRITERS = 8
PATIENT = 100.0  # seconds: these tests are about stored events, not about speed


def _write(path: Path, writer: int, each: int, start: Barrier) -> None:
    start.wait(PATIENT)
    with closing(SqliteStore(path, max_wait=PATIENT)) as store:
        for number in range(each):
            event = new_event(trace_id=f"T{number % 3}", span_id=f"{writer}", event_type="x", id=f"{writer}-{number}")
            assert store.append([event]) == 1


def _read(path: Path, start: Barrier, done: Event) -> None:
    start.wait(PATIENT)
    seen = 0
    while not done.is_set():
        reader = SqliteStore(path, read_only=True, max_wait=PATIENT)
        count = sum(len(reader.fetch_trace(f"T{trace}").events) for trace in range(3))
        reader.close()
        assert count >= seen, "events once stored are gone"
        seen = count


def test_eight_processes_write_concurrently_while_one_reads(tmp_path: Path, heavy: bool) -> None:
    """No event is lost or doubled, and no process gets "database is locked"."""
    path = tmp_path / "traces.db"
    each = 1000 if heavy else 150
    start, done = CLEAN.Barrier(WRITERS + 1), CLEAN.Event()
    with closing(SqliteStore(path)) as store:
        store.append([])
    writers = [CLEAN.Process(target=_write, args=(path, writer, each, start)) for writer in range(WRITERS)]
    reader = CLEAN.Process(target=_read, args=(path, start, done))
    for process in (*writers, reader):
        process.start()
    for process in writers:
        process.join(PATIENT)
    done.set()
    reader.join(PATIENT)
    assert [process.exitcode for process in (*writers, reader)] == [0] * (WRITERS + 1)
    with closing(SqliteStore(path, read_only=True)) as store:
        ids = [event.id for trace in range(3) for event in store.fetch_trace(f"T{trace}").events]
    assert sorted(ids) == sorted(f"{writer}-{number}" for writer in range(WRITERS) for number in range(each))


ROUNDS = 10


def _first_writes(directory: Path, number: int, start: Barrier) -> None:
    for round_ in range(ROUNDS):
        start.wait(PATIENT)
        with closing(SqliteStore(directory / f"{round_}" / "traces.db", max_wait=PATIENT)) as store:
            assert store.append([new_event(trace_id="T", span_id="S", event_type="x", id=f"{number}")]) == 1


def test_processes_that_create_the_same_file_concurrently_all_succeed(tmp_path: Path) -> None:
    start = CLEAN.Barrier(4)
    processes = [CLEAN.Process(target=_first_writes, args=(tmp_path, number, start)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENT)
    assert [process.exitcode for process in processes] == [0] * 4
    for round_ in range(ROUNDS):
        with closing(SqliteStore(tmp_path / f"{round_}" / "traces.db", read_only=True)) as reader:
            assert len(reader.fetch_trace("T").events) == 4


def test_a_fork_in_the_middle_of_a_store_s_life_loses_nothing(tmp_path: Path) -> None:
    """Parent and children use one store object, and are killed after their last append."""
    store = SqliteStore(tmp_path / "traces.db")
    for number in range(20):
        store.append([new_event(trace_id="T", span_id="S", event_type="x", id=f"parent-{number}")])
        child = os.fork()
        if child == 0:
            store.append([new_event(trace_id="T", span_id="S", event_type="x", id=f"child-{number}")])
            if number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == (signal.SIGKILL if number % 2 else 0)
    ids = {event.id for event in store.fetch_trace("T").events}
    store.close()
    assert ids == {f"{who}-{number}" for who in ("parent", "child") for number in range(20)}


def test_a_store_locked_too_long_is_an_error_after_max_wait(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    store = SqliteStore(path, max_wait=0.2)
    store.append([])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"held by other processes for 0\.2 s"):
        store.append([new_event(trace_id="T", span_id="S", event_type="x")])
    holder.execute("ROLLBACK")
    holder.close()
    assert store.append([new_event(trace_id="T", span_id="S", event_type="x")]) == 1
    store.close()


def test_reading_creates_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "none" / "traces.db"
    with pytest.raises(StoreNotFoundError, match="no store at"):
        open_store(f"sqlite:///{path}", read_only=True).search(Search())
    assert not path.parent.exists()
    with closing(SqliteStore(path)) as store, closing(SqliteStore(path, read_only=True)) as reader:
        store.append([new_event(trace_id="T", span_id="S", event_type="x")])
        with pytest.raises(StoreError, match="readonly"):
            reader.append([new_event(trace_id="T", span_id="S", event_type="x")])
        assert len(reader.fetch_trace("T").events) == 1


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _of(trace_id: str, *ids: str) -> list[TraceEvent]:
    return [new_event(trace_id=trace_id, span_id="S", event_type="x", id=event_id) for event_id in ids]


def test_a_file_removed_under_its_writers_is_created_again(tmp_path: Path) -> None:
    """Stored events are in the file at the path, not in a removed file."""
    path = tmp_path / "traces.db"
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as two:
        one.append(_of("T", "1"))
        two.append(_of("T", "2"))
        _remove(path)
        assert [one.append(_of("T", "3")), two.append(_of("T", "4")), one.append(_of("T", "5"))] == [1, 1, 1]
        with closing(SqliteStore(path, read_only=True)) as reader:
            assert {event.id for event in reader.fetch_trace("T").events} == {"3", "4", "5"}


def test_the_changes_in_a_replaced_file_are_all_its_events(tmp_path: Path) -> None:
    """Also if the disk gives the new file the inode number of the old one."""
    path = tmp_path / "traces.db"
    with closing(SqliteStore(path, read_only=True)) as reader:
        with closing(SqliteStore(path)) as store:
            store.append(_of("T", *"abc"))
            before, stamp = reader.fetch_since("T", None), reader.stamp()
        _remove(path)
        with pytest.raises(StoreNotFoundError):
            reader.stamp()
        with closing(SqliteStore(path)) as store:
            store.append(_of("T", *"defgh"))
            assert reader.stamp() != stamp
            found = reader.fetch_since("T", before.cursor)
            assert {event.id for event in found.events} == set("defgh")
            assert found.whole


def _as_an_ordinary_user(work: Callable[[], bool]) -> bool:
    """Run the work in a child that is not root, as root may write anywhere, and return its result."""
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            os._exit(0 if work() else 2)
        finally:
            os._exit(3)
    return os.waitpid(child, 0)[1] == 0


def test_a_store_in_a_read_only_directory_can_be_read_and_shows_later_changes(tmp_path: Path) -> None:
    """SQLite needs files beside a WAL database. Without them it reads the database as immutable; but it may change."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "traces.db"
        with closing(SqliteStore(path)) as store:
            store.append([new_event(trace_id="T", span_id="S", event_type="x")])
        path.chmod(0o644)  # as an owner who lets others read
        Path(name).chmod(0o755)
        again, resume = os.pipe()
        ready, go = os.pipe()

        def reads_twice() -> bool:
            reader = SqliteStore(path, read_only=True)
            before = len(reader.fetch_trace("T").events)
            os.write(resume, b".")
            os.read(ready, 1)
            return (before, len(reader.fetch_trace("T").events)) == (1, 2)

        def writes_between() -> None:
            os.read(again, 1)
            with closing(SqliteStore(path)) as store:
                store.append([new_event(trace_id="T", span_id="S", event_type="x")])
            os.write(go, b".")

        writer = threading.Thread(target=writes_between)
        writer.start()
        assert _as_an_ordinary_user(reads_twice)
        writer.join(30)
        for end in (again, resume, ready, go):
            os.close(end)


def test_the_error_for_an_inaccessible_path_names_it() -> None:
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "closed"
        closed.mkdir(mode=0o700)
        Path(name).chmod(0o755)

        def says_so() -> bool:
            with pytest.raises(StoreError, match=r"closed/x\.db: .*Permission denied"):
                SqliteStore(closed / "x.db", read_only=True).search(Search())
            return True

        if os.geteuid() != 0:
            closed.chmod(0)
        assert _as_an_ordinary_user(says_so)
        closed.chmod(0o700)


def test_threads_may_fork_and_write_concurrently(tmp_path: Path) -> None:
    """A fork takes the lock of every store, and releases exactly these locks."""
    stores = [SqliteStore(tmp_path / f"{number}.db") for number in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def forks() -> None:
        for _ in range(25):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)

    def writes() -> None:
        for number in range(150):
            stores[number % 3].append([new_event(trace_id="T", span_id="S", event_type="x")])

    threads = [threading.Thread(target=work, daemon=True) for work in (forks, forks, forks, writes, writes)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this test combines threads and fork on purpose
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(len(store.fetch_trace("T").events) for store in stores) == 300
    for store in stores:
        store.close()


def test_a_search_over_long_traces_gives_the_same_results_as_over_short_ones(tmp_path: Path) -> None:
    """After some thousand events of few traces the store steps from trace to trace, with the same results."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    events = [
        new_event(
            trace_id=f"T{number % 3}" if number > 10 else f"old-{number}",
            span_id="S",
            event_type="x:started",
            timestamp=utc_timestamp(start + timedelta(seconds=number // 2)),
            id=f"{number}",
        )
        for number in range(21_000)
    ]
    memory = MemoryStore()
    memory.append(events)
    middle = events[12_000].micros
    with closing(SqliteStore(tmp_path / "traces.db")) as store:
        store.append(events)
        page = store.search(Search(limit=2))
        searches = [
            Search(),
            Search(limit=2),
            Search(limit=2).after(page[-1]),
            Search(before=middle),
            Search(since=middle),
            Search(until=middle, since=events[11_000].micros),
            Search(trace_prefix="T"),
            Search(trace_prefix="old-1"),
            Search(trace_prefix="nope"),
        ]
        for search in searches:
            assert list(store.search(search)) == list(memory.search(search)), search


def test_a_document_that_is_not_an_event_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    store = SqliteStore(path)
    store.append([new_event(trace_id="T", span_id="S", event_type="x")])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO event (trace_id, id, at, document) VALUES ('T', 'bad', 1, '{\"id\":7}')")
    found = store.fetch_trace("T")
    store.close()
    assert len(found.events) == 1
    assert [(bad.document_id, bad.excerpt) for bad in found.malformed] == [("bad", '{"id":7}')]
    assert "id" in found.malformed[0].fault


def test_a_few_hundred_traces_are_one_query(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "traces.db")
    store.append([new_event(trace_id=f"T{n}", span_id="S", event_type="x") for n in range(450)])
    found = list(store.fetch_traces([f"T{n}" for n in range(450)]))
    assert [len(one.events) for one in found] == [1] * 450
    assert sum(one.cost.queries for one in found) == 3
    store.close()


def test_a_trial_that_ends_before_its_event_is_removed_leaves_none(tmp_path: Path) -> None:
    """No reader may see the event, also if the process is killed."""
    event = new_event(trace_id="T", span_id="S", event_type="x")
    with closing(SqliteStore(tmp_path / "traces.db")) as store:
        assert store.try_write(event)
        with closing(sqlite3.connect(tmp_path / "traces.db")) as other:
            other.execute("CREATE TRIGGER kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'kept'); END")
        with pytest.raises(StoreError, match="kept"):
            store.try_write(event)
        assert store.search(Search()) == []
