"""The SQLite store where it is more than the contract: many processes, forks, files that are something else."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import tempfile
from contextlib import closing
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from sagatrace.errors import StoreError, StoreNotFoundError
from sagatrace.events import new_event
from sagatrace.stores import Search, open_store
from sagatrace.stores.sqlite import SqliteStore

SPAWN = multiprocessing.get_context("spawn")
WRITERS, EACH = 8, 1000


def _write(path: Path, writer: int, start: Barrier) -> None:
    start.wait(60)
    with closing(SqliteStore(path)) as store:
        for number in range(EACH):
            event = new_event(trace_id=f"T{number % 3}", span_id=f"{writer}", event_type="x", id=f"{writer}-{number}")
            assert store.append([event]) == 1


def _read(path: Path, start: Barrier, done: Event) -> None:
    start.wait(60)
    seen = 0
    while not done.is_set():
        reader = SqliteStore(path, read_only=True)
        count = sum(len(reader.fetch_trace(f"T{trace}").events) for trace in range(3))
        reader.close()
        assert count >= seen, "events once stored are gone"
        seen = count


def test_eight_processes_write_at_once_while_one_reads(tmp_path: Path) -> None:
    """Nothing is lost, nothing comes twice, and no "database is locked" reaches anyone."""
    path = tmp_path / "traces.db"
    start, done = SPAWN.Barrier(WRITERS + 1), SPAWN.Event()
    with closing(SqliteStore(path)) as store:
        store.append([])
    writers = [SPAWN.Process(target=_write, args=(path, writer, start)) for writer in range(WRITERS)]
    reader = SPAWN.Process(target=_read, args=(path, start, done))
    for process in (*writers, reader):
        process.start()
    for process in writers:
        process.join(100)
    done.set()
    reader.join(20)
    assert [process.exitcode for process in (*writers, reader)] == [0] * (WRITERS + 1)
    with closing(SqliteStore(path, read_only=True)) as store:
        ids = [event.id for trace in range(3) for event in store.fetch_trace(f"T{trace}").events]
    assert sorted(ids) == sorted(f"{writer}-{number}" for writer in range(WRITERS) for number in range(EACH))


def _first_write(path: Path, number: int, start: Barrier) -> None:
    start.wait(60)
    with closing(SqliteStore(path)) as store:
        assert store.append([new_event(trace_id="T", span_id="S", event_type="x", id=f"{number}")]) == 1


def test_processes_that_create_the_same_file_at_once_all_succeed(tmp_path: Path) -> None:
    for round_ in range(5):
        path = tmp_path / f"{round_}" / "traces.db"
        start = SPAWN.Barrier(4)
        processes = [SPAWN.Process(target=_first_write, args=(path, number, start)) for number in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 4
        with closing(SqliteStore(path, read_only=True)) as reader:
            assert len(reader.fetch_trace("T").events) == 4


def test_a_fork_in_the_middle_of_a_store_s_life_loses_nothing(tmp_path: Path) -> None:
    """Parent and children, each killed right after its last append, all use one store object."""
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


def test_a_store_held_for_too_long_is_an_error_after_the_bound(tmp_path: Path) -> None:
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


def test_a_store_in_a_directory_nobody_may_write_to_can_be_read(tmp_path: Path) -> None:
    """SQLite wants files beside a WAL database; a copy on a read-only mount has none and may get none."""
    with closing(SqliteStore(tmp_path / "traces.db")) as store:
        store.append([new_event(trace_id="T", span_id="S", event_type="x")])
    with tempfile.TemporaryDirectory() as name:
        frozen = Path(name) / "traces.db"
        shutil.copy(tmp_path / "traces.db", frozen)
        frozen.parent.chmod(0o555)
        child = os.fork()
        if child == 0:
            if os.geteuid() == 0:
                os.setuid(65534)  # root may write anywhere
            try:
                found = SqliteStore(frozen, read_only=True).fetch_trace("T")
                os._exit(0 if len(found.events) == 1 else 2)
            finally:
                os._exit(3)
        assert os.waitpid(child, 0)[1] == 0
        frozen.parent.chmod(0o755)


@pytest.mark.parametrize("content", ["", "not a database at all, but long enough to be looked at" * 20])
def test_a_file_that_is_something_else_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        SqliteStore(path, read_only=True).search(Search())
    assert path.read_text() == content


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE customers (name)")
    for read_only in (True, False):
        with pytest.raises(StoreError, match="not a sagatrace store"):
            SqliteStore(path, read_only=read_only).search(Search())
    with closing(sqlite3.connect(path)) as other, other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("customers",)]


def test_a_newer_schema_says_to_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with closing(SqliteStore(path)) as store:
        store.append([])
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="upgrade sagatrace"):
        SqliteStore(path).search(Search())


def test_a_document_that_is_no_event_is_kept_aside(tmp_path: Path) -> None:
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
