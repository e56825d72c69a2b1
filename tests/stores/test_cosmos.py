"""The Cosmos DB store beyond the contract: sizes, costs, forks, foreign documents."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import HttpRequest

from cosmos_server import CosmosAccount
from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import AppendError, EventStore, Search, cosmos
from sagatrace.stores.codec import document_of
from sagatrace.stores.cosmos.fitting import encoded_size, fitted
from sagatrace.stores.cosmos.provisioning import TTL_SECONDS, container_properties, provision
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace.stores.cosmos.transport import BoundedTransport

KEY = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHM="


@pytest.fixture
def store(account: CosmosAccount) -> Iterator[CosmosStore]:
    with account.store() as store:
        yield store


def event(trace_id: str = "T", **fields: Any) -> TraceEvent:
    return new_event(**{"trace_id": trace_id, "span_id": "S", "event_type": "stage:x:started", **fields})


def test_reads_and_writes_report_their_cost(store: CosmosStore) -> None:
    store.append([event() for _ in range(20)])
    written = store.write_cost
    assert written.queries == 1
    assert written.request_units is not None
    assert written.request_units > 0
    cost = store.fetch_trace("T").cost
    assert (cost.queries, cost.round_trips) == (1, 1)
    assert cost.request_units is not None
    assert cost.request_units > 0
    assert cost.milliseconds > 0
    assert store.write_cost == written
    assert store.clock_offset is not None


def test_a_trace_of_many_pages_is_fetched_to_its_end(store: CosmosStore) -> None:
    events = [event(data={"n": number}) for number in range(1050)]
    assert store.append(events) == 1050
    found = store.fetch_trace("T")
    assert {e.id for e in found.events} == {e.id for e in events}
    assert found.cost.round_trips >= 2
    assert 11 < store.write_cost.round_trips <= 11 + 2  # batches of a hundred, and the connection


def test_batches_stay_below_their_byte_limit(store: CosmosStore) -> None:
    events = [event(data={"text": "x" * 700_000, "n": number}) for number in range(5)]
    assert store.append(events) == 5
    assert 3 < store.write_cost.round_trips <= 3 + 2  # two of them fit into one batch
    assert {e.data["n"]: len(e.data["text"]) for e in store.fetch_trace("T").events} == dict.fromkeys(range(5), 700_000)


def test_an_event_too_large_for_an_item_is_cut_and_marked(store: CosmosStore) -> None:
    whole = event(data={"note": "kept", "text": "ü" * 1_500_000, "rows": [["cell"] * 100] * 100})
    fine = event(data={"note": "beside it"})
    assert store.append([whole, fine]) == 2
    cut = next(e for e in store.fetch_trace("T").events if e.id == whole.id)
    assert cut.data["note"] == "kept"
    assert cut.data["rows"] == whole.data["rows"]
    assert cut.data["text"].startswith("üüü")
    assert cut.data["text"].endswith("… [cut, 3000002 bytes]")
    assert cut.event_type == whole.event_type


def test_only_the_event_that_cannot_be_cut_is_refused(store: CosmosStore) -> None:
    bad = event(tags=["x" * 2_100_000])
    fine = event()
    with pytest.raises(AppendError, match="too large") as caught:
        store.append([bad, fine])
    assert [refused.event for refused in caught.value.refused] == [bad]
    assert caught.value.new == 1
    assert [e.id for e in store.fetch_trace("T").events] == [fine.id]


@pytest.mark.parametrize(
    "data",
    [
        {"a": "x" * 5000},
        {"a": "😀" * 9000, "b": 1},
        {f"k{n}": "x" * 4000 for n in range(30)},
        {f"k{n}": n for n in range(9000)},
        {"deep": {"er": ["x" * 90_000]}, "a": 'quotes " and \\ ' * 3000},
        {"k" * 70_000: 1, "b": "kept"},
    ],
)
@pytest.mark.parametrize("limit", [50_000, 60_000, 10**6])
def test_a_fitted_document_fits_and_is_otherwise_unchanged(data: dict[str, Any], limit: int) -> None:
    document = document_of(event(data=data))
    small = fitted(document, limit)
    assert small is not None
    assert encoded_size(small) <= limit
    if encoded_size(document) <= limit:
        assert small == document
    else:
        assert "[cut" in json.dumps(small["data"])
        assert {k: v for k, v in small.items() if k != "data"} == {k: v for k, v in document.items() if k != "data"}
        kept = small["data"].keys() - {"[cut]"}
        assert all(small["data"][key] == data[key] or "[cut, " in small["data"][key] for key in kept)


def test_stored_timestamps_keep_their_moment(store: CosmosStore) -> None:
    store.append([event(timestamp="2025-01-01T02:00:00+02:00"), event("U", timestamp="2025-01-01T00:00:00.5Z")])
    assert [e.timestamp for e in store.fetch_trace("T").events] == ["2025-01-01T00:00:00.000000Z"]
    assert [hit.trace_id for hit in store.search(Search())] == ["U", "T"]


def put(store: CosmosStore, document: dict[str, Any]) -> None:
    """Write a document as another program would."""
    store.call(lambda connection, _: connection.container.create_item(document))


def test_a_foreign_document_is_malformed_and_breaks_nothing(store: CosmosStore) -> None:
    store.append([event()])
    strange: list[dict[str, Any]] = [
        {"id": "no time", "trace_id": "T"},
        {"id": "odd time", "trace_id": "T", "timestamp": "yesterday"},
        {
            "id": "odd data",
            "trace_id": "T",
            "span_id": "S",
            "event_type": "x",
            "timestamp": "2025-01-01T00:00:00Z",
            "data": 7,
        },
    ]
    for document in strange:
        put(store, document)
    found = store.fetch_trace("T")
    assert {bad.document_id for bad in found.malformed} == {"no time", "odd time"}
    assert len(found.events) == 2
    for search in (Search(), Search(error="x"), Search(status="failed"), Search(tag="x")):
        assert len(store.search(search)) <= 1


def test_a_store_opened_for_reading_writes_nothing(account: CosmosAccount) -> None:
    reader = CosmosStore(account.address(), read_only=True)
    with pytest.raises(StoreError, match="reading only"):
        reader.append([event()])


def test_the_store_has_the_protocol_of_all_stores(store: CosmosStore) -> None:
    assert isinstance(store, EventStore)


def test_init_creates_the_container_once_and_reports_differences(account: CosmosAccount) -> None:
    address = account.address()
    assert provision(address, max_wait=60).created
    again = provision(address, max_wait=60)
    assert (again.created, again.differences) == (False, ())
    store = CosmosStore(address, max_wait=60)
    found = container_properties(store)
    store.close()
    assert found["defaultTtl"] == TTL_SECONDS
    assert found["partitionKey"]["paths"] == ["/trace_id"]
    account.drop(address)


def test_threads_share_one_store(store: CosmosStore) -> None:
    start = threading.Barrier(8)

    def work(number: int) -> int:
        start.wait(60)
        return sum(store.append([event(f"T{number}", data={"n": n})]) for n in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 80
    assert all(len(store.fetch_trace(f"T{number}").events) == 10 for number in range(8))


def test_requests_of_the_sdk_after_the_close_fail_with_the_expected_error(local_account: CosmosAccount) -> None:
    transport = BoundedTransport(max_wait=60)
    request = HttpRequest("GET", f"http://{local_account.host}/dbs")
    assert transport.send(request).status_code == 200
    transport.close()
    # The SDK's background check of regions swallows an AzureError and logs other errors with their traceback.
    with pytest.raises(AzureError):
        transport.send(request)


FORKING = """
import os, sys, json
from sagatrace.event import new_event
from sagatrace.stores import open_store
store = open_store(sys.argv[1], max_wait=60.0)
def append(trace_id, n):
    assert store.append([new_event(trace_id=trace_id, span_id="S", event_type="x", data={"n": n})]) == 1
