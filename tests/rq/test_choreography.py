"""Sagas by choreography on real workers: each is one trace with the right verdict, for every callback of RQ."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from sagatrace import open_store
from sagatrace.stores import Search
from sagatrace_tui.demo.workers import worker_command, worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace
from servers import TcpRedis

WORKERS = ["Worker", "SimpleWorker", "SpawnWorker"]
UNDONE = [("reserve", "release", "compensated"), ("charge", "refund", "compensated")]


class Shop:
    """A Redis, a store, and programs with one version of RQ."""

    def __init__(self, redis_url: str, directory: Path, environment: dict[str, str]) -> None:
        self.rq = "rq2" if "newest-rq2" in environment["PYTHONPATH"] else "rq3"
        self._redis_url, self._store_url = redis_url, f"sqlite:///{directory}/traces.db"
        self.environment = worker_environment(self._store_url) | environment | {"SHOP_QUEUE": "TracedQueue"}
        self.environment["SAGATRACE_OUTBOX"] = str(directory / "outbox")

    def produce(self, function: str) -> None:
        """Run a function of the program that enqueues."""
        self._run(sys.executable, "-c", f"import choreography; choreography.{function}({self._redis_url!r})")

    def work_off(self, kind: str, *options: str) -> None:
        """Run a worker until the queue is empty and the events are in the store."""
        self._run(*worker_command(self._redis_url, "--burst", "-w", f"sagatrace.rq.{kind}", *options, "shop"))

    def trace(self) -> Trace:
        """Return the only trace."""
        store = open_store(self._store_url, read_only=True)
        assert [hit.trace_id for hit in store.search(Search())] == ["order-1"]
        events = store.fetch_trace("order-1").events
        store.close()
        return build_trace("order-1", events, now=wall_clock())

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def shop(tmp_path: Path, either_rq: dict[str, str]) -> Iterator[Shop]:
    """Return a shop; the spawned work-horses of RQ 2 reach no Redis on a Unix socket."""
    with TcpRedis() as server:
        yield Shop(server.url, tmp_path, either_rq)


def assert_rolled_back(trace: Trace) -> None:
    assert {span_id: span.parent_id for span_id, span in trace.spans.items()} == {
        "charge": None,
        "receipt": "charge",
        "reserve": "charge",
        "ship": "reserve",
        "release": "ship",
        "refund": "ship",
    }
    assert (trace.verdict, trace.cause and trace.cause.span_id) == ("rolled_back", "ship")
    assert [(row.original_span_id, row.span_id, row.outcome) for row in trace.compensations] == UNDONE


@pytest.mark.parametrize("kind", WORKERS)
def test_a_saga_that_an_exception_handler_undoes_is_one_trace_that_was_rolled_back(shop: Shop, kind: str) -> None:
    """Callbacks undo it in `test_every_worker`."""
    shop.environment["SHOP_UNDONE_BY"] = "handler"
    shop.produce("place_order")
    shop.work_off(kind, "--exception-handler", "choreography.handler")
    if (shop.rq, kind) == ("rq2", "SpawnWorker"):
        # RQ 2 gives the work-horses that it spawns no exception handlers: nothing enqueues a compensation.
        assert (shop.trace().verdict, len(shop.trace().spans)) == ("rollback_missing", 4)
    else:
        assert_rolled_back(shop.trace())


@pytest.mark.parametrize("kind", ["Worker", "SpawnWorker"])  # a SimpleWorker cannot stop a job
def test_a_saga_whose_step_is_stopped_is_undone_by_on_stopped(shop: Shop, kind: str) -> None:
    shop.environment["SHOP_UNDONE_BY"] = "on_stopped"
    shop.produce("place_order")
    shop.work_off(kind)
    trace = shop.trace()
    assert trace.spans["ship"].status == "stopped"
    assert_rolled_back(trace)


def test_a_saga_runs_between_two_steps_and_while_its_compensations_wait(shop: Shop) -> None:
    shop.environment["SHOP_UNDONE_BY"] = "on_failure"
    shop.produce("place_order")
    seen = []
    for _, kind in zip(("charge", "receipt", "reserve", "ship", "release"), cycle(WORKERS), strict=False):
        shop.work_off(kind, "--max-jobs", "1")
        seen.append((shop.trace().verdict, shop.trace().ended))
    assert seen == [("running", False)] * 4 + [("compensating", False)]
    shop.work_off("SimpleWorker", "--max-jobs", "1")
    assert_rolled_back(shop.trace())


@pytest.mark.parametrize("kind", WORKERS)
def test_the_steps_in_a_plain_queue_are_one_trace(shop: Shop, kind: str) -> None:
    shop.environment |= {"SHOP_UNDONE_BY": "on_failure", "SHOP_QUEUE": "Queue"}
    shop.produce("place_order")
    shop.work_off(kind)
    assert_rolled_back(shop.trace())


@pytest.mark.parametrize("kind", WORKERS)
def test_a_pickled_job_that_a_worker_with_json_cannot_read_fails_in_its_own_trace(shop: Shop, kind: str) -> None:
    """It is the other way round in `test_every_worker`."""
    shop.produce("pickle_job")
    shop.work_off(kind, "-S", "rq.serializers.JSONSerializer")
    trace = shop.trace()
    assert (trace.verdict, trace.cause and trace.cause.span_id) == ("failed", "unreadable")
    events = [event.event_type for event in trace.spans["unreadable"].events]
    assert events == ["job:enqueued", "job:started", "job:failed"]
