"""Faults between the SDK and the server: each call ends in time, its error names the fault, and no event is lost."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Self

import pytest

from behind_proxy import PATIENT, Between, emitted
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
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosStore

WAITS = (1.5, 6.0, 24.0)  # a machine too slow to reach the fault in the first wait gets the next one
LIMIT = 10.0  # a call counts as blocked after this multiple of its wait: slow machines need more


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
