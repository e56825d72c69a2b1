"""Read all documents of a trace from SQLite in parts. SQLite reads the next parts while Python decodes one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final, NamedTuple

from sagatrace.stores.changes import Arrived
from sagatrace.stores.codec import Decoded
from sagatrace.stores.interruptible import read_ahead
from sagatrace.stores.sqlite_schema import transaction

__all__ = ["read_in_parts"]

_FEW: Final = 500  # documents that one query reads, without a second thread
_MOST: Final = 16_000  # documents in any part
_GROWTH: Final = 4  # a part has at most this many times as many documents as the part before
_BYTES: Final = 4 << 20  # the size to aim at
_BEFORE_ALL, _AFTER_ALL = float("-inf"), b"\xff"  # of all times, and texts that others may have written as times
_EACH: Final = "SELECT id, CAST(document AS BLOB) FROM event WHERE trace_id = ?"
_RANGE: Final = "FROM event WHERE trace_id = ? AND at > ? AND at <= ?"
_LAST_OF_PART: Final = "SELECT at FROM event WHERE trace_id = ? AND at > ? ORDER BY at LIMIT 1 OFFSET ?"


class _Part(NamedTuple):
    """The documents after one time and up to another, their number, and their text, joined by line ends.

    The text is None if they must be decoded one by one.
    """

    after: float | str | bytes
    until: float | str | bytes
    size: int
    text: bytes | None


def read_in_parts(connection: sqlite3.Connection, trace_id: str, arrived: Arrived | None) -> Decoded:
    """Return the decoded documents of a trace, as of one moment. Raises sqlite3.Error."""
    decoded = Decoded()
    few = connection.execute(f"{_EACH} LIMIT ?", (trace_id, _FEW + 1)).fetchall()
    if len(few) <= _FEW:
        decoded.add(few)
        return decoded
    with transaction(connection, "DEFERRED"):
        _read_many(connection, trace_id, arrived, decoded)
    return decoded


def _read_many(connection: sqlite3.Connection, trace_id: str, arrived: Arrived | None, decoded: Decoded) -> None:
    not_joined, count = list[_Part](), 0
    # `interrupt` ends only queries that run. With one that is never finished, it works between two parts too.
    with (
        closing(connection.execute("SELECT 1 UNION ALL SELECT 1")),
        closing(read_ahead(_parts(connection, trace_id))) as parts,
    ):
        for part in parts:
            if part.text is None or not decoded.add_joined(part.text, part.size):
                not_joined.append(part)
            count += part.size
            if arrived is not None:
                arrived(count)
    for part in not_joined:  # only now, because no other thread uses the connection any more
        decoded.add(connection.execute(f"{_EACH} AND at > ? AND at <= ?", (trace_id, part.after, part.until)))


def _parts(connection: sqlite3.Connection, trace_id: str) -> Iterator[_Part]:
    """Yield the parts. The last ends with `_AFTER_ALL`, and may have no document."""
    # SQLite checks the first and the last character of each document, because it works beside Python.
    objects = "coalesce(sum(substr(document, 1, 1) = x'7B' AND substr(document, -1) = x'7D'), 0)"
    joined = f"SELECT count(*), {objects}, CAST(group_concat(document, char(10)) AS BLOB) {_RANGE}"
    after: float | str | bytes = _BEFORE_ALL
    rows = _FEW
    while after != _AFTER_ALL:
        found = connection.execute(_LAST_OF_PART, (trace_id, after, rows - 1)).fetchone()
        until = _AFTER_ALL if found is None else found[0]
        try:
            size, are_objects, text = connection.execute(joined, (trace_id, after, until)).fetchone()
            # The first parts are small, so that decoding begins early.
            rows = max(1, min(_MOST, _GROWTH * size, _BYTES * size // len(text))) if text else rows
            yield _Part(after, until, size, (text or b"") if are_objects == size else None)
        except sqlite3.DataError:  # together they are too long for SQLite
            yield _Part(after, until, 0, None)
        after = until
