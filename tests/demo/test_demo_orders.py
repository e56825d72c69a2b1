"""The order saga on real workers: callbacks continue it, end it and undo it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from sagatrace.stores import open_store
from sagatrace_tui.demo.loan_saga import STEPS
from sagatrace_tui.demo.order_saga import ORDER_SCENARIOS, OrderScenario, submit_order
from sagatrace_tui.demo.workers import WorkerGroup
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace

pytestmark = pytest.mark.xdist_group("loans")
EXPECTED: dict[OrderScenario, tuple[str, list[str]]] = {
    "delivered": ("succeeded", []),
    "no_courier": ("rolled_back", ["reserve_stock", "charge_card"]),
}


def test_an_order_is_one_trace_with_the_right_verdict(
    redis_server: str, tmp_path: Path, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    monkeypatch.setenv("SAGATRACE_STORE", url)
    monkeypatch.setattr("sagatrace_tui.demo.order_saga.tracer.destination.opened", None)
    store = open_store(url)

    def traces() -> dict[OrderScenario, Trace] | None:
        now = wall_clock()
        built: dict[OrderScenario, Trace] = {
            one: build_trace(f"order-{one}", store.fetch_trace(f"order-{one}").events, now) for one in ORDER_SCENARIOS
        }
        return built if all(trace.verdict == EXPECTED[one][0] for one, trace in built.items()) else None

    workers = WorkerGroup(redis_server, url, tmp_path)
    with Redis.from_url(redis_server) as connection:
        connection.flushall()
        try:
            workers.start("steps-1", STEPS)
            workers.start("steps-2", STEPS)
            for scenario in ORDER_SCENARIOS:
                submit_order(scenario, connection, scenario)
            found = until(traces, "both orders at their end")
        finally:
            workers.stop()
            store.close()
    for scenario, (_, undone) in EXPECTED.items():
        trace = found[scenario]
        assert trace.name == "order"
        assert [row.original_name.rpartition(".")[2] for row in trace.compensations] == undone
        assert trace.still_standing == ()
        assert trace.anomalies == ()
