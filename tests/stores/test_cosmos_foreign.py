"""Foreign input: other documents in the container, responses of other servers, and ids that cannot be sent."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from behind_proxy import PATIENT
from cosmos_server import CosmosAccount
from fault_proxy import Answer, Exchange, Fault, FaultProxy, answering, foreign
from sagatrace import TraceContext, Tracer
from sagatrace.errors import SagatraceError, StoreUnavailableError
from sagatrace.event import TraceEvent, new_event
from sagatrace.outbox import Outbox
from sagatrace.rq.reconciler import Reconciler
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores import AppendError, Search
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.commands.doctor import Patient, examined
from sagatrace_tui.live.list_feed import ListFeed

AT = "2025-01-01T00:00:00.000000Z"


@pytest.fixture
def store(local_account: CosmosAccount) -> Iterator[CosmosStore]:
    with local_account.store() as opened:
        yield opened


def put(store: CosmosStore, document: dict[str, Any]) -> None:
    store.call(lambda connection, _: connection.container.create_item(document))


def event(number: int = 0, **fields: Any) -> TraceEvent:
    given = {"trace_id": "T", "span_id": "S", "event_type": "stage:x:started", "timestamp": AT, "data": {"n": number}}
    return new_event(**{**given, **fields})


FOREIGN: list[dict[str, Any]] = [
    {},
    {"trace_id": 7},
    {"trace_id": None},
    {"trace_id": {}},
    {"trace_id": ""},
    {"trace_id": ["T"]},
    {"trace_id": "foreign", "timestamp": {}},
    {"trace_id": "foreign", "timestamp": 5},
]


@pytest.fixture
def crowded(store: CosmosStore) -> CosmosStore:
    """A container with one event among foreign documents, all with the same time."""
    for number, fields in enumerate(FOREIGN):
        put(store, {"id": f"x{number}", "timestamp": AT, "status": "failed", "data": {"error": "no"}, **fields})
    store.append([event()])
    return store


def test_foreign_documents_break_no_search_and_no_list(crowded: CosmosStore) -> None:
    for search in (Search(), Search(limit=1), Search(error="no"), Search(status="failed"), Search(since=0)):
        assert {hit.trace_id for hit in crowded.search(search)} <= {"T"}
    assert [hit.trace_id for hit in crowded.search(Search())] == ["T"]
    listing = list(ListFeed(crowded).read())[-1]
    assert listing.fault is None
    assert [row.trace_id for row in listing.rows] == ["T"]


def test_foreign_documents_are_not_changes(store: CosmosStore) -> None:
    cursor = store.fetch_all_since(None, 10).cursor
    for number, fields in enumerate(FOREIGN):
        put(store, {"id": f"y{number}", "timestamp": AT, **fields})
    store.append([event()])
    found = store.fetch_all_since(cursor, 1000)
    assert [one.trace_id for one in found.events] == ["T"]


def test_doctor_passes_a_container_with_foreign_documents(
    crowded: CosmosStore, local_account: CosmosAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_account.environment().items():
        monkeypatch.setenv(name, value)
    patient = Patient({**local_account.environment(), "SAGATRACE_OUTBOX": "off"}, crowded.label)
    checks = {check.subject: check for check in examined(patient)}
    assert patient.store is not None
    patient.store.close()
    assert {check.said for check in checks.values() if check.state == "fault"} == set()


def test_a_document_without_a_time_is_in_its_trace(store: CosmosStore) -> None:
    put(store, {"id": "no time", "trace_id": "T"})
    store.append([event()])
    found = store.fetch_trace("T")
    assert [one.document_id for one in found.malformed] == ["no time"]
    assert len(found.events) == 1


def test_no_error_ends_the_reconciler(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()

    class Odd:
        label, looks = "memory:", 0

        def search(self, search: Search) -> Any:
            self.looks += 1
            if self.looks == 3:
                stop.set()
            raise KeyError("trace_id")

    odd: Any = Odd()
    reconciler = Reconciler(odd, odd, Redis(port=1))
    reconciler.follow(stop, every=0.001)
    assert odd.looks == 3
    assert len([record for record in caplog.records if "KeyError" in record.getMessage()]) == 1


ON_THE_WAY: dict[str, Fault] = {
    "302": foreign(302, headers={"location": "https://login.example/"}),
    "202": foreign(202),
    "204": foreign(204),
    "200 {}": foreign(200),
    "200 []": foreign(200, b"[]"),
    "200 html": foreign(200, b"<html>Sign in</html>"),
    "400": foreign(400, b"<html>Bad Request</html>"),
    "404": foreign(404),
    "409": foreign(409),
    "202 with the service's headers": answering(202),
    "204 with the service's headers": answering(204),
}


@pytest.mark.parametrize("answer", ON_THE_WAY)
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_only_responses_of_the_service_confirm_an_event(
    store: CosmosStore, behind: CosmosStore, proxy: FaultProxy, answer: str, replace: bool, count: int
) -> None:
    proxy.fault = ON_THE_WAY[answer]
    behind.max_wait = 1.0
    events = [event(number) for number in range(count)]
    with pytest.raises(AppendError) as caught:
        behind.append(events, replace)
    assert caught.value.refused == ()
    assert caught.value.pending == tuple(events)
    assert isinstance(caught.value.cause, StoreUnavailableError)
    assert "\n" not in str(caught.value)
    behind.max_wait = PATIENT
    proxy.fault = None
    behind.append(caught.value.pending, replace)
    assert len(store.fetch_trace("T").events) == count


def test_a_batch_with_fewer_results_than_operations_is_not_stored(
    store: CosmosStore, behind: CosmosStore, proxy: FaultProxy
) -> None:
    def short(exchange: Exchange) -> None:
        if exchange.is_batch:
            body = json.dumps([{"statusCode": 201}] * (len(exchange.operations) - 1)).encode()
            exchange.send(Answer(200, body).encoded())
        else:
            exchange.send(exchange.forward().encoded())

    proxy.fault = short
    events = [event(number) for number in range(4)]
    assert behind.append(events) == 4
    assert len(store.fetch_trace("T").events) == 4


def test_responses_of_other_servers_remove_nothing_from_the_outbox(
    store: CosmosStore, behind: CosmosStore, proxy: FaultProxy, tmp_path: Path
) -> None:
    tracer = Tracer(Outbox(tmp_path))
    for number in range(3):
        tracer.emit("ai:decision", TraceContext("T"), event_id=f"E{number}")
    for answer in ("302", "202", "204", "200 {}", "400", "409"):
        proxy.fault = ON_THE_WAY[answer]
        for behind.max_wait in (1.0, 6.0, 24.0):  # a machine too slow for the first wait gets the next one
            shipper = Shipper(tmp_path, behind)
            shipment = shipper.run_once()
            shipper.close()
            assert shipment.delivered == 0, answer
            assert not (tmp_path / DEAD_LETTERS).exists()
            if "did not answer within" not in (shipment.fault or ""):
                break
        assert "not Cosmos DB" in (shipment.fault or "")
    proxy.fault = None
    behind.max_wait = PATIENT
    shipper = Shipper(tmp_path, behind)
    assert shipper.run_once().delivered == 3
    shipper.close()


def test_a_read_reports_that_another_server_answered(behind: CosmosStore, proxy: FaultProxy) -> None:
    reads: list[Callable[[], object]] = [lambda: behind.fetch_trace("T"), lambda: behind.search(Search())]
    for answer in ("302", "204", "200 {}", "200 html", "400"):
        proxy.fault = ON_THE_WAY[answer]
        for read in reads:
            said = ""
            for behind.max_wait in (1.0, 6.0, 24.0):  # a machine too slow to get the answer in one wait gets the next
                with pytest.raises(StoreUnavailableError) as caught:
                    read()
                if "did not answer within" not in (said := str(caught.value)):
                    break
            assert re.search(r"something that is not Cosmos DB answered .*HTTPS_PROXY", said)


def poisoned(event_id: str) -> TraceEvent:
    """Return an event of an older version, whose id was not checked."""
    return msgspec.structs.replace(event(), id=event_id)


@pytest.mark.parametrize("event_id", ["order-7 ", "a\tb", "a\rb", "a\nb", "a/b", "a\\b", "a?b", "a#b", "\x00", "a\x7f"])
@pytest.mark.parametrize("replace", [False, True])
def test_an_id_that_cannot_be_sent_is_refused_and_blocks_no_other(
    store: CosmosStore, event_id: str, replace: bool
) -> None:
    with pytest.raises(SagatraceError, match="Cosmos DB cannot address"):
        event(id=event_id)
    bad, fine = poisoned(event_id), [event(number) for number in range(3)]
    with pytest.raises(AppendError) as caught:
        store.append([fine[0], bad, *fine[1:]], replace)
    assert [refused.event for refused in caught.value.refused] == [bad]
    assert (caught.value.pending, caught.value.new) == ((), 3)
    assert len(store.fetch_trace("T").events) == 3


def test_an_event_that_the_sdk_refuses_is_refused_and_blocks_no_other(
    store: CosmosStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK refuses the event for any reason: a retry would fail as well."""
    from azure.cosmos import ContainerProxy

    create, batch = ContainerProxy.create_item, ContainerProxy.execute_item_batch

    def wary(self: Any, body: Any, **options: Any) -> Any:
        if body["data"]["n"] == 1:
            raise ValueError("id has an odd letter")
        return create(self, body, **options)

    def wary_batch(self: Any, operations: Any, **options: Any) -> Any:
        if any(document["data"]["n"] == 1 for _, (document,) in operations):
            raise TypeError("an odd operation")
        return batch(self, operations, **options)

    monkeypatch.setattr(ContainerProxy, "create_item", wary)
    monkeypatch.setattr(ContainerProxy, "execute_item_batch", wary_batch)
    events = [event(number) for number in range(3)]
    with pytest.raises(AppendError, match="the SDK cannot send it: ValueError: id has an odd letter") as caught:
        store.append(events)
    assert [refused.event for refused in caught.value.refused] == [events[1]]
    assert (caught.value.pending, caught.value.new) == ((), 2)


def test_an_unstorable_id_stops_no_delivery(store: CosmosStore, local_account: CosmosAccount, tmp_path: Path) -> None:
    """A line of an older version in the outbox becomes a dead letter."""
    outbox = Outbox(tmp_path)
    outbox.append([event(1), poisoned("order-7 "), event(2)])
    shipper = Shipper(tmp_path, store)
    shipment = shipper.run_once()
    shipper.close()
    assert (shipment.delivered, shipment.set_aside, shipment.fault) == (2, 1, None)


def test_a_container_of_init_passes_its_check(local_account: CosmosAccount) -> None:
    address = local_account.address()
    assert provision(address, max_wait=PATIENT).created
    assert provision(address, max_wait=PATIENT).differences == ()
    local_account.drop(address)
