"""The rate of a shipper across a network: the test server with 30 ms added to every response.

    python tests/benchmarks/bench_cosmos_shipping.py [MILLISECONDS]

Promise: at least 2 000 events a second, of traces of 20 events whose lines are mixed in the outbox.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cosmos_server import running_cosmos
from sagatrace.event import new_event
from sagatrace.outbox import Outbox
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores.cosmos.store import CosmosStore

TRACES, EVENTS = 1_000, 20


def main(milliseconds: float) -> None:
    with running_cosmos(delay=milliseconds) as account, account.store(max_wait=60.0) as direct:
        with tempfile.TemporaryDirectory() as directory:
            outbox = Outbox(Path(directory), max_bytes=1 << 30)
            for first in range(0, TRACES, 50):
                for number in range(EVENTS):
                    for trace in range(first, first + 50):
                        event = new_event(
                            trace_id=f"T{trace}",
                            span_id=f"S{number // 2}",
                            event_type="job:started" if number % 2 == 0 else "job:completed",
                            data={"job_name": "credit-check", "note": "x" * 90},
                        )
                        outbox.append([event])
            store = CosmosStore(direct.address, max_wait=60.0)
            store.fetch_trace("another")  # connects
            shipper = Shipper(Path(directory), store)
            began = time.perf_counter()
            shipment = shipper.run_once()
            took = time.perf_counter() - began
            shipper.close()
            requests = store.write_cost.round_trips
            store.close()
        assert shipment.delivered == TRACES * EVENTS, shipment
        print(f"{milliseconds:g} ms added: {shipment.delivered / took:,.0f} events/s, {requests} requests")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
