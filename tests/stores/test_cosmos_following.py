"""A trace followed in a Cosmos DB account: only changes are read, and the result equals the trace read whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import msgspec
import pytest

from cosmos_server import CosmosAccount
from sagas import NOW, failed, hearing, running, still
from sagatrace.stores.cosmos.call import Call
from sagatrace.stores.cosmos.cursor import Cursor
from sagatrace.stores.cosmos.queries import changes_query
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.incident.query import parse_query
from sagatrace_tui.live.list_feed import ListFeed
from sagatrace_tui.live.refresh import LOOK
from sagatrace_tui.live.status import SWEEP
from sagatrace_tui.live.trace_feed import OpenTrace, TraceFeed
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


def test_a_trace_read_in_parts_equals_the_trace_read_whole(store: CosmosStore) -> None:
    events = failed("T7")
    feed = TraceFeed(store, "T7", still)
    subscriber = hearing(feed)
    for start in range(0, len(events), 4):
        store.append(events[start : start + 4])
        if start == 4:
            subscriber.events = list(events[start : start + 4])
        shown(feed, NOW_TOO)
    reading = shown(feed, NOW_TOO)
    assert reading.trace == build_trace("T7", store.fetch_trace("T7").events, now=NOW)
    assert reading.known == len(events)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put this machine's clock forward, and keep the offset to the service's clock."""
    real, forward = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + forward[0])
    monkeypatch.setattr("sagatrace.stores.cosmos.call.Call.note", _without_the_date)

    def put_forward(seconds: float) -> None:
        forward[0] += seconds

    return put_forward


_note = Call.note


def _without_the_date(call: Call, status: int, headers: Mapping[str, str]) -> None:
    _note(call, status, {name: value for name, value in headers.items() if name.lower() != "date"})
    call.clock_offset = 0.0


def all_of(store: CosmosStore, cursor: str, limit: int = 1000) -> tuple[list[str], str]:
    """Read all changes, and return their ids and the cursor."""
    ids: list[str] = []
    more = True
    while more:
        found = store.fetch_all_since(cursor, limit)
        ids += [event.id for event in found.events]
        cursor, more = found.cursor, found.more
    return ids, cursor


def test_no_version_is_read_twice_in_any_number_of_reads(store: CosmosStore, clock: Callable[[float], None]) -> None:
    store.append(running("before", 60))
    cursor, of_trace = store.fetch_all_since(None, 100).cursor, store.fetch_since("T7", None).cursor
    events = failed("T7")
    store.append(events)
    ids: list[str] = []
    own: list[str] = []
    for _ in range(12):
        found, cursor = all_of(store, cursor, limit=4)
        ids += found
        changes = store.fetch_since("T7", of_trace)
        own, of_trace = own + [event.id for event in changes.events], changes.cursor
        clock(7)  # further than any read goes back
    assert sorted(ids) == sorted(own) == sorted(event.id for event in events)


def test_a_replacing_version_is_read(store: CosmosStore, clock: Callable[[float], None]) -> None:
    first, *_ = failed("T7")
    cursor = store.fetch_all_since(None, 100).cursor
    for kind in ("job:started", "job:failed", "job:completed"):
        store.append([msgspec.structs.replace(first, event_type=kind)], replace=True)
        found = store.fetch_all_since(cursor, 100)
        assert [event.event_type for event in found.events] == [kind]
        cursor = found.cursor


@pytest.mark.parametrize("lag", [5, 25, 55])
def test_events_that_a_replica_shows_late_are_read(
    store: CosmosStore, clock: Callable[[float], None], lag: int
) -> None:
    """The reader's clock is put forward between reads. Then an event is written with an earlier time."""
    cursor = store.fetch_all_since(None, 100).cursor
    for _ in range(lag):
        clock(1)
        found = store.fetch_all_since(cursor, 100)
        assert found.events == ()
        cursor = found.cursor
    late = failed("T7")[:3]
    store.append(late)  # so many seconds ago by the service's clock
    ids: list[str] = []
    for _ in range(35):
        found = store.fetch_all_since(cursor, 100)
        ids += [event.id for event in found.events]
        cursor = found.cursor
        clock(1)
    assert sorted(ids) == sorted(event.id for event in late)


