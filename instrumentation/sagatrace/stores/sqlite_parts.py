"""Read all documents of a trace from SQLite in parts. SQLite reads the next parts while Python decodes one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final, NamedTuple, TypeAlias

from sagatrace.stores.changes import Arrived
from sagatrace.stores.codec import Decoded
from sagatrace.stores.interruptible import read_ahead
from sagatrace.stores.sqlite_schema import transaction

__all__ = ["read_in_parts"]

_FEW: Final = 500  # documents that one query reads, without a second thread
_MOST: Final = 16_000  # documents in any part
_GROWTH: Final = 4  # a part has at most this many times as many documents as the part before
_BYTES: Final = 4 << 20  # the size to aim at
_OF_TRACE: Final = "FROM event WHERE trace_id = ?"
_EACH: Final = f"SELECT id, CAST(document AS BLOB) {_OF_TRACE}"
_At: TypeAlias = float | str | bytes | None  # a time, or what others may have written as one; None sets no limit


class _Part(NamedTuple):
    """The documents after one time and up to another, their number, and their text, joined by line ends.

    The text is None if they must be decoded one by one.
    """

    after: _At
    until: _At
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
        condition, times = _within(part.after, part.until)
        decoded.add(connection.execute(f"{_EACH}{condition}", (trace_id, *times)))


def _parts(connection: sqlite3.Connection, trace_id: str) -> Iterator[_Part]:
    """Yield the parts. The last has no upper limit, and may have no document."""
    # SQLite checks the first and the last character of each document, because it works beside Python.
    objects = "coalesce(sum(substr(document, 1, 1) = x'7B' AND substr(document, -1) = x'7D'), 0)"
    joined = f"SELECT count(*), {objects}, CAST(group_concat(document, char(10)) AS BLOB) {_OF_TRACE}"
    last = f"SELECT at {_OF_TRACE}"
    after: _At = None
    rows = _FEW
    while True:
        condition, times = _within(after, None)
        found = connection.execute(f"{last}{condition} ORDER BY at LIMIT 1 OFFSET ?", (trace_id, *times, rows - 1))
        (until,) = found.fetchone() or (None,)
        condition, times = _within(after, until)
        try:
            size, are_objects, text = connection.execute(f"{joined}{condition}", (trace_id, *times)).fetchone()
            # The first parts are small, so that decoding begins early.
            rows = max(1, min(_MOST, _GROWTH * size, _BYTES * size // len(text))) if text else rows
            yield _Part(after, until, size, (text or b"") if are_objects == size else None)
        except sqlite3.DataError:  # together they are too long for SQLite
            yield _Part(after, until, 0, None)
        if until is None:
            return
        after = until


def _within(after: _At, until: _At) -> tuple[str, list[_At]]:
    """Return the condition for these times. In SQLite no value is the least or the greatest of all."""
    limits = {" AND at > ?": after, " AND at <= ?": until}
    given = {condition: at for condition, at in limits.items() if at is not None}
    return "".join(given), [*given.values()]
