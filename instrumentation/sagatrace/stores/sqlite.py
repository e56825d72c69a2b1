"""The embedded store: one SQLite file in WAL mode, for many writing processes and readers at once.

A connection never crosses a fork: SQLite keeps its file locks per process and a child that inherits them can
hang or lose rows. So every open connection is closed before this process forks, and opened again on next use.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from sagatrace.errors import EventError, StoreError, StoreNotFoundError
from sagatrace.events import TraceEvent, decode_event, encode_event
from sagatrace.stores import FetchedTrace, ReadCost, Search, TraceHit, TraceHits, decode_documents

__all__ = ["SCHEMA_VERSION", "SqliteStore", "path_from_url"]

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x53414754  # "SAGT", so that `file` and a wrong path tell what this is

# `position` orders rows by arrival, so that a reader can ask for what is new.
_SCHEMA: Final = f"""
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    document BLOB NOT NULL,
    UNIQUE (trace_id, id)
);
CREATE INDEX event_at ON event (at, trace_id);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_T = TypeVar("_T")


def path_from_url(url: str) -> Path:
    """The file a `sqlite:` URL names, absolute: `sqlite:///a.db` lies here, `sqlite:////tmp/a.db` in /tmp.

    As SQLAlchemy has it; `~` is the user's home. Raises StoreError.
    """
    parts = urlsplit(url)
    text = unquote(parts.path)
    if parts.netloc or not text.startswith("/") or text == "/" or parts.query:
        raise StoreError(f"store URL {url!r} names no file: write sqlite:///PATH, e.g. sqlite:///traces.db")
    try:
        return Path(text[1:]).expanduser().absolute()
    except RuntimeError as error:
        raise StoreError(f"store URL {url!r}: {error}") from error


class SqliteStore:
    """Events in the file at `path`; created with its directory on first write, unless `read_only`.

    `max_wait` bounds, in seconds, how long one call waits for other processes' locks.
    """

    def __init__(self, path: Path, *, read_only: bool = False, max_wait: float = 5.0) -> None:
        self._path = path
        self._read_only = read_only
        self._max_wait = max_wait
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        _stores.add(self)

    @property
    def label(self) -> str:
        """The store's address."""
        return f"sqlite:///{self._path}"

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events in one transaction and say how many were new."""
        rows = [(event.trace_id, event.id, event.micros, encode_event(event)) for event in events]

        def write(connection: sqlite3.Connection) -> int:
            with _transaction(connection):
                return sum(_insert(connection, row, replace=replace) for row in rows)

        return self._with_connection(write)

    def fetch_trace(self, trace_id: str) -> FetchedTrace:
        """Everything of one trace, in one query."""
        began = time.perf_counter()
        query = "SELECT id, CAST(document AS BLOB) FROM event WHERE trace_id = ?"
        documents = self._with_connection(lambda connection: connection.execute(query, (trace_id,)).fetchall())
        events, malformed = decode_documents(documents)
        cost = ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000)
        return FetchedTrace(trace_id, tuple(events), tuple(malformed), cost)

    def search(self, search: Search) -> TraceHits:
        """The traces with the latest matching events, newest first."""
        began = time.perf_counter()
        query, values = _query(search)

        def read(connection: sqlite3.Connection) -> list[TraceHit]:
            hits: dict[str, TraceHit] = {}
            for trace_id, at, document in connection.execute(query, values):
                if trace_id not in hits and _matches(search, document):
                    hits[trace_id] = TraceHit(trace_id, at)
                    if len(hits) == search.limit:
                        break
            return list(hits.values())

        hits = self._with_connection(read)
        return TraceHits(hits, ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000))

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _with_connection(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run the work, again while another process holds the file, for at most `max_wait` seconds."""
        deadline = time.monotonic() + self._max_wait
        with self._lock:
            while True:
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return work(self._connection)
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() >= deadline:
                        self.close()
                        raise self._failure(error) from error
                    time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - spreads waiting processes, no secret
                except sqlite3.Error as error:
                    self.close()
                    raise self._failure(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            return self._open_for_reading()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failure(error) from error
        connection = self._connect(f"{self._path.as_uri()}?mode=rwc")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # survives any death of a process
            if _version(connection) == 0:
                _create_schema(connection)
            self._check_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_for_reading(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise StoreNotFoundError(
                f"no store at {self._path} yet: a traced worker creates it (SAGATRACE_STORE={self.label}), "
                f"`sagatrace import` fills one from a file, `sagatrace-tui --demo` shows one at work"
            )
        uri = f"{self._path.as_uri()}?mode=ro"
        connection = self._connect(uri)
        try:
            connection.execute("PRAGMA query_only = ON")
            self._check_schema(connection)
        except sqlite3.OperationalError:
            connection.close()
            if self._path.with_name(self._path.name + "-wal").exists() or not os.access(self._path, os.R_OK):
                raise
            # A file nobody writes to, in a directory we may not write to: SQLite reads it only when told so.
            connection = self._connect(f"{uri}&immutable=1")
            self._check_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=self._max_wait, isolation_level=None, check_same_thread=False)

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version == SCHEMA_VERSION:
            return
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} was written by a newer sagatrace (schema {version}, this one reads {SCHEMA_VERSION}): "
                f"upgrade sagatrace here"
            )
        raise StoreError(f"{self._path} is a database, but not a sagatrace store: give another path")

    def _failure(self, error: Exception) -> StoreError:
        if _is_busy(error):
            return StoreError(f"{self._path} was held by other processes for {self._max_wait:g} s: {error}")
        return StoreError(f"cannot use the store {self._path}: {error}")


