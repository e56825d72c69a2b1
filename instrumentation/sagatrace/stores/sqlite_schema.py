"""The schema of a SQLite store's file, and the transactions on it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from sagatrace.errors import StoreError

__all__ = ["SCHEMA_VERSION", "create_schema", "is_empty", "require_schema", "transaction", "try_insert"]

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x53414754  # "SAGT", which the program `file` can recognise

# `position` orders rows by arrival, so that readers can ask for new rows.
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


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file. Leave any other file unchanged."""
    if _version(connection) != 0:
        return
    with transaction(connection):
        if is_empty(connection):  # another process may have been first
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Return whether no table was ever created in the file."""
    return _version(connection) == 0 and not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def require_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Check that this version can read the file.

    Args:
        connection: the open file.
        path: the path of the file, for the error.

    Raises:
        StoreError: the file has a newer schema, or is the database of another program.
    """
    version = _version(connection)
    if version == SCHEMA_VERSION:
        return
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer sagatrace (schema {version}, this one reads {SCHEMA_VERSION}): "
            f"upgrade sagatrace here"
        )
    raise StoreError(f"{path} is a database, but not a sagatrace store: give another path")


def try_insert(connection: sqlite3.Connection, row: tuple[str, int, bytes]) -> bool:
    """Store a row (trace id, time, document), read it back and remove it. Return whether it was read back.

    In one transaction, so that no other process sees the row, and a killed process leaves none.
    """
    with transaction(connection):
        insert = "INSERT INTO event VALUES (NULL, ?, hex(randomblob(16)), ?, ?)"
        position = connection.execute(insert, row).lastrowid
        found = connection.execute("SELECT document FROM event WHERE position = ?", (position,)).fetchone()
        connection.execute("DELETE FROM event WHERE position = ?", (position,))
    return bool(found == row[2:])


class transaction:  # noqa: N801 - used as a function
    """BEGIN … COMMIT. Any exception rolls it back, also a job's timeout or alarm. To read, the mode is `DEFERRED`.

    This is not a generator. An alarm could leave a generator suspended, and its collection would roll back a later
    transaction.
    """

    def __init__(self, connection: sqlite3.Connection, mode: str = "IMMEDIATE") -> None:
        self._connection, self._mode = connection, mode

    def __enter__(self) -> None:
        self._roll_back()  # an alarm of the job may have interrupted the last rollback
        self._connection.execute(f"BEGIN {self._mode}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._connection.execute("COMMIT")
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
