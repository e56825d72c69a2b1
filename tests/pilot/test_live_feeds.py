"""The feeds: the requests of a read, its results, and its faults."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from itertools import count

import pytest

from sagas import NOW, UnreliableStore, event, failed, running, still, succeeded
from sagatrace.stores import Search, TraceHits
from sagatrace_tui.live.list_feed import OLDER, ListFeed
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.live.poller import FRAME, Poller
from sagatrace_tui.live.refresh import AFRESH, LOOK
from sagatrace_tui.live.trace_feed import TraceFeed

NOW_TOO = frozenset({LOOK})


def last(readings: Iterator[Listing]) -> Listing:
    return list(readings)[-1]


def many(number: int) -> UnreliableStore:
    return UnreliableStore(one for n in range(number) for one in succeeded(f"t{n:03}", float(n)))


def test_a_first_reading_yields_the_list_before_and_while_it_is_fetched() -> None:
    readings = list(ListFeed(many(3), still).read())
    unread = [sum(row.verdict is None for row in listing.rows) for listing in readings]
    assert unread == [3, 2, 1, 0]
    assert [row.trace_id for row in readings[0].rows] == ["t002", "t001", "t000"]
    assert [listing.reading for listing in readings] == [True, True, True, False]
    assert readings[-1].queries == 5  # the cursor, the search, three traces


def test_a_later_reading_fetches_only_what_changed() -> None:
    store = UnreliableStore([*succeeded("done", 1), *running("runs", 2), *succeeded("late", 3)])
    feed = ListFeed(store, still)
    last(feed.read(NOW_TOO))
    store.fetches.clear()
    store.append([event("late", "x", "ai:decision", 9.0)])
    listing = last(feed.read(NOW_TOO))
    assert store.fetches == ["late"]
    assert [(row.trace_id, row.span_count) for row in listing.rows] == [("late", 4), ("runs", 2), ("done", 3)]


def test_refreshing_fetches_every_listed_trace_again() -> None:
    store = many(4)
    feed = ListFeed(store, still)
    last(feed.read(NOW_TOO))
    store.fetches.clear()
    last(feed.read(frozenset({AFRESH})))
    assert sorted(store.fetches) == ["t000", "t001", "t002", "t003"]


def test_all_pages_together_list_every_trace_once() -> None:
    # All sagas run concurrently: older events of listed traces fill whole pages.
    store = UnreliableStore(one for n in range(23) for one in succeeded(f"t{n:02}", n / 1000))
    feed = ListFeed(store, still, page=5)
    listing = last(feed.read(NOW_TOO))
    assert len(listing.rows) == 5
    for _ in range(40):
        if listing.exhausted:
            break
        listing = last(feed.read(frozenset({OLDER})))
    assert [row.trace_id for row in listing.rows] == [f"t{n:02}" for n in reversed(range(23))]
    assert last(feed.read(frozenset({OLDER}))).rows == listing.rows


def test_more_new_traces_than_a_page_holds_are_all_found() -> None:
    store = many(3)
    feed = ListFeed(store, still, page=4)
    last(feed.read(NOW_TOO))
    store.append(one for n in range(3, 20) for one in succeeded(f"t{n:03}", float(n)))
    assert len(last(feed.read(NOW_TOO)).rows) == 20


def test_a_failing_store_is_reported_and_the_rows_stay() -> None:
    store = many(2)
    feed = ListFeed(store, still)
    rows = last(feed.read(NOW_TOO)).rows
    store.cut_off = True
    listing = last(feed.read(NOW_TOO))
    assert (listing.fault, listing.rows) == (
        "cannot reach the store at loans-db:5432: connection refused",
        rows,
    )
    store.cut_off = False
    assert last(feed.read(NOW_TOO)).fault is None


def test_an_unexpected_error_is_shown_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(UnreliableStore):
        def search(self, search: Search) -> TraceHits:
            raise ZeroDivisionError("by zero")

    listing = last(ListFeed(Broken(), still).read())
    assert listing.fault == "unexpected ZeroDivisionError: by zero"
    assert "reading the store failed" in caplog.text


def test_an_unchanged_trace_is_the_same_object_and_a_silent_one_ends() -> None:
    now = NOW
    store = UnreliableStore(running("t"))
    feed = TraceFeed(store, "t", lambda: now)
    [first], [second] = feed.read(NOW_TOO), feed.read(NOW_TOO)
    assert first.trace is second.trace
    assert first.trace is not None
    assert first.trace.status == "running"
    now += 3_600_000_000
    [third] = feed.read(NOW_TOO)
    assert third.trace is not None
    assert third.trace.status != "running"


def test_a_changed_trace_is_folded_again() -> None:
    store = UnreliableStore(failed("t")[:3])
    feed = TraceFeed(store, "t", still)
    [before] = feed.read(NOW_TOO)
    store.append(failed("t"))
    [after] = feed.read(NOW_TOO)
    assert before.trace is not None
    assert after.trace is not None
    assert (len(before.trace.spans), len(after.trace.spans)) == (3, 7)


def test_events_are_read_at_most_fifteen_times_a_second() -> None:
    readings: list[float] = []

    def read(wishes: frozenset[str]) -> Iterator[int]:
        readings.append(time.monotonic())
        yield len(readings)

    poller = Poller(read, lambda _: None, interval=3600)
    poller.start()
    while len(readings) < 12:
        poller.nudge()
    poller.stop()
    poller.thread.join(120)
    pauses = [after - before for before, after in itertools.pairwise(readings)]
    # Less than a frame only after a long read: then at least two thirds of its time.
    assert min(pauses) >= FRAME * 0.66


def test_events_after_a_pause_are_read_immediately_and_slow_reads_happen_less_often() -> None:
    began, ended = list[float](), list[float]()

    def read(wishes: frozenset[str]) -> Iterator[int]:
        began.append(time.monotonic())
        threading.Event().wait(0.2)
        ended.append(time.monotonic())
        yield 1

    poller = Poller(read, lambda _: None, interval=3600)
    poller.start()
    while len(ended) < 3:
        poller.nudge()
        threading.Event().wait(0.01)
    poller.stop()
    poller.thread.join(120)
    assert all(after - before >= 0.39 for before, after in zip(ended, began[1:], strict=False))


def test_a_poller_reads_immediately_on_request_and_never_while_paused_or_after_its_end() -> None:
    published: list[tuple[int, frozenset[str]]] = []
    arrived = threading.Semaphore(0)
    numbers = count()

    def read(wishes: frozenset[str]) -> Iterator[tuple[int, frozenset[str]]]:
        yield next(numbers), wishes

    def publish(reading: tuple[int, frozenset[str]]) -> None:
        published.append(reading)
        arrived.release()

    poller = Poller(read, publish, interval=3600)
    poller.start()
    assert arrived.acquire(timeout=120)
    poller.pause()
    poller.ask(OLDER)
    assert not arrived.acquire(timeout=0.1)
    poller.pause(False)
    assert arrived.acquire(timeout=120)
    poller.stop()
    poller.thread.join(timeout=120)
    assert not poller.thread.is_alive()
    assert published == [(0, frozenset()), (1, frozenset({OLDER}))]
