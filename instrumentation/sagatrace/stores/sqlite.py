"""The SQLite store: one file in WAL mode, for many writing processes and many readers.

SQLite keeps its file locks per process. A child that inherits a connection can hang or lose rows. So every connection
is closed before this process forks, and opened again on next use.

This module is longer than most: all calls of the store share one connection.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from sagatrace.errors import StoreError, StoreNotFoundError
from sagatrace.event import TraceEvent, encode_event
from sagatrace.files import make_directory
from sagatrace.stores import Arrived, Changes, FetchedTrace, ReadCost, Search, TraceHits, decode_documents
from sagatrace.stores.fork_safety import closed_across_forks
from sagatrace.stores.interruptible import interruptibly
from sagatrace.stores.sqlite_file import create_private, identity_of, is_special
from sagatrace.stores.sqlite_parts import read_in_parts
from sagatrace.stores.sqlite_schema import create_schema, is_empty, require_schema, transaction, try_insert
from sagatrace.stores.sqlite_search import find

__all__ = ["SqliteStore"]

_ADVICE: Final = {
    sqlite3.SQLITE_NOTADB: "it holds something else, give another path",
    sqlite3.SQLITE_CORRUPT: "it is damaged, restore a copy, or save the rest with `.recover` of sqlite3",
    sqlite3.SQLITE_CANTOPEN: "this user needs the right to read and write the file and its directory",
    sqlite3.SQLITE_PERM: "this user needs the right to read and write the file and its directory",
    sqlite3.SQLITE_READONLY: "this user needs the right to write the file and its directory",
}
"""Advice for the user, by SQLite's error code."""
_FAR: Final = 5_000  # with more rows past a cursor, one trace's rows are found by the index of traces
_ROWS: Final = "SELECT id, CAST(document AS BLOB)"
_MANY: Final = 200  # traces read in one query
_T = TypeVar("_T")


