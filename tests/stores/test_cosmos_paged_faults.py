"""Faults during reads of many pages: each costs one page, and no query grows too long."""

from __future__ import annotations

import json
import time

import pytest

from behind_proxy import PATIENT, Between, emitted
from fault_proxy import (
    Answer,
    Exchange,
    answering,
)
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import Search
from sagatrace.stores.cosmos.cursor import Cursor
from sagatrace_tui.live.trace_feed import TraceFeed

PAGES = 3


@pytest.fixture
def paged(between: Between) -> list[TraceEvent]:
    """Store a trace that needs three responses."""
    events = emitted(2_500)
    between.direct.append(events)
    between.store.fetch_trace("another")  # so that requests that the SDK sends once are not counted
    between.proxy.met = 0
    return events


def test_a_fault_during_a_trace_costs_one_page(between: Between, paged: list[TraceEvent]) -> None:
    """Otherwise a throttled container would be read from the beginning again and again."""
    seen: list[str] = []

    def every_second(exchange: Exchange) -> None:
        seen.append(exchange.headers.get("x-ms-continuation", ""))
        if len(seen) % 2:
            answering(429, headers={"x-ms-retry-after-ms": "20"})(exchange)
        else:
            exchange.send(exchange.forward().encoded())

    between.proxy.fault = every_second
    counts: list[int] = []
    found = between.store.fetch_trace("T", counts.append)
    assert sorted(found.events, key=lambda event: event.id) == sorted(paged, key=lambda event: event.id)
    assert counts == [1000, 2000, 2500]
    assert len(seen) == 2 * PAGES
    assert seen[::2] == seen[1::2]  # each page is requested twice, and no earlier page again
    assert found.cost.round_trips >= 2 * PAGES


def test_a_trace_may_take_longer_than_any_page_of_it(
    between: Between, paged: list[TraceEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is put forward during each page by more than half of the wait."""
    clock, forward = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + forward[0])

    def slow(exchange: Exchange) -> None:
        forward[0] += 0.6 * PATIENT
        exchange.send(exchange.forward().encoded())

    between.proxy.fault = slow
    assert len(between.store.fetch_trace("T").events) == len(paged)
    assert forward[0] > PATIENT


def test_a_read_can_be_stopped_after_any_page(between: Between, paged: list[TraceEvent]) -> None:
    between.proxy.fault = lambda exchange: exchange.send(exchange.forward().encoded())
    feed = TraceFeed(between.store, "T")
    feed.give_up()
    [reading] = feed.read()
    assert (feed.arrived, reading.trace) == (1000, None)
    assert between.proxy.met == 1 < len(paged) // 1000


@pytest.fixture
def many(between: Between) -> int:
    """Store events of many traces, more than a page of them."""
    traces = [emitted(20, f"T{number:03}") for number in range(150)]
    between.direct.append([event for trace in traces for event in trace])
    between.store.fetch_trace("another")
    between.proxy.met = 0
    return 3000


def documents(answer: Answer) -> int:
    return len(json.loads(answer.body).get("Documents", []))


@pytest.mark.parametrize("read", ["changes", "search"])
def test_throttling_in_a_query_over_all_traces_repeats_no_earlier_page(between: Between, many: int, read: str) -> None:
    """Reading again from the first page would never end in a busy container."""
    seen: list[int] = []
    turn = iter(range(10_000))

    def every_second(exchange: Exchange) -> None:
        exchange.headers["x-ms-max-item-count"] = "50"  # the service sends fewer rows than requested
        if next(turn) % 2:
            answering(429, headers={"x-ms-retry-after-ms": "20"})(exchange)
        else:
            answer = exchange.forward()
            seen.append(documents(answer))
            exchange.send(answer.encoded())

    between.proxy.fault = every_second
    if read == "changes":
        cursor, more, found = Cursor.of_now([], int(time.time()) - 40).encode(), True, 0
        while more:
            changes = between.store.fetch_all_since(cursor, 500)
            cursor, more, found = changes.cursor, changes.more, found + len(changes.events)
        assert found == many
        assert sum(seen) == many
    else:
        assert len(between.store.search(Search(limit=100))) == 100
        assert len(seen) * 2 - 1 <= between.proxy.met <= len(seen) * 2
        assert len(seen) > 20
        assert sum(seen) <= many + 100  # events with the time of a page's end are read twice


def test_a_huge_newest_trace_is_excluded_once_and_the_query_stays_short(between: Between) -> None:
    """Its events fill the first page. The next queries exclude this trace, and none that fills little."""
    old = [emitted(3, f"old-{number:04}-{'x' * 200}") for number in range(1200)]
    between.direct.append([event for trace in old for event in trace])
    between.direct.append(emitted(2_000, "huge"))
    sizes: list[int] = []
    rows: list[int] = []

    def measured(exchange: Exchange) -> None:
        answer = exchange.forward()
        sizes.append(len(exchange.body))
        rows.append(documents(answer))
        exchange.send(answer.encoded())

    between.store.fetch_trace("another")
    between.proxy.fault = measured
    hits = between.store.search(Search(limit=1_000))
    assert len(hits) == 1_000
    assert hits[0].trace_id == "huge"
    assert max(sizes) < 64_000
    assert sum(rows) < 3_000 + 1_000 + len(rows)  # the first page, and the traces to be found


def test_a_query_without_an_index_is_used_only_if_the_service_knows_no_other(between: Between) -> None:
    between.direct.append([new_event(trace_id="T", span_id="S", event_type="x", data={"error": "Insufficient FUNDS"})])
    queries: list[str] = []

    def noted(exchange: Exchange) -> None:
        queries.append(json.loads(exchange.body)["query"])
        exchange.send(exchange.forward().encoded())

    between.store.fetch_trace("another")
    between.proxy.fault = noted
    for _ in range(2):
        assert len(between.store.search(Search(error="funds"))) == 1
    folding = ["CONTAINS(c.data.error, @p0, true)" in query for query in queries]
    assert folding == [True, False, False]  # the test server knows only two arguments, and gets one request
    assert all("IS_STRING(c.trace_id)" in query for query in queries)
