"""Reading the traces of a window once finds all of them, beside any other traces in the store."""

from __future__ import annotations

import pytest

from sagas import event, failed, recent, succeeded
from sagatrace.stores import FetchedTrace, ReadCost
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.incident.query import Query, parse_query
from sagatrace_tui.live import window
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.live.window import read_rows

HOUR = 3_600_000_000


def test_traces_that_fill_pages_with_older_events_hide_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_BULK", 3)
    store = MemoryStore()
    for trace_id in ("long-1", "long-2", "long-3"):
        store.append(recent([event(trace_id, f"s{at}", "ai:decision", at) for at in range(0, 3_000, 60)], 3_000))
    store.append(recent(failed("bad"), 2_500))
    found = [row.trace_id for row in read_rows(store, Query(), wall_clock(), window=HOUR)]
    assert sorted(found) == ["bad", "long-1", "long-2", "long-3"]


def test_only_the_window_is_read() -> None:
    store = MemoryStore()
    for trace_id, ago in (("new", 60), ("old", 7_200)):
        store.append(recent(succeeded(trace_id), ago))
    assert [row.trace_id for row in read_rows(store, Query(), wall_clock(), window=HOUR)] == ["new"]
    assert len(list(read_rows(store, parse_query("since:3h"), wall_clock(), window=HOUR))) == 2
    assert len(list(read_rows(store, Query(), wall_clock()))) == 2


def test_a_trace_that_expires_while_it_is_read_is_no_row() -> None:
    class Expiring(MemoryStore):
        def fetch_trace(self, trace_id: str, arrived: object = None) -> FetchedTrace:
            return (
                FetchedTrace(trace_id, (), (), ReadCost(1, 0.0))
                if trace_id == "gone"
                else super().fetch_trace(trace_id)
            )

    store = Expiring()
    store.append([*recent(succeeded("here"), 60), *recent(succeeded("gone"), 30)])
    assert [row.trace_id for row in read_rows(store, Query(), wall_clock(), window=HOUR)] == ["here"]
