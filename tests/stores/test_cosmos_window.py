"""Many traces of a window: each found with its events, and almost every document read once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_server import CosmosAccount
from counting_proxy import Count, counting
from fault_proxy import Exchange, FaultProxy
from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import FindsWhole, Search, TraceHit
from sagatrace.stores.cosmos import finding
from sagatrace.stores.cosmos.cursor import Cursor
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace.stores.memory import MemoryStore
from sagatrace.timestamps import utc_timestamp
from sagatrace_tui.incident.query import parse_query
from sagatrace_tui.live.list_feed import WHOLE, ListFeed
from sagatrace_tui.live.window import read_rows

PATIENT = 60.0
START = datetime(2025, 1, 1, tzinfo=UTC)
FIRST = int(START.timestamp()) * 1_000_000
NOW = FIRST + 3_600_000_000


def event(trace_id: str, second: float, number: int = 0, **fields: Any) -> TraceEvent:
    return new_event(
        trace_id=trace_id,
        span_id="S",
        id=f"{trace_id}-{second}-{number}",
        event_type="stage:x:started",
        timestamp=utc_timestamp(START + timedelta(seconds=second)),
        **fields,
    )


@pytest.fixture(scope="module")
def store(account: CosmosAccount) -> Iterator[CosmosStore]:
    with account.store() as opened:
        yield opened


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_LEAST", 3)
    monkeypatch.setattr(finding, "_MOST", 5)
    monkeypatch.setattr(finding, "_CROWDED", 2)


def found_whole(store: CosmosStore, search: Search, *, leaves_out: bool = True) -> list[TraceHit]:
    """Return the traces of all pages. The events of each must be all that are stored."""
    hits: list[TraceHit] = []
    while True:
        known = {hit.trace_id for hit in hits} if leaves_out else ()
        page = list(store.search_whole(search, known))
        for hit, found in page:
            assert hit.trace_id == found.trace_id
            stored = store.fetch_trace(hit.trace_id)
            assert sorted(one.id for one in found.events) == sorted(one.id for one in stored.events)
            assert sorted(one.document_id for one in found.malformed) == sorted(
                one.document_id for one in stored.malformed
            )
        hits += [hit for hit, _ in page if hit.trace_id not in {one.trace_id for one in hits}]
        if len(page) < search.limit:
            return hits
        search = search.after(page[-1][0])


def found_by_memory(memory: MemoryStore, search: Search) -> list[TraceHit]:
    hits: dict[str, TraceHit] = {}
    while page := memory.search(search):
        for hit in page:
            hits.setdefault(hit.trace_id, hit)
        search = search.after(page[-1])
    return list(hits.values())


events = st.lists(st.tuples(st.sampled_from(["A", "B", "C", "D", "E"]), st.integers(0, 6)), min_size=6, max_size=30)
windows = st.fixed_dictionaries(
    {"limit": st.integers(1, 3)}, optional={"since": st.integers(0, 6), "until": st.integers(0, 7)}
)
examples = itertools.count()


@pytest.mark.usefixtures("small_pages")
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(stored=events, window=windows, leaves_out=st.booleans())
def test_traces_found_whole_are_those_of_a_search(
    store: CosmosStore, stored: list[tuple[str, int]], window: dict[str, int], leaves_out: bool
) -> None:
    """Many events of one time, and pages of three to five events."""
    example = f"{next(examples)}-"
    written = [event(example + trace_id, second, number) for number, (trace_id, second) in enumerate(stored)]
    memory = MemoryStore()
    memory.append(written)
    store.append(written)
    bounds: dict[str, Any] = {name: FIRST + second * 1_000_000 for name, second in window.items() if name != "limit"}
    search = Search(limit=window["limit"], trace_prefix=example, **bounds)
    assert found_whole(store, search, leaves_out=leaves_out) == found_by_memory(memory, search)
    pages, wanted = [], search
    while page := store.search(wanted):
        pages += [hit for hit in page if hit.trace_id not in {one.trace_id for one in pages}]
        wanted = wanted.after(page[-1])
    assert pages == found_by_memory(memory, search)


def put(store: CosmosStore, document: dict[str, Any]) -> None:
    store.call(lambda connection, _: connection.container.create_item(document))


@pytest.mark.usefixtures("small_pages")
def test_documents_that_are_not_events_are_found_with_their_trace(store: CosmosStore) -> None:
    store.append([event(f"odd-{number % 4}", number) for number in range(20)])
    for number, timestamp in enumerate([None, 7, {}, "zzz", "", "2025-01-01"]):
        put(store, {"id": f"x{number}", "trace_id": "odd-1", "timestamp": timestamp})
    put(store, {"id": "none", "trace_id": "odd-2"})
    put(store, {"id": "no trace", "timestamp": event("T", 19).timestamp})
    hits = found_whole(store, Search(limit=2, trace_prefix="odd-"))
    assert [hit.trace_id for hit in hits] == ["odd-3", "odd-2", "odd-1", "odd-0"]


@pytest.fixture
def traces(heavy: bool) -> int:
    return 1000 if heavy else 150


@pytest.fixture
def counted(local_account: CosmosAccount, traces: int) -> Iterator[tuple[CosmosStore, Count]]:
    """A store with traces of 20 events, ten of which run at any time, behind a counting proxy."""
    with local_account.store() as direct:
        for first in range(0, traces, 50):
            direct.append(
                event(f"T{number:04}", number + step / 2, step)
                for number in range(first, min(first + 50, traces))
                for step in range(20)
            )
        with counting(local_account.host) as (proxy, count):
            address = local_account.behind(proxy.port).address(container=direct.address.container)
            with closing(CosmosStore(address, max_wait=PATIENT)) as behind:
                behind.fetch_trace("another")  # connects
                count.clear()
                yield behind, count


def test_a_command_reads_almost_every_document_of_a_window_once(
    counted: tuple[CosmosStore, Count], traces: int
) -> None:
    store, count = counted
    rows = list(read_rows(store, parse_query(""), NOW, window=7_200_000_000))
    assert [row.trace_id for row in rows] == [f"T{number:04}" for number in reversed(range(traces))]
    assert {row.span_count for row in rows} == {1}
    assert count.documents <= 1.02 * 20 * traces + 40
    assert count.requests <= 2 * (20 * traces / 900 + 1)


def test_a_list_reads_almost_every_document_of_a_window_once(
    counted: tuple[CosmosStore, Count], traces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, count = counted
    # The events of this test were all written in the last minute. In use, only those of a minute become known so.
    monkeypatch.setattr(Cursor, "knowing", lambda self, _: self)
    monkeypatch.setattr("sagatrace.stores.cosmos.store.LAG", -60)
    feed, wishes = ListFeed(store, lambda: NOW), frozenset[str]()
    listings = []
    while not listings or not listings[-1].whole:
        listings += feed.read(wishes)
        wishes = frozenset({WHOLE})
        assert listings[-1].fault is None
        assert len(listings) < 100
    assert [row.trace_id for row in listings[-1].rows] == [f"T{number:04}" for number in reversed(range(traces))]
    assert all(row.verdict for row in listings[-1].rows)
    assert count.documents <= 1.04 * 20 * traces + 40
    assert count.requests <= 2 * (20 * traces / 900 + 1) + traces / 50


def test_a_page_of_large_documents_may_take_longer_than_one_response(
    local_account: CosmosAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service fills a response with a few large documents. The clock is put forward during each response."""
    clock, forward = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + forward[0])
    with local_account.store() as direct, FaultProxy(local_account.host) as proxy:
        direct.append([event(f"T{number}", number) for number in range(30)])

        def slow(exchange: Exchange) -> None:
            forward[0] += 0.6 * PATIENT
            exchange.headers["x-ms-max-item-count"] = "5"
            exchange.send(exchange.forward().encoded())

        address = local_account.behind(proxy.port).address(container=direct.address.container)
        with closing(CosmosStore(address, max_wait=PATIENT)) as behind:
            behind.fetch_trace("another")  # connects
            proxy.fault = slow
            assert len(list(behind.search_whole(Search()))) == 30
            assert len(behind.search(Search())) == 30
    assert forward[0] > 4 * PATIENT


