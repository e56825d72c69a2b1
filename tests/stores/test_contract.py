"""The contract of every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cosmos_server import CosmosAccount
from sagatrace.errors import SearchError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import DataIs, EventStore, Search, TellsChanges, TraceHit, data_condition, fetch_many, open_store


@pytest.fixture(params=["memory", "sqlite", "cosmos", "cosmos-tls"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    if request.param.startswith("cosmos"):
        account: CosmosAccount = request.getfixturevalue("account" if request.param == "cosmos" else "tls_account")
        with account.store() as opened:
            yield opened
        return
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


def test_many_traces_are_returned_once_each_whole_and_in_the_given_order(store: EventStore) -> None:
    for n in range(7):
        store.append([event(f"T{n}", second) for second in range(n + 1)])
    wanted = ["T3", "gone", "T0", "T6"]
    found = list(fetch_many(store, wanted))
    assert [one.trace_id for one in found] == wanted
    for one in found:
        alone = store.fetch_trace(one.trace_id)
        assert sorted(one.events, key=lambda event: event.id) == sorted(alone.events, key=lambda event: event.id)
    assert [len(one.events) for one in found] == [4, 0, 1, 7]
    assert list(fetch_many(store, [])) == []


def test_an_existing_id_is_kept_and_not_counted_again(store: EventStore) -> None:
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


def test_search_continues_before_the_last_hit(store: EventStore) -> None:
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


def test_observed_events_overwrite_and_presumed_events_do_not(store: EventStore) -> None:
    presumed, seen = event("T", 1, "job:abandoned", id="E:end"), event("T", 2, "job:completed", id="E:end")
    assert store.append([presumed]) == 1
    assert store.append([seen, event("T", 3)], replace=True) == 1
    assert store.append([presumed]) == 0
    assert store.append([seen], replace=True) == 0
    found = store.fetch_trace("T").events
    assert [e.event_type for e in sorted(found, key=lambda e: e.micros)] == ["job:completed", "stage:x:started"]
    assert store.search(Search(event_type="job:abandoned")) == []
    assert store.search(Search(event_type="job:completed")) == [TraceHit("T", micros(2))]


def test_of_two_events_with_one_id_in_one_call_the_first_stays_or_the_last_replaces_it(store: EventStore) -> None:
    assert store.append([event("T", 1, id="E"), event("T", 2, id="E")]) == 1
    assert store.append([event("U", 1, id="E"), event("U", 2, id="E")], replace=True) == 1
    assert [e.data["second"] for trace_id in "TU" for e in store.fetch_trace(trace_id).events] == [1, 2]


def test_many_events_of_many_traces_in_one_call(store: EventStore) -> None:
    events = [event(f"T{n % 3}", n % 60, id=f"E{n}") for n in range(330)]
    assert store.append(events) == 330
    assert store.append([*events, event("T0", 1, id="one more")]) == 1
    for trace in range(3):
        assert sorted(store.fetch_trace(f"T{trace}").events, key=lambda e: e.id) == sorted(
            [e for e in events if e.trace_id == f"T{trace}"] + ([event("T0", 1, id="one more")] if trace == 0 else []),
            key=lambda e: e.id,
        )


def test_an_append_of_no_events_stores_nothing(store: EventStore) -> None:
    assert store.append([]) == 0
    assert store.append([], replace=True) == 0


HOSTILE = [
    "",
    "'",
    '"',
    "\\",
    '"] OR 1=1 --',
    "a.b",
    "a=b",
    "@p0",
    "{}",
    "\u0022",
    "ключ",
    "😀",
    "\x00",
    "c",
    "/*",
    "`",
]


def searchable() -> list[TraceEvent]:
    def make(trace: str, second: int, kind: str, **fields: Any) -> TraceEvent:
        at = f"2025-01-01T00:00:{second:02}.000000Z"
        return new_event(trace_id=trace, span_id="S", event_type=kind, timestamp=at, **fields)

    return [
        make("A", 1, "job:started", tags=["loan", "eu"], data={"amount": 5, "customer": {"tier": "gold", "vip": True}}),
        make("A", 2, "job:failed", status="failed", data={"error": "Insufficient Funds: Ä", "error_type": "NoMoney"}),
        make("B", 3, "job:failed", data={"amount": "5", "customer": {"tier": "silver", "vip": 1}}),
        make("B", 4, "ai:decision", status="pending", tags=["eu"], data={"amount": 5.0, "note": None}),
        make("C", 5, "failed", data={"error": 7, "customer": "gold"}),
        make("C", 6, "job:failed", status="success", tags=["LOAN"], data={"amount": True, "customer": {"tier": None}}),
        make("D", 7, "job:completed", data={key: {key: key} for key in HOSTILE if key} | {"big": 2**60}),
        make("D", 8, "job:stopped", data={"list": [1, 2], "error": 'timeout: it\'s 100% "over"'}),
    ]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), "DCBA"),
        (Search(since=micros(3)), "DCB"),
        (Search(until=micros(3)), "A"),
        (Search(since=micros(3), until=micros(5)), "B"),
        (Search(status="failed"), "CBA"),
        (Search(status="success"), "DC"),
        (Search(status="pending"), "B"),
        (Search(event_type="job:failed"), "CBA"),
        (Search(event_type="failed"), "C"),
        (Search(event_type="JOB:FAILED"), ""),
        (Search(tag="loan"), "A"),
        (Search(tag="eu"), "BA"),
        (Search(tag="lo"), ""),
        (Search(error="insufficient funds"), "A"),
        (Search(error="FUNDS: ä"), "A"),
        (Search(error="nomoney"), "A"),
        (Search(error="7"), ""),
        (Search(error='100% "OVER"'), "D"),
        (Search(error="%"), "D"),
        (Search(error="it's"), "D"),
        (Search(data=(DataIs(("amount",), (5,)),)), "BA"),
        (Search(data=(DataIs(("amount",), ("5",)),)), "B"),
        (Search(data=(DataIs(("amount",), (True,)),)), "C"),
        (Search(data=(DataIs(("amount",), (1,)),)), ""),
        (Search(data=(DataIs(("note",), (None,)),)), "B"),
        (Search(data=(DataIs(("absent",), (None,)),)), ""),
        (Search(data=(DataIs(("customer", "tier"), (None,)),)), "C"),
        (Search(data=(DataIs(("big",), (2**60,)),)), "D"),
        (Search(data=(DataIs(("big",), (2**60 + 1,)),)), "D"),
        (Search(data=(DataIs(("list", "0"), (1,)),)), ""),
        (Search(data=(DataIs(("list", "length"), (2,)),)), ""),
        (Search(data=(data_condition("customer.tier=gold"),)), "A"),
        (Search(data=(data_condition("customer.vip=1"),)), "B"),
        (Search(data=(data_condition("amount=5"),)), "BA"),
        (Search(data=(data_condition('amount="5"'),)), "B"),
        (Search(data=(data_condition("customer.tier=gold"), data_condition("customer.vip=true"))), "A"),
        (Search(data=(data_condition("customer.tier=gold"),), event_type="job:failed"), ""),
        (Search(trace_prefix="A", status="failed"), "A"),
    ],
)
def test_every_store_gives_the_same_search_results(store: EventStore, search: Search, found: str) -> None:
    store.append(searchable())
    assert "".join(hit.trace_id for hit in store.search(search)) == found


def test_keys_and_values_cannot_break_out_of_a_search(store: EventStore) -> None:
    store.append(searchable())
    for key in filter(None, HOSTILE):
        assert [hit.trace_id for hit in store.search(Search(data=(DataIs((key, key), (key,)),)))] == ["D"], key
        for searched in (Search(tag=key), Search(event_type=key), Search(trace_prefix=key), Search(error=key + "z")):
            assert store.search(searched) == [], searched


def test_a_search_reports_its_cost(store: EventStore) -> None:
    store.append(searchable())
    hits = store.search(Search(status="failed"))
    assert hits.cost.queries >= 1
    assert hits.cost.milliseconds > 0


def test_no_trace_is_lost_between_pages_when_many_have_the_same_time(store: EventStore) -> None:
    store.append([event(f"T{number:02}", 1 + number // 20) for number in range(40)])
    store.append([event(f"T{number:02}", 2) for number in range(10)])
    seen: list[str] = []
    search = Search(limit=7)
    while hits := store.search(search):
        seen += [hit.trace_id for hit in hits]
        search = search.after(hits[-1])
        assert len(seen) <= 200
    expected = [f"T{n:02}" for n in reversed(range(20, 40))] + [f"T{n:02}" for n in reversed(range(10))]
    assert seen[:30] == expected
    # Traces found at second 2 appear again for their events at second 1: the caller merges.
    assert seen[30:] == [f"T{n:02}" for n in reversed(range(20))]


def test_any_number_of_traces_with_one_time_is_ordered_by_id(store: EventStore) -> None:
    store.append([event(f"T{number:03}", 1) for number in range(130)])
    seen: list[str] = []
    search = Search(limit=20)
    while hits := store.search(search):
        seen += [hit.trace_id for hit in hits]
        search = search.after(hits[-1])
        assert len(seen) <= 200
    assert seen == [f"T{number:03}" for number in reversed(range(130))]


def test_a_trace_with_more_events_than_a_page_hides_no_other(store: EventStore) -> None:
    store.append([event("busy", 30, id=f"E{number}") for number in range(150)])
    store.append([event("busy", 31, id=f"F{number}") for number in range(150)])
    store.append([event("quiet", 30), event("old", 1)])
    assert store.search(Search(limit=3)) == [
        TraceHit("busy", micros(31)),
        TraceHit("quiet", micros(30)),
        TraceHit("old", micros(1)),
    ]


def test_times_beyond_the_calendar_are_not_an_error(store: EventStore) -> None:
    store.append([event("T", 1)])
    assert len(store.search(Search(since=-(2**61), until=2**61))) == 1


@pytest.mark.parametrize("text", ["", "x", "=1", "a..b=1", ".=1", "a=[1]", 'a={"b": 1}'])
def test_the_error_for_an_unreadable_condition_gives_an_example(text: str) -> None:
    with pytest.raises(SearchError, match="data"):
        data_condition(text)


def test_a_condition_reads_dots_and_quotes() -> None:
    assert data_condition(r"a\.b.c\=d=e=f") == DataIs(("a.b", "c=d"), ("e=f",))
    assert data_condition("a=") == DataIs(("a",), ("",))
    assert data_condition("a=null") == DataIs(("a",), ("null", None))


def test_a_closed_store_opens_again_on_next_use(store: EventStore) -> None:
    store.append([event("T", 1)])
    store.close()
    store.close()
    assert len(store.fetch_trace("T").events) == 1


def following(store: EventStore) -> TellsChanges:
    assert isinstance(store, TellsChanges)
    return store


def test_the_changes_of_a_trace_add_up_to_the_whole_trace(store: EventStore) -> None:
    changes = following(store)
    store.append([event("T", n, id=f"E{n}") for n in range(3)])
    found = changes.fetch_since("T", None)
    assert found.whole
    assert {e.id for e in found.events} == {"E0", "E1", "E2"}
    known = {e.id: e for e in found.events}
    store.append([event("T", 4, id="late")])
    store.append([event("U", 5, id="other")])
    store.append([event("T", 6, "job:completed", id="E1")], replace=True)
    store.append([event("T", 7, "job:abandoned", id="E2")])
    for _ in range(2):
        found = changes.fetch_since("T", found.cursor)
        assert not found.whole
        known.update({e.id: e for e in found.events})
    assert known == {e.id: e for e in store.fetch_trace("T").events}
    assert {known[one].event_type for one in ("E1", "E2")} == {"job:completed", "stage:x:started"}


def test_an_empty_trace_is_followed_from_its_first_event(store: EventStore) -> None:
    changes = following(store)
    found = changes.fetch_since("T", None)
    assert (found.events, found.whole) == ((), True)
    store.append([event("T", 1, id="E1")])
    assert [e.id for e in changes.fetch_since("T", found.cursor).events] == ["E1"]


def test_the_changes_of_all_traces_arrive_in_parts_without_a_gap(store: EventStore) -> None:
    changes = following(store)
    store.append([event("before", 1, id="B")])
    found = changes.fetch_all_since(None, 10)
    assert found.events == ()
    given = [event(f"T{n % 4}", n, id=f"E{n}") for n in range(25)]
    for one in given:
        store.append([one])
    heard: dict[tuple[str, str], TraceEvent] = {}
    found = changes.fetch_all_since(found.cursor, 10)
    heard.update({(e.trace_id, e.id): e for e in found.events})
    while found.more:
        found = changes.fetch_all_since(found.cursor, 10)
        heard.update({(e.trace_id, e.id): e for e in found.events})
    heard.pop(("before", "B"), None)  # a clock with whole seconds repeats events from just before
    assert heard == {(e.trace_id, e.id): e for e in given}


def test_a_stamp_stays_until_something_is_stored(store: EventStore) -> None:
    changes = following(store)
    store.append([event("T", 1)])
    before = changes.stamp()
    assert changes.stamp() == before
    if before is None:
        return  # a stamp would cost a query there
    store.append([event("T", 2)])
    assert changes.stamp() != before
