"""A trace followed in a Cosmos DB account: asked for what is new only, and equal to the same trace read whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cosmos_server import CosmosAccount
from sagas import NOW, failed, hearing, running, still
from sagatrace.stores import Changes
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.live import LOOK, SWEEP, ListFeed, OpenTrace, TraceFeed
from sagatrace_tui.model import build_trace

NOW_TOO = frozenset({LOOK})


@pytest.fixture
def store(account: CosmosAccount) -> Iterator[CosmosStore]:
    with account.store() as opened:
        yield opened


def shown(feed: TraceFeed, wishes: frozenset[str] = frozenset()) -> OpenTrace:
    [reading] = feed.read(wishes)
    assert reading.fault is None
    return reading


def test_a_trace_read_bit_by_bit_is_the_trace_read_whole(store: CosmosStore) -> None:
    events = failed("T7")
    feed = TraceFeed(store, "T7", still)
    told = hearing(feed)
    for start in range(0, len(events), 4):
        store.append(events[start : start + 4])
        if start == 4:
            told.events = list(events[start : start + 4])
        shown(feed, NOW_TOO)
    reading = shown(feed, NOW_TOO)
    assert reading.trace == build_trace("T7", store.fetch_trace("T7").events, now=NOW)
    assert reading.known == len(events)


def test_what_is_asked_for_is_what_was_written_since_by_the_service_s_clock(
    store: CosmosStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(failed("T7")[:5])
    found = store.fetch_since("T7", None)
    later = str(int(found.cursor) + 3600)  # as if the next were written an hour on
    assert store.fetch_since("T7", later).events == ()
    assert len(store.fetch_since("T7", found.cursor).events) == 5  # within the overlap
    again: Changes = store.fetch_since("T7", later)
    assert again.cursor == later  # and never goes back


def test_what_comes_in_parts_is_gone_over_once_more_as_what_comes_at_once_is(
    store: CosmosStore, until: Callable[..., object]
) -> None:
    """A replica may show late what was written in a second that the first part was past already."""
    place = store.fetch_all_since(None, 5).cursor
    first, second = failed("T1")[:8], failed("T2")[:3]
    store.append(first)
    began = time.time()
    until(lambda: time.time() > began + 1.1, "the next second of the service's clock")
    store.append(second)
    parts = [store.fetch_all_since(place, 5)]
    while parts[-1].more:
        parts.append(store.fetch_all_since(parts[-1].cursor, 5))
    assert len(parts) == 2
    assert {event.id for part in parts for event in part.events} == {event.id for event in (*first, *second)}
    again = store.fetch_all_since(parts[-1].cursor, 100)
    assert {event.id for event in again.events} == {event.id for event in (*first, *second)}
    assert not again.more
    assert ":" not in again.cursor


def test_while_redis_tells_it_and_once_a_trace_has_ended_the_account_is_asked_rarely(store: CosmosStore) -> None:
    store.append(running("T1", 70))
    feed = TraceFeed(store, "T1", still)
    assert shown(feed).status.words == "polling every 1 s"
    told = hearing(feed)
    shown(feed, NOW_TOO)
    assert shown(feed).status.words == "live (Redis)"
    assert shown(feed).status.every == SWEEP
    assert told.events == []
    store.append(failed("T2"))
    over = TraceFeed(store, "T2", still)
    shown(over)
    assert shown(over, NOW_TOO).status.words == f"polling every {SWEEP:g} s"


def test_the_list_asks_once_for_what_is_new_of_all_traces(store: CosmosStore) -> None:
    for number in range(5):
        store.append(running(f"T{number}", 60 + number))
    feed = ListFeed(store, still)
    for _ in range(2):
        list(feed.read(NOW_TOO))
    store.append(failed("T9", 68))
    listing = list(feed.read(NOW_TOO))[-1]
    assert listing.queries == 2  # what is new, and the trace that was not known
    assert [row.trace_id for row in listing.rows] == ["T9", "T4", "T3", "T2", "T1", "T0"]
    afresh = list(ListFeed(store, still).read())[-1]
    assert listing.rows == afresh.rows
