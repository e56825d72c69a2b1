"""The SQLite store reads a large trace in parts, as of one moment, and other threads may meanwhile write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf
from pathlib import Path

import pytest

from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.stores.interruptible import read_ahead
from sagatrace.stores.sqlite import SqliteStore
from sagatrace.stores.sqlite_parts import read_in_parts
from sagatrace.timestamps import utc_timestamp

START = datetime(2025, 12, 22, tzinfo=UTC)
WHOLE = new_event(trace_id="T", span_id="S", event_type="x", id="whole", data={"n": "good"})
TWO = encode_event(WHOLE) + b"\n" + encode_event(WHOLE)
BROKEN = encode_event(WHOLE).replace(b"good", b"\xff")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagatrace.stores.sqlite_parts._FEW", 4)
    monkeypatch.setattr("sagatrace.stores.sqlite_parts._BYTES", 1_000)  # seven events


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "traces.db")) as store:
        yield store


def made(count: int, each: int = 1) -> list[TraceEvent]:
    """Return that many events, `each` of them at the same time."""
    at = [utc_timestamp(START + timedelta(seconds=n // each)) for n in range(count)]
    return [
        new_event(trace_id="T", span_id=f"S{n}", event_type="x", id=f"{n}", timestamp=at[n], data={"n": "é"})
        for n in reversed(range(count))
    ]


@pytest.mark.parametrize("each", [1, 3, 50])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 11, 12, 50])
def test_each_event_is_read_once(store: SqliteStore, count: int, each: int) -> None:
    events = made(count, each)
    store.append([*events, *(new_event(trace_id=other, span_id="S", event_type="x") for other in "SU")])
    counts: list[int] = []
    found = store.fetch_trace("T", counts.append)
    assert sorted(found.events, key=lambda event: event.id) == sorted(events, key=lambda event: event.id)
    assert not found.malformed
    assert counts == sorted(counts)
    assert counts[-1:] == ([count] if count > 4 else [])
    assert len(counts) > 1 or count < 5 or each == 50


@pytest.mark.parametrize("document", [b"{", b"", b"{}{}", BROKEN, b"null", b"7", TWO], ids=range(7))
@pytest.mark.parametrize("place", [0, 4, 19])
def test_a_malformed_document_costs_only_itself(store: SqliteStore, document: bytes, place: int) -> None:
    events = made(20)
    store.append(events)
    bad = events.pop(-1 - place)
    with closing(sqlite3.connect(store.label.removeprefix("sqlite:///"))) as other, other:
        other.execute("UPDATE event SET document = ? WHERE id = ?", (document, bad.id))
    found = store.fetch_trace("T")
    assert sorted(found.events, key=lambda event: event.id) == sorted(events, key=lambda event: event.id)
    assert [one.document_id for one in found.malformed] == [bad.id]


@pytest.mark.parametrize("two", [TWO, TWO.replace(b"\n", b""), TWO.replace(b"\n", b",")], ids=range(3))
@pytest.mark.parametrize("other", [b"", b" ", b"\n"], ids=range(3))
@pytest.mark.parametrize("places", [(0, 1), (1, 0), (0, 19), (19, 0), (4, 5)])
def test_two_events_in_one_document_do_not_hide_an_empty_document(
    store: SqliteStore, two: bytes, other: bytes, places: tuple[int, int]
) -> None:
    events = made(20)
    store.append(events)
    bad = {events[place].id: document for place, document in zip(places, (two, other), strict=True)}
    with closing(sqlite3.connect(store.label.removeprefix("sqlite:///"))) as connection, connection:
        connection.executemany("UPDATE event SET document = ? WHERE id = ?", [(bad[one], one) for one in bad])
    for found in (store.fetch_trace("T"), *store.fetch_traces(["T"])):
        assert {event.id for event in found.events} == {event.id for event in events} - bad.keys()
        assert {one.document_id for one in found.malformed} == bad.keys()


def test_an_event_with_any_time_in_its_row_is_read(store: SqliteStore) -> None:
    events = made(20)
    store.append(events)
    odd = [-(1 << 63), (1 << 63) - 1, "yesterday", "2025-12-22", b"", b"now", b"\xff\xff", 1.5, -inf, inf, "9"]
    with closing(sqlite3.connect(store.label.removeprefix("sqlite:///"))) as other, other:
        other.executemany("UPDATE event SET at = ? WHERE id = ?", [(at, f"{n}") for n, at in enumerate(odd)])
    found = store.fetch_trace("T")
    assert len(found.events) == len({event.id for event in found.events}) == 20


def test_a_trace_is_read_as_of_one_moment(store: SqliteStore) -> None:
    """An event that gets an earlier time while the trace is read is neither missed nor read twice."""
    events = made(20)
    store.append(events)
    late = max(events, key=lambda event: event.timestamp)
    early = new_event(trace_id="T", span_id="S", event_type="y", id=late.id, timestamp=utc_timestamp(START))
    with closing(SqliteStore(Path(store.label.removeprefix("sqlite:///")))) as writer:
        before = store.fetch_since("T", None, lambda count: count == 4 and writer.append([early], replace=True))
    assert {event.id for event in before.events} == {event.id for event in events}
    assert len(before.events) == 20
    assert store.fetch_since("T", before.cursor).events == (early,)


def test_a_reading_that_was_given_up_leaves_the_store_usable(store: SqliteStore) -> None:
    store.append(made(20))

    def stop(count: int) -> None:
        raise InterruptedError(count)

    for _ in range(20):
        with pytest.raises(InterruptedError):
            store.fetch_trace("T", stop)
        assert "sagatrace-call" not in {thread.name for thread in threading.enumerate()}
    store.append([new_event(trace_id="T", span_id="S", event_type="x")])
    assert len(store.fetch_trace("T").events) == 21


@pytest.mark.parametrize("place", [4, 8, 11])
def test_an_interrupt_between_two_parts_ends_the_reading(store: SqliteStore, place: int) -> None:
    store.append(made(50))

    def interrupt(count: int) -> None:
        if count >= place:
            store._interrupt()

    with pytest.raises(StoreError, match="interrupted"):
        store.fetch_trace("T", interrupt)
    assert len(store.fetch_trace("T").events) == 50


def test_documents_that_are_too_long_together_are_read_one_by_one(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "traces.db")) as store:
        store.append(made(20))
    with closing(sqlite3.connect(tmp_path / "traces.db", check_same_thread=False)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 400)
        found = read_in_parts(connection, "T", None)
    assert len({event.id for event in found.events}) == 20
    assert not found.malformed


def test_a_closed_reading_ahead_no_longer_reads() -> None:
    """Its caller can then close the connection, or use it for something else."""
    may_go_on, read = threading.Event(), list[int]()

    def parts() -> Iterator[int]:
        yield 1
        may_go_on.wait()
        read.append(2)
        yield 2

    with closing(read_ahead(parts())) as ahead:
        assert next(ahead) == 1
        threading.Timer(0.1, may_go_on.set).start()
    assert read == [2]


def test_a_closed_reading_ahead_waits_for_no_room() -> None:
    read = list[int]()

    def parts() -> Iterator[int]:
        for number in count():
            read.append(number)
            yield number

    with closing(read_ahead(parts())) as ahead:
        assert next(ahead) == 0
    assert read == list(range(len(read)))
    assert len(read) <= 4
    assert "sagatrace-read-ahead" not in {thread.name for thread in threading.enumerate()}