failed = 0
for n in range(25):
    append("parent", n)
    child = os.fork()
    if child == 0:
        before = store.write_cost.round_trips
        append("child", n)
        reconnected = store.write_cost.round_trips - before > 1
        os._exit(0 if reconnected else 1)
    append("parent", 100 + n)
    failed += os.waitpid(child, 0)[1] != 0
store.close()
sys.exit(failed)
"""


def test_a_process_that_forks_and_its_children_all_write(account: CosmosAccount, store: CosmosStore) -> None:
    environment = {**os.environ, **account.environment()}
    done = subprocess.run(
        [sys.executable, "-c", FORKING, store.label], env=environment, timeout=110, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(store.fetch_trace("parent").events) == 50
    assert sorted(e.data["n"] for e in store.fetch_trace("child").events) == list(range(25))


@pytest.mark.parametrize(
    ("hidden", "said"),
    [("azure.cosmos", "a cosmos: store needs the Azure SDK"), ("azure.identity", "needs azure-identity")],
)
def test_the_error_for_a_missing_package_gives_the_install_command(
    hidden: str, said: str, local_account: CosmosAccount
) -> None:
    program = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        "from sagatrace.stores import open_store, Search\n"
        "from sagatrace.errors import SagatraceError\n"
        "store = open_store('cosmos://127.0.0.1:1/d/c')\n"
        "for call in (lambda: store.append([]) or store.fetch_trace('T'), lambda: store.search(Search())):\n"
        "    try: call()\n"
        "    except SagatraceError as error: print(error)\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SAGATRACE")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=clean)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all(said in line and "pip install 'sagatrace[azure]'" in line for line in lines)


def test_importing_sagatrace_or_naming_a_cosmos_store_imports_no_sdk() -> None:
    program = (
        "import sys, sagatrace\n"
        "sagatrace.open_store('cosmos://host/d/c')\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('azure', 'requests', 'urllib3')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_no_private_name_of_another_package_is_used() -> None:
    """Each private attribute belongs to `self` and is defined in these modules. No import names a private thing."""
    used: dict[str, str] = {}
    defined: set[str] = set()
    for path in Path(cosmos.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            place = f"{path.name}:{getattr(node, 'lineno', 0)}"
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    defined.add(name)
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    defined.add(name)
                case ast.Attribute(value=ast.Name(id="self"), attr=name):
                    used[name] = place
                case (
                    ast.Attribute(attr=name)
                    | ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_])
                ):
                    used[f"other.{name}"] = place
                case ast.ImportFrom(module=module) if not str(module).startswith("__"):
                    used |= {f"{module}.{alias.name}": place for alias in node.names}
                case ast.Import():
                    used |= {alias.name: place for alias in node.names}
    private = {name: place for name, place in used.items() if re.search(r"(^|\.)_[^_]", name)}
    assert {name: place for name, place in private.items() if name not in defined} == {}
    assert "_closed" in defined