def test_a_flood_keeps_the_query_below_the_limit_of_the_service(
    store: CosmosStore, clock: Callable[[float], None]
) -> None:
    cursor = store.fetch_all_since(None, 100).cursor
    flood = [event for number in range(400) for event in failed(f"T{number}")]
    store.append(flood)
    ids, cursor = all_of(store, cursor)
    assert sorted(ids) == sorted(event.id for event in flood)
    place = Cursor.decode(cursor)
    assert len(place.known) < len(flood)
    text, parameters = changes_query(None, place.since, list(place.known))
    assert len(msgspec.json.encode({"query": text, "parameters": parameters})) < 256_000
    store.append(failed("late"))  # perhaps in the last second of the flood
    assert {event.id for event in failed("late")} <= set(all_of(store, cursor)[0])


def test_the_newest_seconds_are_read_again_after_a_flood() -> None:
    now = 1_000_000
    flood = [{"_etag": str(number), "_ts": now - number // 4_000} for number in range(30_000)]
    place = Cursor.of_now([], now - 30).asking(now).after(flood, None)
    following = place.asking(now)
    assert following.since < now
    assert len(following.asked) <= 5_000


def test_the_account_is_read_rarely_with_redis_and_after_the_end_of_a_trace(store: CosmosStore) -> None:
    store.append(running("T1", 70))
    feed = TraceFeed(store, "T1", still)
    status = shown(feed).status
    assert 1.0 <= status.every < SWEEP, "longer where a reading takes longer"
    assert msgspec.structs.replace(status, every=1.0).words == "polling every 1 s"
    subscriber = hearing(feed)
    shown(feed, NOW_TOO)
    assert shown(feed).status.words == "live (Redis)"
    assert shown(feed).status.every == SWEEP
    assert subscriber.events == []
    store.append(failed("T2"))
    over = TraceFeed(store, "T2", still)
    shown(over)
    assert shown(over, NOW_TOO).status.words == f"polling every {SWEEP:g} s"


def test_the_list_reads_the_changes_of_all_traces_in_one_query(
    store: CosmosStore, next_second: Callable[[], object]
) -> None:
    for number in range(5):
        store.append(running(f"T{number}", 60 + number))
    feed = ListFeed(store, still)
    for _ in range(2):
        list(feed.read(NOW_TOO))
    next_second()
    store.append(failed("T9", 68))
    listing = list(feed.read(NOW_TOO))[-1]
    assert listing.queries == 2  # the changes, and whether they are all of the unknown trace
    assert [row.trace_id for row in listing.rows] == ["T9", "T4", "T3", "T2", "T1", "T0"]
    afresh = list(ListFeed(store, still).read())[-1]
    assert listing.rows == afresh.rows


@pytest.mark.parametrize("query", ["", "status:failed"])
def test_a_trace_older_than_the_list_is_read_whole(
    store: CosmosStore, next_second: Callable[[], object], query: str
) -> None:
    """The list has one row at first. The other traces appear with their next event."""
    old, unkept = [*failed("old", 10)[:5], *failed("old", 50)[5:]], failed("unkept", 20)
    store.append(old[:5])
    store.append(unkept[:2])
    next_second()
    feed = ListFeed(store, still, query=parse_query(query), page=1)
    list(feed.read(NOW_TOO))
    next_second()
    store.append(unkept[2:4])
    list(feed.read(NOW_TOO))
    store.append([*old[5:], *unkept[4:], *failed("new", 30)])
    listing = list(feed.read(NOW_TOO))[-1]
    afresh = list(ListFeed(store, still, query=parse_query(query)).read())[-1]
    assert {row.trace_id for row in listing.rows} >= {"old", "unkept", "new"}
    assert [row.trace_id for row in listing.rows] == [row.trace_id for row in afresh.rows]
    assert listing.rows == afresh.rows
