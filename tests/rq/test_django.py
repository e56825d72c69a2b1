"""Jobs of a Django program with django-rq: enqueued and recorded as the transaction of the database ends.

`test_every_worker` runs such jobs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq.job import Job

from sagatrace import TraceEvent, open_store
from sagatrace.stores import Search
from sagatrace_tui.demo.workers import worker_environment

HERE = Path(__file__).parent


class Shop:
    """Runs acts of the Django program, and reads their jobs and events."""

    def __init__(self, redis: Redis, redis_url: str, directory: Path, environment: dict[str, str]) -> None:
        self.redis = redis
        self.store_url = f"sqlite:///{directory}/traces.db"
        self._environment = worker_environment(self.store_url) | environment
        self._environment["DJANGO_SETTINGS_MODULE"] = "django_settings"
        self._environment |= {"SHOP_DATABASE": f"{directory}/shop.db", "SHOP_REDIS": redis_url}
        self.said = ""

    def run(self, act: str, *, mode: str = "", queue_class: str = "TracedDjangoQueue") -> dict[str, Any]:
        """Return the output of the program."""
        self._environment["SHOP_COMMIT_MODE"], self._environment["SHOP_QUEUE_CLASS"] = mode, queue_class
        said = self._run(sys.executable, "-c", f"import django_shop; django_shop.main({act!r})")
        return dict(json.loads(said.splitlines()[-1]))

    def _run(self, *command: str) -> str:
        program = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert program.returncode == 0, program.stderr
        self.said = program.stderr
        return program.stdout

    def events(self, span_id: str = "charge-1") -> list[TraceEvent]:
        """Return the events of a job in trace T."""
        store = open_store(self.store_url, read_only=True)
        found = store.fetch_trace("T").events
        store.close()
        return [event for event in found if event.span_id == span_id]

    def has_traces(self) -> bool:
        """Return whether anything was recorded."""
        store = open_store(self.store_url)
        found = store.search(Search())
        store.close()
        return bool(found)


@pytest.fixture
def shop(redis: Redis, redis_server: str, tmp_path: Path, either_rq: dict[str, str]) -> Shop:
    return Shop(redis, redis_server, tmp_path, either_rq)


def test_a_job_of_a_transaction_that_commits_is_enqueued_and_recorded_after_it(shop: Shop) -> None:
    seen = shop.run("commits")
    assert seen == {"returned": None, "inside": [], "sold": [1], "waiting": ["charge-1"]}
    (event,) = shop.events()
    assert (event.event_type, event.parent_span_id) == ("job:enqueued", "S")
    meta = Job.fetch("charge-1", connection=shop.redis).meta
    assert meta == {"own": 1, "sagatrace": {"trace_id": "T", "parent_span_id": "S"}}


def test_a_job_of_a_transaction_that_is_rolled_back_is_neither_enqueued_nor_recorded(shop: Shop) -> None:
    assert shop.run("rolls_back") == {"sold": [], "waiting": []}
    assert not shop.redis.keys("rq:job:*")
    assert not shop.has_traces()


def test_a_job_without_a_transaction_is_enqueued_immediately(shop: Shop) -> None:
    assert shop.run("outside") == {"returned": "charge-1", "sold": [], "waiting": ["charge-1"]}
    assert [event.event_type for event in shop.events()] == ["job:enqueued"]


def test_the_context_is_that_of_the_call_and_not_of_the_commit(shop: Shop) -> None:
    seen = shop.run("in_a_job")
    assert (seen["inside"], seen["waiting"]) == ([], ["charge-3"])
    ended, enqueued = shop.events("order")[-1], shop.events("charge-3")
    assert ended.event_type == "job:completed"
    assert [(event.event_type, event.parent_span_id) for event in enqueued] == [("job:enqueued", "order")]
    assert enqueued[0].micros > ended.micros


def test_with_commit_mode_auto_a_job_is_enqueued_immediately(shop: Shop) -> None:
    seen = shop.run("commits", mode="auto")
    assert (seen["inside"], seen["waiting"]) == (["charge-1"], ["charge-1"])
    assert [event.event_type for event in shop.events()] == ["job:enqueued"]


def test_with_commit_mode_request_finished_a_job_waits_for_the_end_of_the_request(shop: Shop) -> None:
    seen = shop.run("finishes_a_request", mode="request_finished")
    assert (seen["inside"], seen["waiting"]) == ([], ["charge-1"])
    assert [(event.event_type, event.parent_span_id) for event in shop.events()] == [("job:enqueued", "S")]


def test_enqueue_many_ignores_the_transaction_as_in_django_rq(shop: Shop) -> None:
    assert shop.run("enqueues_otherwise") == {"sold": [], "waiting": ["charge-1"]}
    assert [event.event_type for event in shop.events()] == ["job:enqueued"]


def test_a_queue_class_that_ignores_transactions_is_logged_once(shop: Shop) -> None:
    shop.run("rolls_back", queue_class="PlainTracedQueue")
    assert shop.said.count("TracedQueue ignores django-rq's COMMIT_MODE") == 1
    shop.run("rolls_back")
    assert "COMMIT_MODE" not in shop.said
