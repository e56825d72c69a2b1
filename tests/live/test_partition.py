"""The known events of a trace: the same document in another form, and an id that a store repeats."""

from __future__ import annotations

from typing import Any

import msgspec

from sagas import NOW, event, still
from sagatrace.event import TraceEvent
from sagatrace.stores import FetchedTrace, ReadCost
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.live.partition import Partition
from sagatrace_tui.live.refresh import Meter


def test_documents_that_differ_only_in_form_are_the_same_event() -> None:
    store = MemoryStore()
    stored = event("T", "s", "stage:x:started", 1.0, data={"n": 5, "a": [1]})
    heard = event("T", "s", "stage:x:started", 1.0, data={"a": [1], "n": 5.0})
    assert stored != heard
    store.append([stored])
    partition = Partition(store, "T")
    partition.hear([heard])
    news = partition.look(Meter(still), whole=True)
    assert (news.added, news.rewritten) == ([], False)


def test_a_store_that_repeats_an_id_has_the_same_verdict_now_and_later() -> None:
    """Of two documents with one id the bad outcome counts, whatever comes last."""
    begin, good = event("T", "a", "workflow:x:started", 0.0), event("T", "a", "workflow:x:completed", 1.0)
    bad = msgspec.structs.replace(good, event_type="workflow:x:failed")

    class Repeating:
        label = "repeating:"

        def __init__(self, *events: TraceEvent) -> None:
            self._events = events

        def fetch_trace(self, trace_id: str, arrived: object = None) -> FetchedTrace:
            return FetchedTrace(trace_id, self._events, (), ReadCost(queries=1, milliseconds=0.0))

    for ends in ((bad, good), (good, bad)):
        store: Any = Repeating(begin, *ends)
        partition = Partition(store, "T")
        for _ in range(2):
            partition.look(Meter(still), whole=True)
            first, again = partition.build_trace(NOW), partition.build_trace(NOW)
            assert [(one.verdict, one.event_count) for one in (first, again)] == [("failed", 2)] * 2
            assert len(partition.events) == 2
