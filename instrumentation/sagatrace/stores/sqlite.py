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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from sagatrace.errors import EventError, StoreError, StoreNotFoundError
from sagatrace.events import TraceEvent, decode_event, encode_event
from sagatrace.stores import FetchedTrace, ReadCost, Search, TraceHit, TraceHits, decode_documents
from sagatrace.stores.forks import closed_across_forks

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
CREATE INDEX event_trace ON event (trace_id, at);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_WALK: Final = 20_000  # events walked through before going from trace to trace instead
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

    `max_wait` bounds, in seconds, how long one call waits for others' locks (creating the file may take it twice).
    """

    def __init__(self, path: Path, *, read_only: bool = False, max_wait: float = 5.0) -> None:
        self._path = path
        self._read_only = read_only
        self._max_wait = max_wait
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._frozen = False
        closed_across_forks(self)

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
        hits = self._with_connection(lambda connection: _found(connection, search))
        return TraceHits(hits, ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000))

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _with_connection(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run the work, again while another process holds the file, for at most `max_wait` seconds."""
        deadline = time.monotonic() + self._max_wait
        if not self.lock.acquire(timeout=self._max_wait):
            raise StoreError(f"{self._path} was held by another thread for {self._max_wait:g} s")
        try:
            while True:
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    left = max(0, int((deadline - time.monotonic()) * 1000))
                    self._connection.execute(f"PRAGMA busy_timeout = {left}")
                    return work(self._connection)
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() >= deadline:
                        self.close()
                        raise self._failure(error) from error
                    time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - spreads waiting processes, no secret
                except sqlite3.Error as error:
                    self.close()
                    raise self._failure(error) from error
        finally:
            if self._frozen:
                self.close()
            self.lock.release()

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
        try:
            self._path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreNotFoundError(
                f"no store at {self._path} yet: a traced worker creates it (SAGATRACE_STORE={self.label}), "
                f"`sagatrace import` fills one from a file, `sagatrace-tui --demo` shows one at work"
            ) from error
        except OSError as error:
            raise self._failure(error) from error
        uri = f"{self._path.as_uri()}?mode=ro"
        self._frozen = False
        connection = self._connect(uri)
        try:
            connection.execute("PRAGMA query_only = ON")
            self._check_schema(connection)
        except sqlite3.OperationalError:
            connection.close()
            if self._path.with_name(self._path.name + "-wal").exists() or not os.access(self._path, os.R_OK):
                raise
            # A directory we may not write to, and nobody has the file open: SQLite then reads it only when told that
            # it will not change. It may, later: so such a connection serves one call.
            self._frozen = True
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


def _found(connection: sqlite3.Connection, search: Search) -> list[TraceHit]:
    """Walk from the newest event back until enough traces are found; or, where that goes far, from trace to trace."""
    hits: dict[str, TraceHit] = {}
    if search.reads_documents or not search.trace_prefix:
        query, values = _backwards(search)
        walked = 0
        for walked, (trace_id, at, document) in enumerate(connection.execute(query, values), start=1):
            if trace_id not in hits and _matches(search, document):
                hits[trace_id] = TraceHit(trace_id, at)
                if len(hits) == search.limit:
                    return list(hits.values())
            if walked == _WALK and not search.reads_documents:
                break
        if walked < _WALK or search.reads_documents:
            return list(hits.values())
    return [TraceHit(*row) for row in connection.execute(*_by_trace(search))]


def _window(search: Search) -> tuple[str, list[str | int | bytes]]:
    where = "at >= ? AND at < ?"
    values: list[str | int | bytes] = [
        -(2**62) if search.since is None else search.since,
        2**62 if search.until is None else search.until,
    ]
    if search.before is not None:
        where += " AND at <= ? AND (at < ? OR trace_id < ?)"
        values += [search.before, search.before, search.before_trace]
    return where, values


def _backwards(search: Search) -> tuple[str, list[str | int | bytes]]:
    """Events by time, newest first: the cost follows the answer, not the file, where conditions are met often.

    What SQL cannot say as the contract does is left to `Search.matches`; what it can say in C is asked here.
    """
    where, values = _window(search)
    where += " AND substr(trace_id, 1, ?) = ?"
    values += [len(search.trace_prefix), search.trace_prefix]
    for text in filter(None, (search.event_type, search.tag)):
        where += " AND instr(document, ?) > 0"
        values.append(msgspec.json.encode(text))
    document = "document" if search.reads_documents else "NULL"
    return f"SELECT trace_id, at, {document} FROM event WHERE {where} ORDER BY at DESC, trace_id DESC", values  # noqa: S608 - built from constants, values are bound


def _by_trace(search: Search) -> tuple[str, list[str | int | bytes]]:
    """Each trace's latest event, by leaps from one trace id to the next: the cost follows the number of traces."""
    where, values = _window(search)
    prefix = search.trace_prefix
    query = f"""
        WITH RECURSIVE trace(id) AS (
            SELECT min(trace_id) FROM event WHERE trace_id >= ?
            UNION ALL
            SELECT (SELECT min(trace_id) FROM event WHERE trace_id > trace.id)
            FROM trace WHERE substr(trace.id, 1, ?) = ?
        ), latest(id, at) AS (
            SELECT id, (SELECT max(at) FROM event WHERE trace_id = trace.id AND {where})
            FROM trace WHERE substr(id, 1, ?) = ?
        )
        SELECT id, at FROM latest WHERE at IS NOT NULL ORDER BY at DESC, id DESC LIMIT ?
    """  # noqa: S608 - built from constants, values are bound
    length = len(prefix)
    return query, [prefix, length, prefix, *values, length, prefix, search.limit]


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
