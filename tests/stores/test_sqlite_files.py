"""Files at the path of a SQLite store that are not stores, or not yet."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sagatrace.errors import StoreError
from sagatrace.event import new_event
from sagatrace.stores import Search
from sagatrace.stores.sqlite import SqliteStore
from sagatrace.stores.sqlite_file import create_private


def test_a_file_that_is_not_a_store_is_named(tmp_path: Path) -> None:
    path, content = tmp_path / "notes.txt", "not a database at all, but long enough to be looked at" * 20
    path.write_text(content)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        SqliteStore(path, read_only=True).search(Search())
    assert path.read_text() == content


def test_the_error_for_an_unusable_file_gives_the_fix(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "traces.db")
    with closing(store):
        store.append(new_event(trace_id=f"T{n}", span_id="S", event_type="x") for n in range(500))
    whole = (tmp_path / "traces.db").read_bytes()
    (tmp_path / "damaged.db").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("no database at all" * 50)
    (tmp_path / "folder").mkdir()
    said = {
        "damaged.db": r"damaged\.db.* it is damaged, restore a copy",
        "notes.txt": r"notes\.txt: file is not a database: it holds something else, give another path",
        "folder": r"folder: it is a directory; name a file in it, e\.g\. sqlite:///.*/folder/traces\.db",
    }
    for name, message in said.items():
        for read_only in (True, False):
            with pytest.raises(StoreError, match=message):
                SqliteStore(tmp_path / name, read_only=read_only).fetch_trace("T499")


def test_another_program_s_database_stays_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE customers (name)")
    for read_only in (True, False):
        with pytest.raises(StoreError, match="not a sagatrace store"):
            SqliteStore(path, read_only=read_only).search(Search())
    with closing(sqlite3.connect(path)) as other, other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("customers",)]


def test_the_error_for_a_newer_schema_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with closing(SqliteStore(path)) as store:
        store.append([])
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="upgrade sagatrace"):
        SqliteStore(path).search(Search())


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device"])
def test_a_pipe_or_a_device_is_refused(tmp_path: Path, kind: str, read_only: bool) -> None:
    path = tmp_path / "traces.db"
    os.mkfifo(tmp_path / "pipe")
    path.symlink_to({"pipe": tmp_path / "pipe", "link to a pipe": path.with_name("link"), "device": "/dev/zero"}[kind])
    path.with_name("link").symlink_to(tmp_path / "pipe")
    store = SqliteStore(path, read_only=read_only)
    with pytest.raises(StoreError, match="is not a regular file"):
        store.search(Search())
    with pytest.raises(StoreError, match="is not a regular file"):
        store.append([])


@pytest.mark.parametrize("begun", [False, True], ids=["0 bytes", "no table yet"])
def test_a_file_without_a_table_is_an_empty_store(tmp_path: Path, begun: bool) -> None:
    path = tmp_path / "traces.db"
    path.touch()
    if begun:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    reader = SqliteStore(path, read_only=True)
    assert reader.search(Search()) == []
    assert reader.fetch_trace("T").events == ()
    cursor = reader.fetch_since("T", None).cursor
    writer = SqliteStore(path)
    writer.append([new_event(trace_id="T", span_id="s", event_type="x")])
    assert [one.span_id for one in reader.fetch_since("T", cursor).events] == ["s"]
    assert [hit.trace_id for hit in reader.search(Search())] == ["T"]
    reader.close()
    writer.close()


def test_a_new_file_has_its_name_only_after_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A close drops all locks of this process, also those that another thread took for the store meanwhile."""
    path, named, close = tmp_path / "traces.db", [], os.close

    def noting(file: int) -> None:
        named.append(path.exists())
        close(file)

    monkeypatch.setattr(os, "close", noting)
    create_private(path)
    assert named == [False]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(b"kept")
    create_private(path)
    assert (named, path.read_bytes()) == ([False], b"kept")


def test_a_file_system_without_hard_links_takes_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays open there, so no lock is dropped."""
    path, closed, close = tmp_path / "traces.db", [], os.close

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    def noting(file: int) -> None:
        closed.append(path.exists())
        close(file)

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "close", noting)
    create_private(path)
    assert closed == [False]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
