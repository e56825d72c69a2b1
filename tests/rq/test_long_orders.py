"""A saga over several jobs, each on its own worker: its verdict between the jobs and at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import long_orders
import pytest
from redis import Redis
from rq import Queue

from sagatrace import Tracer, open_store
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace
from servers import work_off

HERE: Final = Path(__file__).parent
MINUTE: Final = 60_000_000


class Desk:
    """Runs one job after another, each on its own worker, and reads the trace in between."""

    def __init__(self, redis: Redis, redis_url: str, directory: Path) -> None:
        self.queue, self.redis_url, self.url = (
            Queue("orders", connection=redis),
            redis_url,
            f"sqlite:///{directory}/t.db",
        )

    def run(self, function: object, *args: object, **options: object) -> None:
        self.queue.enqueue(function, *args, **options)  # type: ignore[arg-type]
        work_off(self.redis_url, self.url, "orders", path=HERE, options=("-w", "sagatrace.rq.Worker"))

    def read(self, trace_id: str, *, minutes: int = 0) -> Trace:
        store = open_store(self.url, read_only=True)
        events = store.fetch_trace(trace_id).events
        store.close()
        return build_trace(trace_id, events, now=wall_clock() + minutes * MINUTE)


@pytest.mark.parametrize("begun_in", ["the trace", "the job"])
@pytest.mark.parametrize(
    ("outcome", "verdict", "standing"),
    [
        ("completes", "succeeded", []),
        ("is rolled back", "rolled_back", []),
        ("forgets the charge", "rollback_incomplete", ["step:charge"]),
    ],
)
def test_a_saga_of_several_jobs(
    redis: Redis, redis_server: str, tmp_path: Path, begun_in: str, outcome: str, verdict: str, standing: list[str]
) -> None:
    desk = Desk(redis, redis_server, tmp_path)
    if begun_in == "the trace":
        desk.run(long_orders.begin_order, "order-7")
        trace_id = "order-7"
    else:
        desk.run(long_orders.begin_order, job_id="11111111-1111-4111-8111-111111111111")
        trace_id = "11111111-1111-4111-8111-111111111111"
    begun = desk.read(trace_id)
    assert (begun.verdict, {span.name for span in begun.spans.values() if span.is_open}) == (
        "running",
        {"workflow:order", "step:charge"},
    )
    assert desk.read(trace_id, minutes=16).verdict == "unknown"
    desk.run(long_orders.confirm_charge)
    assert (desk.read(trace_id).verdict, desk.read(trace_id).cause) == ("running", None)
    desk.run(long_orders.close_order, outcome)
    trace = desk.read(trace_id)
    assert (trace.verdict, [one.name for one in trace.still_standing]) == (verdict, standing)
    assert trace.anomalies == ()


def test_a_saga_begins_outside_of_workers_and_ends_in_a_job(redis: Redis, redis_server: str, tmp_path: Path) -> None:
    desk = Desk(redis, redis_server, tmp_path)
    tracer = Tracer(desk.url)
    order = tracer.begin("workflow:order", "order-7")
    charge = tracer.begin("step:charge", tracer.resume(order), compensation="refund")
    tracer.close()
    redis.hset("orders", mapping={"order": order, "charge": charge})
    desk.run(long_orders.confirm_charge)
    assert desk.read("order-7").verdict == "running"
    desk.run(long_orders.close_order, "completes")
    assert desk.read("order-7").verdict == "succeeded"
