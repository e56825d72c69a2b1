"""Search a SQLite store with SQL."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.stores import Search, TraceHit
from sagatrace.stores.codec import decode_event

__all__ = ["find"]

_WALK: Final = 20_000  # events read backwards before the search steps from trace to trace


def find(connection: sqlite3.Connection, search: Search) -> list[TraceHit]:
    """Return the traces found. Read back from the newest event. After many events, step from trace to trace."""
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
    """Return a query for events by time, newest first. With frequent matches it reads a small part of the file.

    The query has the conditions that SQLite evaluates exactly. `Search.matches` checks the others.
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
    """Return a query for each trace's latest event, by trace id. Its cost grows with the number of traces."""
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
