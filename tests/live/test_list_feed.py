"""The list, by Redis and by polling, equals a new search. A running trace is not fetched again for every event."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagas import NOW, UnreliableStore, event, failed, hearing, orphaned, running, still, succeeded
from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent
from sagatrace.stores import Arrived, Changes, FetchedTrace, KnowsBeginnings, Search, TraceHits, open_store
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.incident.query import Query, parse_query
from sagatrace_tui.live.list_feed import OLDER, WHOLE, ListFeed
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.live.partition import Partition
from sagatrace_tui.live.refresh import AFRESH, LOOK
from sagatrace_tui.live.trace_feed import TraceFeed
from sagatrace_tui.live.window import read_rows
from sagatrace_tui.model import Trace

NOW_TOO = frozenset({LOOK})
KINDS = (succeeded, failed, running, orphaned)
POOL = [one for n in range(8) for one in KINDS[n % 4](f"t{n}", 30.0 + n)]
QUERIES = ["", "status:failed", "type:stage:funding t1", "tag:ai", "status:rollback-incomplete", "status:running"]
STEPS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from(range(len(POOL)))),
    st.tuples(st.just("hear"), st.sampled_from(range(len(POOL)))),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("look"), st.just(0)),
)


def last(feed: ListFeed, wishes: frozenset[str] = frozenset()) -> Listing:
    return list(feed.read(wishes))[-1]


class ChargingStore(MemoryStore):
    """A store that charges for reads, like Cosmos DB, and knows which traces began before a read."""

    def __init__(self) -> None:
        super().__init__()
        self._before: frozenset[str] = frozenset()

    def stamp(self) -> Any:
        return None

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        if cursor is None:
            self._before = frozenset(self._documents)
        return super().fetch_all_since(cursor, limit)

    def begun_before(self, trace_ids: Sequence[str], cursor: str) -> frozenset[str]:
        return self._before.intersection(trace_ids)


@settings(max_examples=240, deadline=None)
@given(st.lists(STEPS, max_size=50), st.sampled_from(QUERIES), st.booleans(), st.sampled_from([0, 20]), st.booleans())
def test_the_list_equals_a_search_for_any_order_of_events(
    steps: list[tuple[str, int]], query: str, charges: bool, there: int, polls: bool
) -> None:
    store = ChargingStore() if charges else MemoryStore()
    assert isinstance(store, KnowsBeginnings) == charges
    store.append(POOL[:there])
    feed = ListFeed(store, still, query=parse_query(query))
    subscriber = hearing(feed)
    last(feed)
    for step, which in steps:
        if step in ("store", "hear"):
            store.append([POOL[which]])
            subscriber.events += [POOL[which]] * (step == "hear" and not polls)
        else:
            last(feed, NOW_TOO if step == "look" else frozenset())
    afresh = last(ListFeed(store, still, query=parse_query(query)))
    assert last(feed, NOW_TOO).rows == afresh.rows


def test_a_later_reading_without_news_is_never_shown_as_unfinished() -> None:
    feed = ListFeed(UnreliableStore(failed("T1")), still)
    last(feed)
    assert [one.reading for one in feed.read(NOW_TOO)] == [False]


def test_running_traces_are_kept_and_new_events_cost_no_query() -> None:
    store = UnreliableStore([*running("a", 60), *succeeded("b", 61)])
    feed = ListFeed(store, still)
    subscriber = hearing(feed)
    last(feed)
    last(feed, NOW_TOO)
    store.fetches.clear()
    subscriber.events = [event("a", f"n{n}", "stage:x:started", 62.0, "cre") for n in range(50)]
    listing = last(feed)
    assert [(row.trace_id, row.span_count) for row in listing.rows] == [("a", 52), ("b", 3)]
    assert store.fetches == []


def test_no_row_rests_on_an_event_that_the_store_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = (event("T", "wf", f"workflow:loan-approval:{phase}", 60) for phase in ("started", "completed"))
    store = UnreliableStore([began])
    feed = ListFeed(store, still)
    subscriber = hearing(feed)
    before = last(feed).rows
    subscriber.events = [event("T", "x", "ai:false", 65, "wf"), ended, event("never", "wf", "workflow:y:completed", 66)]
    reading = last(feed)
    assert [(row.trace_id, row.verdict) for row in reading.rows] == [("T", "running")]
    assert reading.status.unconfirmed == 2
    monkeypatch.setattr("sagatrace_tui.live.partition.CONFIRM_WITHIN", 0.0)  # the time has passed
    reading = last(feed)
    assert reading.rows == before
    assert reading.status.words == "live (Redis)"


def test_a_trace_that_ends_beside_an_unconfirmed_event_loses_that_event_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store = UnreliableStore([event("T", "wf", "workflow:x:started", 60)])
    feed = ListFeed(store, still)
    subscriber = hearing(feed)
    last(feed)
    subscriber.events = [event("T", "false", "ai:false", 65, "wf")]
    store.append([event("T", "wf", "workflow:x:completed", 61)])
    assert [(row.verdict, row.span_count) for row in last(feed, NOW_TOO).rows] == [("succeeded", 2)]
    monkeypatch.setattr("sagatrace_tui.live.partition.CONFIRM_WITHIN", 0.0)  # the time has passed
    assert last(feed).rows == last(ListFeed(store, still)).rows


def test_a_running_trace_is_built_once_for_each_read_and_once_after_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[str] = []

    def build(known: Partition, now: int) -> Trace:
        built.append(known.trace_id)
        return real(known, now)

    real = Partition.build_trace
    monkeypatch.setattr(Partition, "build_trace", build)
    now = NOW
    store = UnreliableStore([*running("a", 60), *running("b", 61)])
    feed = ListFeed(store, lambda: now)
    subscriber = hearing(feed)
    last(feed)
    built.clear()
    news = [event("a", f"n{n}", "stage:x:started", 62.0, "cre") for n in range(50)]
    store.append(news)
    subscriber.events = news[:30]
    assert [row.span_count for row in last(feed, NOW_TOO).rows] == [52, 2]
    assert built == ["a"]
    assert last(feed).rows[0].is_running
    assert built == ["a"], "nothing is new"
    now += 3_600_000_000
    assert not any(row.is_running for row in last(feed).rows)
    assert sorted(built) == ["a", "a", "b"]
    last(feed)
    assert len(built) == 3


def test_an_unknown_trace_is_fetched_once_after_its_first_event() -> None:
    store = UnreliableStore(succeeded("b", 61))
    feed = ListFeed(store, still)
    subscriber = hearing(feed)
    last(feed)
    store.fetches.clear()
    store.append(running("new", 62))
    for one in running("new", 62):
        subscriber.events = [one]
        last(feed)
    assert store.fetches == ["new"]
    assert [row.trace_id for row in last(feed).rows] == ["new", "b"]


def test_a_list_with_a_query_adds_only_matching_traces() -> None:
    store = UnreliableStore(failed("bad", 60))
    feed = ListFeed(store, still, query=parse_query("status:failed"))
    subscriber = hearing(feed)
    last(feed)
    store.append([*succeeded("good", 61), *failed("worse", 62)])
    subscriber.events = [*succeeded("good", 61), *failed("worse", 62)]
    assert [row.trace_id for row in last(feed).rows] == ["worse", "bad"]


def test_a_long_open_list_forgets_the_oldest_traces_and_finds_them_again() -> None:
    store = UnreliableStore(one for n in range(30) for one in succeeded(f"old{n:04}", n / 10))
    feed = ListFeed(store, still, page=10)
    subscriber = hearing(feed)
    last(feed)
    news = [one for n in range(1100) for one in succeeded(f"new{n:04}", 10 + n / 100)]
    store.append(news)
    subscriber.events = list(news)
    listing = last(feed)
    assert len(listing.rows) == 1000
    assert listing.rows[-1].trace_id == "new0100"
    assert not listing.exhausted
    for _ in range(200):
        if (listing := last(feed, frozenset({OLDER}))).exhausted:
            break
    assert len(listing.rows) == 1130
    assert len(last(feed).rows) == 1130


def test_traces_of_a_flood_are_found_by_a_search() -> None:
    store = UnreliableStore(succeeded("old", 1))
    feed = ListFeed(store, still)
    last(feed)
    store.append(event(f"t{n % 60:02}", f"s{n}", "stage:x:started", 10 + n / 1000) for n in range(15_000))
    searched = store.searches
    assert len(last(feed, NOW_TOO).rows) == 61
    assert store.searches > searched
    searched = store.searches
    store.append(event(f"t{n % 60:02}", f"m{n}", "stage:x:started", 40 + n / 1000) for n in range(5_000))
    rows = last(feed, NOW_TOO).rows
    assert sum(row.span_count for row in rows) == 20_003
    assert store.searches == searched


def test_a_failed_first_search_is_repeated() -> None:
    class Failing(UnreliableStore):
        fails = True

        def search(self, search: Search) -> TraceHits:
            if self.fails:
                raise StoreError("not now")
            return super().search(search)

    store = Failing(succeeded("old", 1))
    feed = ListFeed(store, still)
    assert last(feed).fault == "not now"
    store.fails = False
    listing = last(feed, NOW_TOO)
    assert (listing.fault, [row.trace_id for row in listing.rows]) == (None, ["old"])


def test_a_store_that_is_removed_after_it_was_read_is_called_gone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    with closing(open_store(url)) as writer:
        writer.append(failed("t1"))
    with closing(open_store(url, read_only=True)) as store:
        feeds = ListFeed(store, still), TraceFeed(store, "t1", still)
        for feed in feeds:
            assert list(feed.read(NOW_TOO))[-1].fault is None
        for file in tmp_path.iterdir():
            file.unlink()
        for feed in feeds:
            fault = list(feed.read(NOW_TOO))[-1].fault
            assert fault == "the store is gone: it was removed or renamed after it was read"


def test_an_unchanged_store_is_not_searched_again() -> None:
    store = UnreliableStore([*running("a", 60), *succeeded("b", 61)])
    feed = ListFeed(store, still)
    for _ in range(3):
        last(feed, NOW_TOO)
    searched = store.searches
    assert last(feed, NOW_TOO).fault is None
    assert store.searches == searched
    last(feed, frozenset({AFRESH}))
    assert sorted(store.fetches[-2:]) == ["a", "b"]


def test_a_condition_on_whole_traces_is_searched_page_by_page() -> None:
    bad = {n for n in range(400) if n % 50 == 49}
    store = UnreliableStore(one for n in range(400) for one in (failed if n in bad else succeeded)(f"t{n:03}", -n))
    feed = ListFeed(store, still, query=parse_query("status:rollback-incomplete"), page=20)
    listing, readings = last(feed), 1
    while listing.unfinished:
        assert listing.looked_at <= 20 * readings, "a page at a time"
        listing, readings = last(feed), readings + 1
    assert [row.trace_id for row in listing.rows] == [f"t{n:03}" for n in sorted(bad)]
    assert listing.exhausted
    assert len(store.fetches) == 400, "each is read once"
    store.cut_off = True
    assert not last(feed, NOW_TOO).unfinished, "a store that fails is not read again immediately"
    store.cut_off = False
    store.append(succeeded("new", 50))
    assert [row.trace_id for row in last(feed, NOW_TOO).rows] == [row.trace_id for row in listing.rows]
    store.append(failed("newer", 60))
    assert last(feed, NOW_TOO).rows[0].trace_id == "newer"


def test_a_search_by_verdict_stops_at_its_limit_until_older_traces_are_requested() -> None:
    store = UnreliableStore(one for n in range(100) for one in failed(f"t{n:02}", -n))
    feed = ListFeed(store, still, query=parse_query("status:rollback-incomplete"), page=20)
    listing = last(feed)
    assert (len(listing.rows), listing.unfinished, listing.exhausted) == (20, False, False)
    assert len(last(feed, frozenset({OLDER})).rows) > 20


@pytest.mark.parametrize(
    ("query", "advised"),
    [("", False), ("error:boom", True), ("data.a=1", True), ("error:boom since:1d", False), ("status:failed", False)],
)
@pytest.mark.parametrize("charges", [False, True])
def test_a_query_over_all_events_of_a_store_that_charges_suggests_a_bound(
    query: str, advised: bool, charges: bool
) -> None:
    feed = ListFeed(ChargingStore() if charges else MemoryStore(), still, query=parse_query(query))
    assert ("add since:" in last(feed).advice) == (advised and charges)


def test_of_the_window_all_traces_are_read_and_of_older_ones_no_more_than_a_page() -> None:
    """The search of the window also found, and the feed read, up to a thousand traces from before it."""
    store = UnreliableStore(one for n in range(300) for one in succeeded(f"t{n:03}", -60.0 * n))
    feed = ListFeed(store, still, page=10, window=100 * 60_000_000)
    last(feed)
    while not (listing := last(feed, frozenset({WHOLE}))).whole:
        pass
    assert len(listing.rows) == len(store.fetches) == 99  # the first of the traces is a minute old
    assert not listing.exhausted
    older = last(feed, frozenset({OLDER}))
    assert [row.trace_id for row in older.rows] == [f"t{n:03}" for n in range(109)]


def test_a_store_that_fails_in_the_middle_of_the_window_does_not_count_as_read() -> None:
    store = UnreliableStore(one for n in range(30) for one in succeeded(f"t{n:03}", -60.0 * n))
    feed = ListFeed(store, still, page=10)
    last(feed)
    reading = feed.read(frozenset({WHOLE}))
    next(reading)
    store.cut_off = True
    listing = list(reading)[-1]
    assert listing.fault is not None
    assert not listing.whole


class Busy(MemoryStore):
    """A store that gets new events of old traces, and new traces, with every fetch."""

    def __init__(self, traces: int) -> None:
        super().__init__()
        self.later: list[list[TraceEvent]] = []
        for n in range(traces):
            first, *rest = failed(f"t{n:03}", -60.0 * n)
            half = len(rest) // 2
            self.append([first, *rest[:half]])
            self.later += [rest[half:], succeeded(f"n{n:03}", 1.0 + n / 10)]
        random.Random(1).shuffle(self.later)

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
        found = super().fetch_trace(trace_id, arrived)
        if self.later:
            self.append(self.later.pop())
        return found


def test_a_window_that_changes_while_it_is_read_is_complete_in_the_end() -> None:
    store = Busy(120)
    feed = ListFeed(store, still, page=20)
    last(feed)
    listing = last(feed, frozenset({WHOLE}))
    while store.later or not listing.whole:
        listing = last(feed, frozenset({WHOLE, LOOK}))
    listing = last(feed, frozenset({LOOK}))  # what was written while the last of them was read
    again = ListFeed(store, still, page=20)
    while not (expected := last(again, frozenset({WHOLE}))).whole:
        pass
    assert len(listing.rows) == 240
    assert listing.rows == expected.rows
    assert sum(len(row.standing) for row in listing.rows) == 120
    assert [row.trace_id for row in read_rows(store, Query(), NOW)] == [row.trace_id for row in expected.rows]
