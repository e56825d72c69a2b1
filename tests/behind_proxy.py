"""A Cosmos DB store behind a proxy that causes faults."""

from __future__ import annotations

from dataclasses import dataclass

from fault_proxy import FaultProxy
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.stores import Search
from sagatrace.stores.cosmos.store import CosmosStore

PATIENT = 60.0  # seconds that a call may take in tests that are not about the wait


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


def emitted(count: int = 5, trace_id: str = "T") -> list[TraceEvent]:
    return [
        new_event(trace_id=trace_id, span_id="S", event_type="stage:x:started", data={"n": number})
        for number in range(count)
    ]
