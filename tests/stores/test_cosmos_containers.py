"""Creation and check of a container, and checks that remove their events."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from cosmos_server import CosmosAccount
from fault_proxy import Answer, Exchange, FaultProxy
from sagatrace.errors import SettingsError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import EventStore, RemovesEvents, Search, open_store
from sagatrace.stores.cosmos.provisioning import (
    LEAN_INDEX,
    TTL_SECONDS,
    Plan,
    Throughput,
    container_properties,
    provision,
    read_throughput,
)
from sagatrace.stores.cosmos.provisioning import examined as examined_container
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.cli import main as cli_main
from sagatrace_tui.commands.cost import measured
from sagatrace_tui.commands.doctor import Patient, examined
from sagatrace_tui.commands.init import initialised

PATIENT = 60.0
KEY = {"paths": ["/trace_id"], "kind": "Hash", "version": 2}
DEFAULT_INDEX = {"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": '/"_etag"/?'}]}


def findings(properties: dict[str, Any], *, faults: bool) -> list[str]:
    return [finding.text for finding in examined_container(properties) if finding.is_fault == faults]


def leaving_out(*paths: str) -> dict[str, Any]:
    return {"indexingPolicy": {"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": path} for path in paths]}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"partitionKey": {"paths": ["/id"], "version": 2}}, "partition key is /id, not /trace_id"),
        ({"partitionKey": None}, "partition key is (none)"),
        ({"partitionKey": {"paths": ["/trace_id"], "kind": "Hash"}}, "partition key has version 1"),
        ({"partitionKey": {**KEY, "version": 1}}, "partition key has version 1"),
        ({"partitionKey": {"paths": ["/trace_id", "/id"], "kind": "MultiHash", "version": 2}}, "not /trace_id"),
        ({"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/span_id"]}]}}, "unique key on /span_id: of two events"),
        ({"indexingPolicy": {"indexingMode": "none"}}, "indexing mode is none"),
        ({"indexingPolicy": {"indexingMode": "lazy"}}, "indexing mode is lazy"),
        ({"indexingPolicy": {"includedPaths": [{"path": "/trace_id/?"}]}}, "/timestamp is not indexed"),
        (leaving_out("/timestamp/?"), "/timestamp is not indexed"),
        (leaving_out("/*"), "/trace_id, /timestamp is not indexed"),
    ],
)  # fmt: skip
def test_a_container_that_loses_or_hides_events_is_a_fault(change: dict[str, Any], said: str) -> None:
    found = findings({"partitionKey": KEY, "defaultTtl": TTL_SECONDS, **change}, faults=True)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"indexingPolicy": DEFAULT_INDEX}, None),
        ({"uniqueKeyPolicy": {"uniqueKeys": []}}, None),
        (leaving_out('/"data"/"stack"/?'), None),
        (leaving_out("/data/stack/?", "/data/note/*"), None),
        ({"defaultTtl": 2_592_000}, "events are kept for 30 d"),
        ({"defaultTtl": 31_536_000}, "events are kept for 365 d"),
        ({"defaultTtl": -1}, "events are kept for ever"),
        ({"defaultTtl": None}, "events are kept for ever"),
        ({"indexingPolicy": dict(LEAN_INDEX)}, "searches for data.KEY read every event"),
        (leaving_out("/data/*"), "data.error, data.error_type not indexed"),
        (leaving_out("/tags/*"), "tags not indexed"),
    ],
)  # fmt: skip
def test_an_acceptable_choice_is_reported_and_not_a_fault(change: dict[str, Any], said: str | None) -> None:
    properties = {"partitionKey": KEY, "defaultTtl": TTL_SECONDS, **change}
    assert findings(properties, faults=True) == []
    found = findings(properties, faults=False)
    assert (not found) if said is None else (len(found) == 1 and said in found[0])


def test_init_and_doctor_find_a_unique_key(local_account: CosmosAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.cosmos import PartitionKey

    address = local_account.address()
    store = CosmosStore(address, max_wait=PATIENT)
    unique = {"uniqueKeys": [{"paths": ["/span_id"]}]}
    store.call(
        lambda connection, _: connection.client.create_database_if_not_exists(address.database).create_container(
            address.container, partition_key=PartitionKey("/trace_id"), unique_key_policy=unique
        )
    )
    lines = dict(initialised(store))
    assert any("unique key on /span_id" in line and fault for line, fault in lines.items())
    for name, value in local_account.environment().items():
        monkeypatch.setenv(name, value)
    patient = Patient({**local_account.environment(), "SAGATRACE_OUTBOX": "off"}, address.label)
    checks = [check for check in examined(patient) if check.subject == "container"]
    assert [check.state for check in checks] == ["fault"]
    store.close()


@pytest.mark.parametrize("plan", [Plan(ttl=30 * 86_400), Plan(ttl=None), Plan(lean=True)])
def test_a_container_is_created_as_planned_and_passes_the_check(local_account: CosmosAccount, plan: Plan) -> None:
    address = local_account.address()
    assert provision(address, plan, max_wait=PATIENT).created
    store = CosmosStore(address, max_wait=PATIENT)
    found = container_properties(store)
    assert found["defaultTtl"] == (-1 if plan.ttl is None else plan.ttl)
    assert found["partitionKey"]["version"] == 2
    assert ({"path": "/*"} in found["indexingPolicy"].get("excludedPaths", [])) == plan.lean
    assert provision(address, max_wait=PATIENT).differences == ()
    store.append([new_event(trace_id="T", span_id="S", event_type="job:failed", tags=["a"], data={"error": "Boom"})])
    assert len(store.search(Search(error="boom", status="failed", tag="a"))) == 1
    store.close()
    local_account.drop(address)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("400", Throughput("manual", 400)),
        ("autoscale 1000", Throughput("autoscale", 1000)),
        ("AUTOSCALE:4000", Throughput("autoscale", 4000)),
        ("serverless", Throughput("serverless")),
    ],
)
def test_a_throughput_is_read(text: str, read: Throughput) -> None:
    assert read_throughput(text) == read


@pytest.mark.parametrize(
    "text", ["", "399", "450", "autoscale", "autoscale 400", "autoscale 1500", "serverless 400", "x"]
)
def test_a_throughput_that_azure_does_not_sell_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="throughput"):
        read_throughput(text)


class Offers:
    """A stand-in for the account's throughput: the request for it, and the account's response."""

    def __init__(self, content: dict[str, Any] | None) -> None:
        self.content = content
        self.asked: list[str] = []

    def __call__(self, exchange: Exchange) -> None:
        if exchange.path.startswith("/offers"):
            if self.content is None:
                message = "Reading or replacing offers is not supported for serverless accounts."
                exchange.send(Answer(400, json.dumps({"message": message}).encode()).encoded())
            else:
                body = {"Offers": [{"content": self.content}]}
                exchange.send(Answer(200, json.dumps(body).encode()).encoded())
            return
        for name in ("x-ms-offer-throughput", "x-ms-cosmos-offer-autopilot-settings"):
            if name in exchange.headers:
                self.asked.append(exchange.headers[name])
        exchange.send(exchange.forward().encoded())


@pytest.fixture
def proxy(local_account: CosmosAccount) -> Iterator[FaultProxy]:
    with FaultProxy(local_account.host) as proxy:
        proxy.meets = lambda _: True
        yield proxy


AUTO = {"offerAutopilotSettings": {"maxThroughput": 1000}}


@pytest.mark.parametrize(
    ("plan", "content", "asked", "said"),
    [
        (None, {"offerThroughput": 400}, [], ("400 RU/s reserved: $23 a month at least", False)),
        ("400", {"offerThroughput": 400}, ["400"], ("400 RU/s reserved: $23 a month", False)),
        ("autoscale 1000", AUTO, ['{"maxThroughput": 1000}'], ("autoscale up to 1000 RU/s: $9 a month", False)),
        ("serverless", None, [], ("serverless, billed by use", False)),
        ("serverless", {"offerThroughput": 400}, [], ("400 RU/s reserved: $23 a month at least", True)),
    ],
)
def test_the_reserved_throughput_is_requested_and_printed_with_its_price(
    local_account: CosmosAccount,
    proxy: FaultProxy,
    plan: str | None,
    content: dict[str, Any] | None,
    asked: list[str],
    said: tuple[str, bool],
) -> None:
    offers = Offers(content)
    proxy.fault = offers
    store = CosmosStore(local_account.behind(proxy.port).address(), max_wait=PATIENT)
    lines = list(initialised(store, Plan(throughput=read_throughput(plan) if plan else None)))
    store.close()
    assert [json.loads(one) for one in offers.asked] == [json.loads(one) for one in asked]
    [(line, fault)] = [(line, fault) for line, fault in lines if "throughput" in line]
    assert said[0] in line
    assert fault == said[1]


def invoked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli_main, arguments)
    return result.exit_code, result.output


def test_the_az_commands_are_complete_and_need_no_service() -> None:
    options = ["--throughput", "autoscale 1000", "--ttl", "30", "--lean", "--print-az"]
    status, printed = invoked("init", *options, "--store", "cosmos://acme.documents.azure.com/my db/events")
    assert status == 0
    commands = [shlex.split(line) for line in printed.replace("\\\n", " ").splitlines() if line.startswith("az ")]
    assert [" ".join(command[1:5]) for command in commands] == [
        "cosmosdb sql database create",
        "cosmosdb sql container create",
        "cosmosdb sql role assignment",
        "cosmosdb sql role assignment",
    ]
    made = dict(zip(commands[1][5::2], commands[1][6::2], strict=True))
    assert made["--account-name"] == "acme"
    assert (made["--database-name"], made["--name"]) == ("my db", "events")
    assert (made["--partition-key-path"], made["--partition-key-version"]) == ("/trace_id", "2")
    assert (made["--ttl"], made["--max-throughput"]) == (str(30 * 86_400), "1000")
    assert json.loads(made["--idx"]) == LEAN_INDEX
    assert [command[command.index("--role-definition-id") + 1][-1] for command in commands[2:]] == ["2", "1"]
    assert {command[command.index("--scope") + 1] for command in commands[2:]} == {"/dbs/my db/colls/events"}


def test_the_az_commands_are_only_for_accounts_in_azure() -> None:
    status, printed = invoked("init", "--print-az", "--store", "cosmos://127.0.0.1:8081/d/c")
    assert status != 0
    assert "127.0.0.1:8081 is not one" in printed


def test_a_requested_throughput_that_the_service_does_not_report_is_named(local_account: CosmosAccount) -> None:
    with local_account.store() as store:
        lines = list(initialised(store, Plan(throughput=read_throughput("autoscale 1000"))))
    assert lines[-1] == ("  throughput: asked for autoscale up to 1000 RU/s; the service does not report it", False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ttl", "soon"), "--ttl 'soon'"),
        (("--ttl", "0"), "--ttl '0'"),
        (("--throughput", "12"), "throughput '12'"),
    ],
)
def test_an_impossible_option_is_named(options: tuple[str, ...], said: str) -> None:
    status, printed = invoked("init", *options, "--store", "cosmos://acme.documents.azure.com/d/c")
    assert status != 0
    assert said in printed


def test_options_of_cosmos_are_refused_elsewhere(tmp_path: Any) -> None:
    for options in (("--ttl", "30"), ("--lean",), ("--throughput", "400"), ("--print-az",)):
        status, printed = invoked("init", *options, "--store", f"sqlite:///{tmp_path}/a.db")
        assert status != 0
        assert "cosmos:" in printed


def test_doctor_and_cost_remove_their_events(local_account: CosmosAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local_account.environment().items():
        monkeypatch.setenv(name, value)
    with local_account.store() as store:
        patient = Patient({**local_account.environment(), "SAGATRACE_OUTBOX": "off"}, store.label)
        [writing] = [check for check in examined(patient) if check.subject == "writing"]
        assert writing.state == "ok"
        assert "stays" not in writing.said
        charges = measured(store.label, 20, PATIENT)
        assert charges.delete > 0
        assert store.search(Search()) == []


@pytest.mark.parametrize("kind", ["memory", "cosmos"])
def test_only_the_given_event_is_removed(local_account: CosmosAccount, kind: str) -> None:
    events = [new_event(trace_id="T", span_id="S", event_type="x", data={"n": number}) for number in range(3)]
    if kind == "memory":
        check_removing(open_store("memory:"), events)
        return
    with local_account.store() as opened:
        check_removing(opened, events)


def check_removing(store: EventStore, events: list[TraceEvent]) -> None:
    assert isinstance(store, RemovesEvents)
    assert isinstance(store, MemoryStore | CosmosStore)
    store.append(events)
    cursor = store.fetch_all_since(None, 10).cursor
    for _ in range(2):
        store.remove(events[:2])
    assert list(store.fetch_trace("T").events) == events[2:]
    assert store.append(events) == 2
    assert {event.id for event in store.fetch_all_since(cursor, 10).events} == {event.id for event in events[:2]}
