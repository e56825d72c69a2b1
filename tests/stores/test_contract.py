"""What every store promises, once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagatrace.events import TraceEvent, new_event
from sagatrace.stores import EventStore, Search, TraceHit, open_store


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/traces.db"}[request.param]
    store = open_store(url)
    yield store
    store.close()


def event(trace_id: str, second: int, name: str = "stage:x:started", **fields: Any) -> TraceEvent:
    return new_event(
        trace_id=trace_id,
        span_id="S",
        event_type=name,
        timestamp=f"2025-01-01T00:00:{second:02}.000000Z",
        data={"second": second, "text": "ünï\x00\x1b[31m"},
        **fields,
    )


def micros(second: int) -> int:
    return event("T", second).micros


def test_events_come_back_as_they_went_in(store: EventStore) -> None:
    events = [event("T", second) for second in range(5)]
    assert store.append(events) == 5
    assert store.append([event("other", 1)]) == 1
    found = store.fetch_trace("T")
    assert sorted(found.events, key=lambda e: e.micros) == events
    assert found.malformed == ()
    assert found.cost.queries == 1
    assert found.cost.milliseconds > 0


def test_an_id_already_there_is_kept_and_not_counted_again(store: EventStore) -> None:
    first = event("T", 1, id="E1")
    assert store.append([first, first]) == 1
    assert store.append([event("T", 2, id="E1"), event("T", 3, id="E2")]) == 1
    assert {e.id: e.data["second"] for e in store.fetch_trace("T").events} == {"E1": 1, "E2": 3}


def test_the_same_id_in_another_trace_is_another_event(store: EventStore) -> None:
    assert store.append([event("T", 1, id="E1"), event("U", 1, id="E1")]) == 2


def test_an_unknown_trace_has_no_events(store: EventStore) -> None:
    assert store.fetch_trace("nope").events == ()
    store.append([event("T", 1)])
    assert store.fetch_trace("nope").events == ()
    assert store.search(Search(trace_prefix="nope")) == []


def test_search_gives_each_trace_once_latest_activity_first(store: EventStore) -> None:
    store.append([event("A", 1), event("B", 2), event("A", 5), event("C", 3), event("C", 3, name="b:c")])
    assert store.search(Search()) == [TraceHit("A", micros(5)), TraceHit("C", micros(3)), TraceHit("B", micros(2))]
    assert store.search(Search(limit=2)) == [TraceHit("A", micros(5)), TraceHit("C", micros(3))]


def test_search_goes_on_before_the_last_hit(store: EventStore) -> None:
    store.append([event(f"T{second}", second) for second in range(10)])
    pages: list[list[str]] = []
    before: int | None = None
    while hits := store.search(Search(limit=4, before=before)):
        pages.append([hit.trace_id for hit in hits])
        before = hits[-1].latest
    assert pages == [["T9", "T8", "T7", "T6"], ["T5", "T4", "T3", "T2"], ["T1", "T0"]]


def test_search_by_prefix_takes_it_literally(store: EventStore) -> None:
    store.append([event("loan-1", 1), event("loan-2", 2), event("LOAN-3", 3), event("l%", 4), event("l_", 5)])
    assert [hit.trace_id for hit in store.search(Search(trace_prefix="loan-"))] == ["loan-2", "loan-1"]
    assert [hit.trace_id for hit in store.search(Search(trace_prefix="l%"))] == ["l%"]
    assert [hit.trace_id for hit in store.search(Search(trace_prefix="l_"))] == ["l_"]


def test_a_closed_store_opens_again_on_next_use(store: EventStore) -> None:
    store.append([event("T", 1)])
    store.close()
    store.close()
    assert len(store.fetch_trace("T").events) == 1
