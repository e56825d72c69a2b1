"""Faults between the SDK and the server: each call ends in time, its error names the fault, and no event is lost."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

import pytest

from cosmos_server import CosmosAccount
from fault_proxy import (
    ACTIVITY,
    Answer,
    Exchange,
    Fault,
    FaultProxy,
    answering,
    cut_short,
    dropping,
    hanging,
    stalling,
    trickling,
)
from sagatrace.errors import StoreAccessError, StoreError, StoreNotFoundError, StoreUnavailableError
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.stores import AppendError, Search
from sagatrace.stores.cosmos.cursor import Cursor
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.live import TraceFeed

PATIENT = 60.0  # seconds that a call may take in tests that are not about the wait
WAITS = (1.5, 6.0, 24.0)  # a machine too slow to reach the fault in the first wait gets the next one
LIMIT = 10.0  # a call counts as blocked after this multiple of its wait: slow machines need more


@dataclass
class Between:
    """A store behind the proxy, and one with a direct connection to the same container."""

    proxy: FaultProxy
    store: CosmosStore
    direct: CosmosStore

    def held(self) -> list[bytes]:
        """Return the events in the container, sorted."""
        events = [e for hit in self.direct.search(Search()) for e in self.direct.fetch_trace(hit.trace_id).events]
        return sorted(map(encode_event, events))


@pytest.fixture
def between(local_account: CosmosAccount) -> Iterator[Between]:
    address = local_account.address()
    provision(address, max_wait=PATIENT)
    with FaultProxy(local_account.host) as proxy:
        behind = local_account.behind(proxy.port).address(container=address.container)
        store, direct = CosmosStore(behind, max_wait=PATIENT), CosmosStore(address, max_wait=PATIENT)
        yield Between(proxy, store, direct)
        proxy.released.set()
        store.close()
        direct.close()


def emitted(count: int = 5, trace_id: str = "T") -> list[TraceEvent]:
    return [
        new_event(trace_id=trace_id, span_id="S", event_type="stage:x:started", data={"n": number})
        for number in range(count)
    ]


class Timed(AbstractContextManager["Timed"]):
    """Fail if the block takes much longer than the wait of its call."""

    def __init__(self, wait: float) -> None:
        self.most = LIMIT * wait

    def __enter__(self) -> Self:
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self.began
        assert took <= self.most, f"held for {took:.2f} s, {self.most:g} s at most"


def failing(between: Between, events: list[TraceEvent], replace: bool = False) -> AppendError:
    """Append events that cannot be stored, and return the error. It must come before the wait is over."""
    began = time.monotonic()
    with pytest.raises(AppendError) as caught:
        between.store.append(events, replace)
    assert time.monotonic() - began < PATIENT / 2
    assert "\n" not in str(caught.value)
    return caught.value


PASSING: dict[str, Callable[[FaultProxy], None]] = {
    "429 with retry-after": lambda proxy: proxy.times(3, answering(429, headers={"x-ms-retry-after-ms": "100"})),
    "503": lambda proxy: proxy.times(2, answering(503)),
    "449": lambda proxy: proxy.times(2, answering(449, headers={"x-ms-retry-after-ms": "20"})),
    "410": lambda proxy: proxy.times(2, answering(410)),
    "408": lambda proxy: proxy.times(2, answering(408)),
    "dropped before": lambda proxy: proxy.times(2, dropping(after=False)),
    "dropped after": lambda proxy: proxy.times(1, dropping(after=True)),
    "half-sent": lambda proxy: proxy.times(1, cut_short),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("count", [1, 5])
def test_a_fault_that_passes_within_the_wait_is_not_noticed(
    between: Between, fault: str, replace: bool, count: int
) -> None:
    events = emitted(count)
    PASSING[fault](between.proxy)
    assert between.store.append(events, replace) == count
    assert between.proxy.met >= 2
    assert between.held() == sorted(map(encode_event, events))


@pytest.mark.parametrize("fault", PASSING)
def test_reads_survive_the_same_faults(between: Between, fault: str) -> None:
    events = emitted()
    between.direct.append(events)
    PASSING[fault](between.proxy)
    assert len(between.store.fetch_trace("T").events) == 5
    PASSING[fault](between.proxy)
    assert [hit.trace_id for hit in between.store.search(Search(event_type="stage:x:started"))] == ["T"]


LASTING: dict[str, tuple[Fault, str]] = {
    "hanging": (hanging, "did not answer within"),
    "503": (answering(503), "status 503"),
    "449": (answering(449), "status 449"),
    "410": (answering(410), "status 410"),
    "dropped": (dropping(after=False), "broke off"),
    "half-sent": (cut_short, "broke off"),
    "stalling": (stalling, "did not answer within"),
    "trickling": (trickling, "did not answer within"),
}


def ended(call: Callable[[], object], wait: float) -> StoreError:
    """Make a call that fails within the limit, and return its error."""
    with Timed(wait), pytest.raises(StoreError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_ends_in_time_and_the_events_are_stored_later(between: Between, fault: str) -> None:
    events = emitted()
    between.store.fetch_trace("another")  # connects
    between.proxy.fault, said = LASTING[fault]
    for wait in WAITS:
        between.store.max_wait = wait
        calls: list[Callable[[], object]] = [
            lambda: between.store.append(events),
            lambda: between.store.fetch_trace("T"),
            lambda: between.store.search(Search()),
        ]
        with ThreadPoolExecutor(len(calls)) as pool:
            error, *unread = pool.map(ended, calls, [wait] * len(calls))
        assert isinstance(error, AppendError)
        assert (error.pending, error.refused, error.new) == (tuple(events), (), 0)
        causes = [error.cause, *unread]
        assert all(isinstance(cause, StoreUnavailableError) for cause in causes)
        if all(said in str(cause) for cause in causes):
            break
        assert all(re.search(f"{said}|did not answer within {wait:g} s", str(cause)) for cause in causes), causes
    else:
        pytest.fail(f"no call ended with {said!r}, however long its wait")
    between.proxy.released.set()
    between.proxy.fault = None
    between.store.max_wait = PATIENT
    between.store.append(error.pending)
    assert between.held() == sorted(map(encode_event, events))


def test_throttling_beyond_the_wait_fails_immediately_with_the_seconds_to_wait(between: Between) -> None:
    events = emitted()
    between.proxy.fault = answering(429, headers={"x-ms-retry-after-ms": "300000"})
    error = failing(between, events)
    assert error.retry_after == 300.0
    assert error.pending == tuple(events)
    between.proxy.fault = None
    assert between.store.append(error.pending) == 5


@pytest.mark.parametrize("connected", [False, True])
def test_refused_connections_fail_immediately(between: Between, connected: bool) -> None:
    events = emitted()
    if connected:
        between.store.fetch_trace("T")
    between.proxy.refuse()
    error = failing(between, events)
    assert isinstance(error.cause, StoreUnavailableError)
    assert "the connection is refused" in str(error)
    between.proxy.listen()
    assert between.store.append(error.pending) == 5
    assert between.held() == sorted(map(encode_event, events))


@pytest.mark.parametrize("fault", [hanging, trickling, dropping(after=False), answering(503), answering(429)])
def test_an_account_that_fails_while_connecting_blocks_no_call(between: Between, fault: Fault) -> None:
    between.proxy.meets = lambda exchange: exchange.path == "/"
    between.proxy.fault = fault
    between.store.max_wait = WAITS[0]
    with Timed(WAITS[0]), pytest.raises(StoreUnavailableError):
        between.store.fetch_trace("T")
    assert between.proxy.met >= 1
    between.proxy.released.set()
    between.proxy.fault = None
    between.store.max_wait = PATIENT
    assert between.store.fetch_trace("T").events == ()


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (401, "The input authorization token can't serve the request.", "refuses the account key"),
        (403, "Request originated from IP 1.2.3.4 … blocked by your account firewall settings.", "under Networking"),
        (403, "The given request [POST /docs] cannot be authorized", "read-only key"),
    ],
)
def test_a_missing_permission_costs_one_request_and_no_event(
    between: Between, status: int, message: str, said: str
) -> None:
    events = emitted()
    between.proxy.fault = answering(status, message=message)
    error = failing(between, events)
    assert isinstance(error.cause, StoreAccessError)
    assert said in str(error)
    assert error.pending == tuple(events)
    assert between.proxy.met == 1
    between.proxy.fault = None
    assert between.store.append(error.pending) == 5


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_sign_in_costs_one_request(between: Between, status: int) -> None:
    between.proxy.meets = lambda exchange: exchange.path == "/"
    between.proxy.fault = answering(status)
    with pytest.raises(StoreAccessError):
        between.store.fetch_trace("T")
    assert between.proxy.met == 1


def test_the_error_for_a_missing_container_or_database_names_init(local_account: CosmosAccount) -> None:
    for address in (local_account.address(), local_account.address(database="nowhere")):
        store = CosmosStore(address, max_wait=PATIENT)
        events = emitted()
        with pytest.raises(AppendError, match="create them with `sagatrace init`") as caught:
            store.append(events)
        assert isinstance(caught.value.cause, StoreNotFoundError)
        assert caught.value.pending == tuple(events)
        for read in (lambda s=store: s.fetch_trace("T"), lambda s=store: s.search(Search())):
            with pytest.raises(StoreNotFoundError, match="sagatrace init"):
                read()
        provision(address, max_wait=PATIENT)
        assert store.append(events) == 5
        store.close()


def poisoned(status: int) -> Fault:
    """Act like the service: a batch with a bad event fails as a whole, a single write of it fails alone."""

    def fault(exchange: Exchange) -> None:
        if b"poison" not in exchange.body:
            exchange.send(exchange.forward().encoded())
        elif not exchange.is_batch or status == 500:
            answering(status, message="one of the inputs is invalid")(exchange)
        else:
            bad = [b"poison" in json.dumps(operation).encode() for operation in exchange.operations]
            results = [{"statusCode": status if is_bad else 424, "requestCharge": 0} for is_bad in bad]
            exchange.send(Answer(207, json.dumps(results).encode()).encoded())

    return fault


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("replace", [False, True])
def test_one_bad_event_blocks_no_other(between: Between, status: int, replace: bool) -> None:
    events = emitted(7)
    bad = new_event(trace_id="T", span_id="S", event_type="x", data={"poison": 1})
    between.proxy.fault = poisoned(status)
    error = failing(between, [*events[:3], bad, *events[3:], *emitted(2, "U")], replace)
    assert [refused.event for refused in error.refused] == [bad]
    assert error.pending == ()
    assert error.cause is None
    assert error.new == 9
    assert bad.id in str(error)
    assert len(between.held()) == 9


def test_only_the_event_that_the_service_fails_on_stays_pending(between: Between) -> None:
    events = emitted(6)
    bad = new_event(trace_id="T", span_id="S", event_type="x", data={"poison": 1})
    between.proxy.fault = poisoned(500)
    error = failing(between, [*events[:3], bad, *events[3:], *emitted(2, "U")])
    assert error.pending == (bad,)
    assert error.new == 8
    between.proxy.fault = None
    assert between.store.append(error.pending) == 1


def test_a_batch_throttled_part_way_is_pending_as_a_whole(between: Between) -> None:
    events = emitted()

    def throttled(exchange: Exchange) -> None:
        results = [{"statusCode": 424}] * 2 + [{"statusCode": 429, "retryAfterMilliseconds": 400_000}]
        exchange.send(Answer(207, json.dumps([*results, *[{"statusCode": 424}] * 2]).encode()).encoded())

    between.proxy.fault = throttled
    error = failing(between, events)
    assert error.pending == tuple(events)
    assert error.retry_after == 400.0
    between.proxy.fault = None
    assert between.store.append(events) == 5


def test_only_an_event_with_a_stored_id_stays_unchanged(between: Between) -> None:
    events = emitted(10)
    assert between.store.append(events[4:5]) == 1
    assert between.store.append(events) == 9
    assert between.store.append(events) == 0
    assert between.held() == sorted(map(encode_event, events))


@pytest.mark.parametrize("seed", range(6))
def test_after_random_faults_each_event_is_stored_once(between: Between, seed: int) -> None:
    chance = random.Random(seed)
    faults: list[Fault] = [
        dropping(after=False),
        dropping(after=True),
        cut_short,
        answering(503),
        answering(449),
        answering(429, headers={"x-ms-retry-after-ms": "5"}),
        answering(410),
        answering(500),
    ]

    def some(exchange: Exchange) -> None:
        if chance.random() < 0.4:
            chance.choice(faults)(exchange)
        else:
            exchange.send(exchange.forward().encoded())

    between.proxy.fault = some
    between.store.max_wait = WAITS[0]  # so that some calls end with pending events
    for trace_id in "TUV":
        delivered(between.store, emitted(8, trace_id), lambda: chance.random() < 0.5)
    between.proxy.fault = None
    held = [json.loads(document) for document in between.held()]
    assert sorted((document["trace_id"], document["data"]["n"]) for document in held) == [
        (trace_id, number) for trace_id in "TUV" for number in range(8)
    ]


def delivered(store: CosmosStore, events: list[TraceEvent], replace: Callable[[], bool]) -> None:
    """Append like a shipper, until nothing is pending."""
    deadline = time.monotonic() + 100  # only ends a hang
    pending = tuple(events)
    while pending:
        assert time.monotonic() < deadline
        try:
            store.append(pending, replace())
        except AppendError as error:
            pending = (*error.pending, *(refused.event for refused in error.refused))
        else:
            pending = ()


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


def test_a_deleted_account_is_not_a_passing_fault(between: Between) -> None:
    between.store.fetch_trace("another")  # connects
    between.store.max_wait = WAITS[0]
    between.proxy.fault = answering(
        403, message="Database Account acme does not exist", headers={"x-ms-substatus": "1008"}
    )
    error = failing(between, emitted())
    assert isinstance(error.cause, StoreAccessError)
    assert "the account no longer exists" in str(error)
    assert f"(status 403/1008, activity {ACTIVITY})" in str(error)


def test_errors_of_a_batch_have_their_sub_status(between: Between) -> None:
    def throttled(exchange: Exchange) -> None:
        results = [{"statusCode": 429, "subStatusCode": 3200, "retryAfterMilliseconds": 400_000}]
        results += [{"statusCode": 424}] * (len(exchange.operations) - 1)
        exchange.send(Answer(207, json.dumps(results).encode()).encoded())

    between.proxy.fault = throttled
    assert f"(status 429/3200, activity {ACTIVITY})" in str(failing(between, emitted()))


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


def test_requests_name_sagatrace_as_the_user_agent(local_account: CosmosAccount) -> None:
    agents: list[str] = []
    with FaultProxy(local_account.host) as proxy:
        proxy.meets = lambda _: True

        def noted(exchange: Exchange) -> None:
            agents.append(exchange.headers["user-agent"])
            exchange.send(exchange.forward().encoded())

        proxy.fault = noted
        store = CosmosStore(local_account.behind(proxy.port).address(), max_wait=PATIENT)
        with pytest.raises(StoreNotFoundError):
            store.fetch_trace("T")
        store.close()
    assert agents
    assert all(re.search(r"sagatrace/\d", agent) for agent in agents)
