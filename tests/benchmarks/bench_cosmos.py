"""The cost of the Cosmos DB store: read and fold a trace, write events in batches and one by one, import it.

    python tests/benchmarks/bench_cosmos.py

Runs against the npm test server, or the account that SAGATRACE_TEST_COSMOS_ENDPOINT names. Promise: a trace of 20
events, from the query to the verdict, under 10 ms at the median. SDK is the time of the query without the
time of its requests.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from azure.core.pipeline.transport import RequestsTransport

sys.path.insert(0, str(Path(__file__).parents[1]))

from cosmos_server import CosmosAccount, cosmos_account, running_cosmos
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.model import build_trace

ROUNDS = 200
EVENTS = 20


class Wire:
    """Measures the time of requests, below the SDK."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._send = RequestsTransport.send

    def __enter__(self) -> Self:
        wire, send = self, self._send

        def timed(transport: RequestsTransport, request: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return send(transport, request, **options)
            finally:
                wire.seconds += time.perf_counter() - began

        RequestsTransport.send = timed  # type: ignore[method-assign,assignment]
        return self

    def __exit__(self, *_: object) -> None:
        RequestsTransport.send = self._send  # type: ignore[method-assign]


def saga(trace_id: str, count: int = EVENTS) -> list[TraceEvent]:
    data = {"job_name": "credit-check", "loan_id": "L123", "note": "x" * 90}
    return [
        new_event(
            trace_id=trace_id,
            span_id=f"S{number // 2}",
            parent_span_id="S0" if number > 1 else None,
            event_type=f"stage:{number // 2}:{('started', 'completed')[number % 2]}",
            data=data,
        )
        for number in range(count)
    ]


def show(name: str, milliseconds: list[float]) -> None:
    ordered = sorted(milliseconds)
    middle, high = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    print(f"  {name:42} median {middle:8.2f} ms   p99 {high:8.2f} ms")


def reading(store: CosmosStore) -> None:
    store.append(saga("T"))
    now = time.time_ns() // 1000
    found = store.fetch_trace("T")
    whole, network, sdk, fold = [], [], [], []
    with Wire() as wire:
        for _ in range(ROUNDS):
            wire.seconds = 0.0
            began = time.perf_counter()
            found = store.fetch_trace("T")
            fetched = time.perf_counter()
            trace = build_trace("T", found.events, now=now)
            assert trace.summary
            folded = time.perf_counter()
            assert trace.event_count == EVENTS
            whole.append((folded - began) * 1000)
            network.append(wire.seconds * 1000)
            sdk.append((fetched - began - wire.seconds) * 1000)
            fold.append((folded - fetched) * 1000)
    print(f"a trace of {EVENTS} events, {found.cost.queries} query in {found.cost.round_trips} round trip")
    for name, times in (
        ("from the query to the verdict", whole),
        ("  network and server", network),
        ("  SDK and decoding", sdk),
        ("  fold and verdict", fold),
    ):
        show(name, times)
    assert statistics.median(whole) < 10, "the promise is 10 ms"


def writing(store: CosmosStore) -> None:
    print("writing, events/s")
    for size in (1, 20, 100):
        traces = [saga(f"W{size}-{number}", size) for number in range(max(4, 1000 // (size * (5 if size == 1 else 1))))]
        before = store.write_cost.round_trips
        began = time.perf_counter()
        for trace in traces:
            store.append(trace)
        took = time.perf_counter() - began
        count = size * len(traces)
        requests = store.write_cost.round_trips - before
        how = "one create each" if size == 1 else "one batch a trace"
        print(f"  {size:3} a call ({how}): {count / took:8.0f}   {requests} requests for {count} events")


def importing() -> None:
    print("importing, in a process of its own")
    for statement in ("pass", "import sagatrace", "import azure.cosmos", "import azure.cosmos, azure.identity"):
        program = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
        times = [
            float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
            for _ in range(9)
        ]
        show(statement, [second * 1000 for second in times])


def connecting(account: CosmosAccount, address: Any) -> None:
    def once() -> None:
        store = CosmosStore(address)
        store.fetch_trace("T")
        store.close()

    show("connect, query, close", [elapsed(once) for _ in range(20)])


def elapsed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def emitting() -> None:
    """Emit in turns with and without TLS, so that both have the same conditions."""
    print("one emit with TLS beside one without")
    for keep_alive in (False, True):
        with (
            running_cosmos(keep_alive=keep_alive) as plain,
            running_cosmos(tls=True, keep_alive=keep_alive) as encrypted,
            plain.store(max_wait=30.0) as first,
            encrypted.store(max_wait=30.0) as second,
        ):
            times = [
                [elapsed(lambda one=store: one.append(saga("E", 1))) for store in (first, second)] for _ in range(50)
            ]
        without, with_tls = (statistics.median(column) for column in zip(*times, strict=True))
        how = "connection kept" if keep_alive else "connected again each time"
        print(f"  {how:42} {with_tls:8.2f} ms   {without:8.2f} ms   ratio {with_tls / without:.1f}")


def main() -> None:
    emitting()
    with cosmos_account() as account, account.store(max_wait=30.0) as store:
        reading(store)
        connecting(account, store.address)
        writing(store)
    importing()


if __name__ == "__main__":
    main()