def _insert(connection: sqlite3.Connection, row: tuple[str, str, int, bytes], *, replace: bool) -> bool:
    """Write one event inside a transaction; whether it was new."""
    trace_id, event_id, at, document = row
    inserted = connection.execute(
        "INSERT INTO event (trace_id, id, at, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row
    )
    if inserted.rowcount:
        return True
    if replace:
        # A new position, so that whoever reads what is new learns of it; told twice, it is no news.
        connection.execute(
            "UPDATE event SET position = (SELECT max(position) + 1 FROM event), at = ?, document = ? "
            "WHERE trace_id = ? AND id = ? AND document <> ?",
            (at, document, trace_id, event_id, document),
        )
    return False


def _query(search: Search) -> tuple[str, list[str | int | bytes]]:
    """Walk the index from its newest end: the cost follows the answer, not the file.

    What SQL cannot say as the contract does is left to `Search.matches`; what it can say in C is asked here.
    """
    where = ["at >= ?", "at < ?", "substr(trace_id, 1, ?) = ?"]
    values: list[str | int | bytes] = [
        -(2**62) if search.since is None else search.since,
        2**62 if search.until is None else search.until,
        len(search.trace_prefix),
        search.trace_prefix,
    ]
    if search.before is not None:
        where.append("at <= ? AND (at < ? OR trace_id < ?)")
        values += [search.before, search.before, search.before_trace]
    for text in filter(None, (search.event_type, search.tag)):
        where.append("instr(document, ?) > 0")
        values.append(msgspec.json.encode(text))
    document = "document" if search.reads_documents else "NULL"
    conditions = " AND ".join(where)
    query = f"SELECT trace_id, at, {document} FROM event WHERE {conditions} ORDER BY at DESC, trace_id DESC"  # noqa: S608 - built from constants, values are bound
    return query, values


def _matches(search: Search, document: bytes | None) -> bool:
    if document is None:
        return True
    try:
        return search.matches(decode_event(document))
    except EventError:
        return False


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT, rolled back on any exception, a job's timeout among them."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create_schema(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if empty and _version(connection) == 0:  # another process may have been first
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_stores: Final[weakref.WeakSet[SqliteStore]] = weakref.WeakSet()
_held: Final[list[SqliteStore]] = []


def _before_fork() -> None:
    for store in list(_stores):
        store._lock.acquire()  # noqa: SLF001 - this module's own class
        _held.append(store)
        store.close()


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()  # noqa: SLF001


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