class SqliteStore:
    """A store of events in the file at `path`. The first write creates the file and its directory.

    With `read_only` the store never writes. One call waits at most `max_wait` seconds for locks of other processes, or
    twice as long when it creates the file. With `durable` each write waits for the disk, so that events survive a loss
    of power.
    """

    def __init__(self, path: Path, *, read_only: bool = False, max_wait: float = 5.0, durable: bool = False) -> None:
        self._path = path
        self._text = os.fspath(path)
        self._read_only = read_only
        self._max_wait = max_wait
        self._durable = durable
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._frozen = False
        self._opened = 0
        self._at = ""  # device and inode of the open file
        self._generation = 0
        closed_across_forks(self)

    @property
    def label(self) -> str:
        """The store's address."""
        return f"sqlite:///{self._path}"

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Store the events in one transaction. Return the number of new events."""
        rows = [(event.trace_id, event.id, event.micros, encode_event(event)) for event in events]

        def write(connection: sqlite3.Connection) -> int:
            with transaction(connection):
                return sum(_insert(connection, row, replace=replace) for row in rows)

        return self._with_connection(write)

    def try_write(self, event: TraceEvent) -> bool:
        """Store an event, read it back and remove it. Return whether it was read back."""
        row = event.trace_id, event.micros, encode_event(event)
        return self._with_connection(lambda connection: try_insert(connection, row))

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
        """Return all documents of one trace, as of one moment."""
        changes = self.fetch_since(trace_id, None, arrived)
        return FetchedTrace(trace_id, changes.events, changes.malformed, changes.cost)

    def fetch_traces(self, trace_ids: Sequence[str]) -> Iterator[FetchedTrace]:
        """Yield these traces. One query reads two hundred."""
        for start in range(0, len(trace_ids), _MANY):
            yield from self._fetch_part(trace_ids[start : start + _MANY])

    def _fetch_part(self, trace_ids: Sequence[str]) -> Iterator[FetchedTrace]:
        began = time.perf_counter()
        places = ",".join("?" * len(trace_ids))
        query = f"SELECT trace_id, id, CAST(document AS BLOB) FROM event WHERE trace_id IN ({places})"  # noqa: S608 - places only
        rows = self._read(lambda connection: connection.execute(query, tuple(trace_ids)).fetchall())
        cost = ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000)
        documents: dict[str, list[tuple[str, bytes]]] = {trace_id: [] for trace_id in trace_ids}
        for trace_id, event_id, document in rows:
            documents[trace_id].append((event_id, document))
        for trace_id, found in documents.items():
            events, malformed = decode_documents(found)
            yield FetchedTrace(trace_id, tuple(events), tuple(malformed), cost)
            cost = ReadCost(queries=0, milliseconds=0.0)

    def stamp(self) -> str:
        """Return a text that changes with any write to the file. It needs no query of the table."""

        def read(connection: sqlite3.Connection) -> str:
            # data_version changes with other connections' writes, total_changes with this connection's own.
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            return f"{self._opened}:{version}:{connection.total_changes}"

        return self._read(read)

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:
        """Return the changes of one trace, as of one moment."""
        return self._read(lambda connection: self._changes_of(connection, trace_id, cursor, arrived))

    def _changes_of(
        self, connection: sqlite3.Connection, trace_id: str, cursor: str | None, arrived: Arrived | None
    ) -> Changes:
        began = time.perf_counter()
        known, last = self._position(connection, cursor)
        if known:
            rows = connection.execute(*_rows_since(trace_id, known, far=last - known > _FAR))
            events, malformed = decode_documents(rows)
        else:
            decoded = read_in_parts(connection, trace_id, arrived)
            events, malformed = decoded.events, decoded.malformed
        cost = ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000)
        return Changes(tuple(events), tuple(malformed), f"{self._file}:{last}", cost, whole=known is None)

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        """Return the changes in the file, oldest first, in one query."""
        return self._read(lambda connection: self._changes(connection, cursor, limit))

    def _changes(self, connection: sqlite3.Connection, cursor: str | None, limit: int) -> Changes:
        began = time.perf_counter()
        known, last = self._position(connection, cursor)
        since = known if known is not None else 0 if cursor else last
        query = f"{_ROWS}, position FROM event WHERE position > ? ORDER BY position LIMIT ?"
        page = connection.execute(query, (since, limit)).fetchall()
        end = min(last, page[-1][2]) if len(page) == limit else last
        events, malformed = decode_documents((event_id, document) for event_id, document, _ in page)
        cost = ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000)
        return Changes(tuple(events), tuple(malformed), f"{self._file}:{end}", cost, more=end < last)

    @property
    def _file(self) -> str:
        """A name for the open file that differs from the names of earlier files at this path."""
        return f"{self._generation}-{self._at}"

    def _position(self, connection: sqlite3.Connection, cursor: str | None) -> tuple[int | None, int]:
        """Return the position in a cursor, and the last position. The first is None for a cursor of another file.

        Writers take turns, so positions only grow. Read the rows afterwards. Then a row written in between is returned
        twice, but never missed.
        """
        last: int = connection.execute("SELECT coalesce(max(position), 0) FROM event").fetchone()[0]
        file, _, position = (cursor or "").rpartition(":")
        return int(position) if file == self._file and int(position) <= last else None, last

    def search(self, search: Search) -> TraceHits:
        """Return the traces with the latest matching events, newest first."""
        began = time.perf_counter()
        hits = self._read(lambda connection: find(connection, search))
        return TraceHits(hits, ReadCost(queries=1, milliseconds=(time.perf_counter() - began) * 1000))

    def close(self) -> None:
        """Close the connection, and interrupt a query of another thread. The next call opens a new connection."""
        if not self.lock.acquire(blocking=False):
            self._interrupt()
            if not self.lock.acquire(timeout=self._max_wait):
                return  # the other thread hangs; the connection ends with the process
        try:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        finally:
            self.lock.release()

    def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run work that only reads. A signal can end it at any time."""
        return interruptibly(lambda: self._with_connection(work), self._interrupt)

    def _interrupt(self) -> None:
        """End the query that another thread runs."""
        connection = self._connection
        with suppress(sqlite3.ProgrammingError):  # closed meanwhile
            if connection is not None:
                connection.interrupt()

    def _with_connection(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run the work. Retry for at most `max_wait` seconds while another process holds the file."""
        deadline = time.monotonic() + self._max_wait
        if not self.lock.acquire(timeout=self._max_wait):
            raise StoreError(f"{self._path} was held by another thread for {self._max_wait:g} s")
        try:
            while True:
                try:
                    if self._connection is not None and self._at != identity_of(self._text):
                        self.close()  # the open file was removed or replaced
                    if self._connection is None:
                        self._connection = self._reopen()
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

    def _reopen(self) -> sqlite3.Connection:
        at = identity_of(self._text)  # read first, so that the next call notices a replaced file
        if at != self._at:
            self._generation += 1  # a new file may reuse the inode of a removed file
        self._at = at
        connection = self._open()
        self._opened += 1
        self._at = at or identity_of(self._text)
        return connection

    def _open(self) -> sqlite3.Connection:
        if is_special(self._path):  # a pipe or a device would never answer
            raise StoreError(f"{self._path} is not a regular file: give the path of a file")
        if self._read_only:
            return self._open_for_reading()
        try:
            make_directory(self._path.parent, fsync=self._durable)
            create_private(self._path)  # SQLite creates the -wal and -shm files with the same mode
        except OSError as error:
            raise self._failure(error) from error
        connection = self._connect(f"{self._path.as_uri()}?mode=rwc")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # NORMAL survives a killed process, FULL also a loss of power.
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            create_schema(connection)
            require_schema(connection, self._path)
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
                f"`sagatrace import` fills it from a file, `sagatrace-tui --demo` shows an example, "
                f"which commands read with --store demo"
            ) from error
        except OSError as error:
            raise self._failure(error) from error
        uri = f"{self._path.as_uri()}?mode=ro"
        self._frozen = False
        connection = self._connect(uri)
        try:
            connection.execute("PRAGMA query_only = ON")
            if is_empty(connection):
                connection.close()
                self._frozen = True  # the first writer may come before the next call
                return self._empty()
            require_schema(connection, self._path)
        except sqlite3.OperationalError:
            connection.close()
            if self._path.with_name(self._path.name + "-wal").exists() or not os.access(self._path, os.R_OK):
                raise
            # The directory is not writable and no process has the file open. Then SQLite can read the file only as
            # immutable. The file may change later, so use such a connection for one call.
            self._frozen = True
            connection = self._connect(f"{uri}&immutable=1")
            require_schema(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _empty(self) -> sqlite3.Connection:
        """Return an empty store in memory, since a file of 0 bytes has no table to read."""
        connection = self._connect("file::memory:")
        create_schema(connection)
        return connection

    def _connect(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=self._max_wait, isolation_level=None, check_same_thread=False)

    def _failure(self, error: Exception) -> StoreError:
        if _is_busy(error):
            return StoreError(f"{self._path} was held by other processes for {self._max_wait:g} s: {error}")
        if os.path.isdir(self._text):  # noqa: PTH112 - Path.is_dir may raise PermissionError
            return StoreError(
                f"cannot use the store {self._path}: it is a directory; name a file in it, e.g. sqlite:///{self._path}/traces.db"
            )
        advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")  # higher bits only add details
        return StoreError(f"cannot use the store {self._path}: {error}{advice and f': {advice}'}")


def _rows_since(trace_id: str, since: int, *, far: bool) -> tuple[str, tuple[str | int, ...]]:
    """Return the query for a trace's rows past a position. `+` stops SQLite from using a column's index."""
    if far:
        return f"{_ROWS} FROM event WHERE trace_id = ? AND +position > ?", (trace_id, since)
    return f"{_ROWS} FROM event WHERE +trace_id = ? AND position > ?", (trace_id, since)


def _insert(connection: sqlite3.Connection, row: tuple[str, str, int, bytes], *, replace: bool) -> bool:
    """Write one event inside a transaction. Return whether it was new."""
    trace_id, event_id, at, document = row
    inserted = connection.execute(
        "INSERT INTO event (trace_id, id, at, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row
    )
    if inserted.rowcount:
        return True
    if replace:
        # A new position lets readers of changes see the event. An equal document is not a change.
        connection.execute(
            "UPDATE event SET position = (SELECT max(position) + 1 FROM event), at = ?, document = ? "
            "WHERE trace_id = ? AND id = ? AND document <> ?",
            (at, document, trace_id, event_id, document),
        )
    return False


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