def test_a_search_that_breaks_off_leaves_no_gap_in_the_list() -> None:
    """The second page of the newest traces fails. The next reading must not take the first one for all."""

    class Flooded(MemoryStore):
        """A store that cannot return changes, and finds traces whole."""

        fails = False

        def stamp(self) -> Any:
            return None

        def fetch_all_since(self, cursor: str | None, limit: int) -> Any:
            changes = super().fetch_all_since(cursor, limit)
            return changes if cursor is None else type(changes)((), (), changes.cursor, changes.cost, more=True)

        def search_whole(self, search: Search, known: Any = ()) -> Iterator[Any]:
            for hit in self.search(search):
                if hit.trace_id not in known:
                    yield hit, self.fetch_trace(hit.trace_id)
            if self.fails:
                raise StoreError("it broke off")

    flooded = Flooded()
    assert isinstance(flooded, FindsWhole)
    flooded.append([event("old", 0)])
    feed = ListFeed(flooded, lambda: NOW, page=5)
    look = frozenset({"look"})
    list(feed.read(look))
    flooded.append([event(f"new-{number:02}", 1 + number) for number in range(12)])
    flooded.fails = True
    assert list(feed.read(look))[-1].fault == "it broke off"
    flooded.fails = False
    rows = list(feed.read(look))[-1].rows
    assert len(rows) == 13
