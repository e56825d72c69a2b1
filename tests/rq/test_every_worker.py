"""What once went wrong without a word, on each worker: with the RQ of this environment, and with the newest RQ 2.

`.ci/lowest_versions` runs this file with the lowest RQ, where `installed` is that one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rq
from redis import Redis
from rq.job import Job

from sagatrace import EventStore, open_store
from sagatrace.stores import Search
from sagatrace_tui.demo.workers import worker_command, worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace
from servers import TcpRedis

HERE = Path(__file__).parent


class Played:
    """Every case of `every_worker`, played by one worker of a kind, and what is left of it."""

    def __init__(self, kind: str, redis: Redis, redis_url: str, directory: Path) -> None:
        self.kind, self.redis, self.store_url = kind, redis, f"sqlite:///{directory}/traces.db"
        self.is_rq2 = False
        self.environment = worker_environment(self.store_url) | {
            "DJANGO_SETTINGS_MODULE": "django_settings",
            "PYTHONPATH": str(HERE),
            "PYTHONWARNINGS": "ignore",
            "SHOP_COMMIT_MODE": "",
            "SHOP_DATABASE": f"{directory}/shop.db",
            "SHOP_QUEUE": "TracedQueue",
            "SHOP_QUEUE_CLASS": "TracedDjangoQueue",
            "SHOP_REDIS": redis_url,
            "SHOP_UNDONE_BY": "on_failure",
            "WORKER_KIND": kind,
        }

    def run(self, program: str, *arguments: str, status: int = 0) -> str:
        """Run a program of this environment, and return its output."""
        command = [program if "/" in program else str(Path(sys.executable).with_name(program)), *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=HERE, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def trace_ids(self) -> set[str]:
        return {hit.trace_id for hit in self._store().search(Search())}

    def trace(self, trace_id: str) -> Trace:
        return build_trace(trace_id, self._store().fetch_trace(trace_id).events, now=wall_clock())

    def _store(self) -> EventStore:
        return open_store(self.store_url, read_only=True)


@pytest.fixture(params=["Worker", "SimpleWorker", "SpawnWorker"])
def played(request: pytest.FixtureRequest, either_rq: dict[str, str], tmp_path: Path) -> Iterator[Played]:
    """Play all cases; the spawned work-horses of RQ 2 reach no Redis on a Unix socket."""
    with TcpRedis() as server, Redis.from_url(server.url) as redis:
        played = Played(request.param, redis, server.url, tmp_path)
        played.environment |= either_rq
        played.is_rq2 = "newest-rq2" in either_rq["PYTHONPATH"] or rq.__version__ < "3"
        played.run(sys.executable, "-c", f"import every_worker; every_worker.enqueue_all({server.url!r})")
        options = ("-w", f"sagatrace.rq.{request.param}", "--exception-handler", "odd_jobs.noting_handler")
        played.run(*worker_command(server.url, "--burst", *options, "shop", "odd", "default"))
        yield played


def test_nothing_loses_its_context_or_gets_a_wrong_verdict(played: Played) -> None:
    check_contexts(played)
    verdicts = {trace_id: played.trace(trace_id).verdict for trace_id in VERDICTS}
    assert verdicts == VERDICTS
    others = played.trace_ids() - VERDICTS.keys() - {"stopped", "T"}
    (named,) = (other for other in others if other.startswith("order-4711-20"))
    assert len(others - {named}) == RUNS  # of the schedule that names no trace
    assert f"did you mean {named}?" in played.run("sagatrace", "why", "order-4711", status=7)
    check_spans(played)


VERDICTS = {
    "callback-fails": "rollback_missing",  # the function had succeeded
    "callbacks-fails": "failed",
    "callbacks-succeeds": "succeeded",
    "foreign": "failed",  # made with a serializer that the worker does not use
    "greenlets": "rolled_back",
    "nightly": "succeeded",
    "order-1": "rolled_back",
    "threads": "rolled_back",
}
RUNS = 2


def check_contexts(played: Played) -> None:
    """The context is known in jobs, callbacks, handlers and threads."""
    expected = {} if played.kind == "SimpleWorker" else {"on_stopped of stopped": "stopped/stopped"}
    for outcome, callback in (("succeeds", "on_success"), ("fails", "on_failure")):
        trace_id, outer, inside = f"callbacks-{outcome}", f"outer-{outcome}", f"inside-{outcome}"
        labels = [f"job {outer}", f"thread of {outer}", f"after the job inside {outer}", f"{callback} of {outer}"]
        # RQ 2 gives the work-horses that it spawns no exception handlers.
        if outcome == "fails" and not (played.is_rq2 and played.kind == "SpawnWorker"):
            labels.append(f"handler of {outer}")
        expected |= dict.fromkeys(labels, f"{trace_id}/{outer}")
        expected |= dict.fromkeys([f"job {inside}", f"on_success of {inside}"], f"{trace_id}/{inside}")
        below = Job.fetch(f"below-{outcome}", connection=played.redis)
        assert below.meta["sagatrace"] == {"trace_id": trace_id, "parent_span_id": outer}
    noted: Any = played.redis.hgetall("contexts")
    contexts = {key.decode(): value.decode() for key, value in noted.items()}
    assert {label: contexts.get(label) for label in expected} == expected


def check_spans(played: Played) -> None:
    """Each span is at its place, and each step was undone or stands."""
    order, threads, sale = (played.trace(trace_id) for trace_id in ("order-1", "threads", "T"))
    assert {span_id: span.parent_id for span_id, span in order.spans.items()} == {
        "charge": None,
        "receipt": "charge",
        "reserve": "charge",
        "ship": "reserve",
        "release": "ship",
        "refund": "ship",
    }
    assert [len(played.trace(one).compensations) for one in ("order-1", "threads", "greenlets")] == [2, 2, 2]
    assert sum(span.name == "call:post" for span in threads.spans.values()) == PARCELS
    assert [event.event_type for event in sale.spans["charge-1"].events] == [
        "job:enqueued",
        "job:started",
        "job:completed",
    ]
    assert played.trace("callback-fails").still_standing[0].certain
    unreadable = played.trace("foreign").spans["unreadable"]
    assert [event.event_type for event in unreadable.events] == ["job:enqueued", "job:started", "job:failed"]


PARCELS = 3
