"""Answers that Cosmos DB never gives: they confirm or hide no event, break no reader, and are not read forever."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from behind_proxy import PATIENT
from cosmos_server import CosmosAccount
from fault_proxy import Answer, Exchange, Fault, FaultProxy, answering
from sagatrace.errors import StoreUnavailableError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import AppendError, Search
from sagatrace.stores.cosmos.cursor import LAG, Cursor
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace.stores.cosmos.transport import retry_after_of


@pytest.fixture
def store(local_account: CosmosAccount) -> Iterator[CosmosStore]:
    with local_account.store() as opened:
        yield opened


def event(number: int, trace_id: str = "T") -> TraceEvent:
    return new_event(id=f"e{number}", trace_id=trace_id, span_id="S", event_type="x", data={"n": number})


def with_body(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Fault:
    """Answer as the service would, with its headers, but with this body."""
    return lambda exchange: exchange.send(Answer(status, body, headers or {}).encoded())


EMPTY = [b"", b"{}", b"[]", b"null", b'{"Documents": []}', b'{"id": "another"}', b'"x"']


@pytest.mark.parametrize("body", EMPTY)
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_an_answer_without_the_version_of_the_event_confirms_nothing(
    behind: CosmosStore, proxy: FaultProxy, body: bytes, status: int, replace: bool, count: int
) -> None:
    behind.max_wait = 1.0
    proxy.fault = with_body(body, status)
    with pytest.raises(AppendError) as caught:
        behind.append([event(number) for number in range(count)], replace)
    assert (len(caught.value.pending), caught.value.refused) == (count, ())


def test_a_create_that_is_answered_like_an_update_confirms_nothing(behind: CosmosStore, proxy: FaultProxy) -> None:
    behind.max_wait = 1.0
    proxy.fault = with_body(b"", 200, {"etag": "v"})
    with pytest.raises(AppendError):
        behind.append([event(1)])
    behind.max_wait = PATIENT
    assert behind.append([event(1)], replace=True) == 0


def test_an_answer_of_the_service_without_content_confirms_the_event(behind: CosmosStore, proxy: FaultProxy) -> None:
    proxy.fault = with_body(b"", 201, {"etag": "v"})
    assert behind.append([event(1)]) == 1


def test_the_conflict_of_a_unique_key_is_not_a_confirmation(behind: CosmosStore, proxy: FaultProxy) -> None:
    proxy.fault = answering(409, message="Unique index constraint violation.")
    with pytest.raises(AppendError, match="unique key") as caught:
        behind.append([event(1)])
    assert [one.event.id for one in caught.value.refused] == ["e1"]


def test_a_removal_that_was_answered_otherwise_is_an_error(behind: CosmosStore, proxy: FaultProxy) -> None:
    behind.max_wait = 1.0
    proxy.fault = with_body(b"{}")
    with pytest.raises(StoreUnavailableError):
        behind.remove([event(1)])


ROW = {"id": "a", "trace_id": "T", "timestamp": "2025-01-01T00:00:00Z", "_ts": 1, "_etag": "v"}
PAGES = {
    "an object": {"Documents": {}},
    "a number": {"Documents": [1]},
    "null": {"Documents": [None]},
    "a list": {"Documents": [[]]},
    "fewer than it says": {"Documents": [ROW], "_count": 2},
    "a trace id that is a number": {"Documents": [{**ROW, "trace_id": 7}]},
    "a second that is text": {"Documents": [{**ROW, "_ts": "x"}]},
    "a second that is null": {"Documents": [{**ROW, "_ts": None}]},
}


def reads(store: CosmosStore) -> dict[str, Callable[[], object]]:
    place = Cursor.of_now([], int(time.time())).encode()
    return {
        "a trace": lambda: store.fetch_trace("T"),
        "traces": lambda: list(store.fetch_traces(["T", "U"])),
        "a search": lambda: store.search(Search()),
        "whole traces": lambda: list(store.search_whole(Search())),
        "changes of a trace": lambda: store.fetch_since("T", place),
        "changes": lambda: store.fetch_all_since(place, 100),
        "the present": lambda: store.fetch_all_since(None, 100),
        "beginnings": lambda: store.begun_before(["T"], place),
    }


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_something_else_is_an_error_of_every_read(behind: CosmosStore, proxy: FaultProxy, page: str) -> None:
    """An empty result would mean that the store has no events."""
    behind.max_wait = 5.0
    proxy.fault = with_body(json.dumps(PAGES[page]).encode())
    for name, read in reads(behind).items():
        with pytest.raises(StoreUnavailableError):
            pytest.fail(f"{name}: {read()}")


def test_documents_that_were_not_asked_for_are_an_error(behind: CosmosStore, proxy: FaultProxy) -> None:
    """Otherwise the requested traces would seem to be missing."""
    proxy.fault = with_body(json.dumps({"Documents": [{**ROW, "trace_id": "another"}]}).encode())
    with pytest.raises(StoreUnavailableError, match="not asked for"):
        list(behind.fetch_traces(["T", "U"]))


@pytest.mark.parametrize("places", ["one place", "new places"])
@pytest.mark.parametrize("rows", [[], [ROW]])
def test_pages_without_end_end(behind: CosmosStore, proxy: FaultProxy, places: str, rows: list[Any]) -> None:
    body, count = json.dumps({"Documents": rows}).encode(), iter(range(10**9))

    def same(exchange: Exchange) -> None:
        place = f"t{next(count)}" if places == "new places" else "t"
        exchange.send(Answer(200, body, {"x-ms-continuation": place}).encoded())

    proxy.fault = same
    behind.max_wait = 1.0
    for name, read in reads(behind).items():
        if name == "changes" and rows:
            continue  # it ends at its limit
        with pytest.raises(StoreUnavailableError):
            pytest.fail(f"{name}: {read()}")


def test_a_search_whose_pages_never_get_older_ends(behind: CosmosStore, proxy: FaultProxy) -> None:
    rows = [
        {**ROW, "id": f"a{number}", "timestamp": f"2025-01-01T00:00:{59 - number // 20:02}Z"} for number in range(1000)
    ]
    proxy.fault = with_body(json.dumps({"Documents": rows}).encode())
    for read in (
        lambda: behind.search(Search(limit=1000)),
        lambda: list(behind.search_whole(Search(limit=1000), {"T"})),
    ):
        with pytest.raises(StoreUnavailableError, match="the same page"):
            read()


def test_a_document_that_is_not_unicode_is_malformed(behind: CosmosStore, proxy: FaultProxy) -> None:
    good = {**json.loads(json.dumps(ROW)), "id": "good", "span_id": "S", "event_type": "x"}
    rows = [{**good, "id": "bad", "data": {"x": "\ud800"}}, good]
    proxy.fault = with_body(json.dumps({"Documents": rows}).encode())
    found = behind.fetch_trace("T")
    assert [one.id for one in found.events] == ["good"]
    assert [one.document_id for one in found.malformed] == ["bad"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ms-retry-after-ms": "1e300"}, 600.0),
        ({"x-ms-retry-after-ms": "-5"}, 0.0),
        ({"x-ms-retry-after-ms": "soon", "Retry-After": "7"}, 7.0),
        ({"x-ms-retry-after-ms": None}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_no_answer_stops_delivery_for_days(headers: dict[str, Any], seconds: float | None) -> None:
    assert retry_after_of(headers) == seconds


def test_unexpected_numbers_in_a_batch_leave_its_events_pending(behind: CosmosStore, proxy: FaultProxy) -> None:
    results = [{"statusCode": 429, "retryAfterMilliseconds": "x", "subStatusCode": "1\n2"}, {"statusCode": 424}]
    proxy.fault = with_body(json.dumps(results).encode(), 207)
    behind.max_wait = 6.0  # a slow machine must get the answer within it
    with pytest.raises(AppendError, match="over its throughput") as caught:
        behind.append([event(1), event(2)])
    assert len(caught.value.pending) == 2
    assert "\n" not in str(caught.value)


def test_a_clock_that_was_wrong_once_hides_no_change() -> None:
    cursor = Cursor.of_now([], 1_000).asking(1_001).after([], None)
    wrong = cursor.asking(10**9).after([], None)
    again = wrong.asking(1_002)
    assert again.since <= 1_002 - LAG
    assert again.after([], None).asking(1_003).since <= 1_001
    back = cursor.asking(10).after([], None)
    assert back.asking(1_002).since <= 992


@pytest.mark.parametrize("charge", ["inf", "nan", "-inf"])
def test_a_charge_that_is_no_number_is_not_counted(behind: CosmosStore, proxy: FaultProxy, charge: str) -> None:
    proxy.fault = with_body(b'{"Documents": []}', headers={"x-ms-request-charge": charge})
    assert behind.fetch_trace("T").cost.request_units == 0.0
