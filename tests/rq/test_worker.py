"""Real forked workers on a real Redis: each job's events record what happened, and RQ is unchanged."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imported_by_arguments
import pytest
import traced_jobs
from redis import Redis
from rq import Queue, Retry
from rq.job import Job, JobStatus

from sagatrace import TraceContext, TraceEvent, open_store, trace_meta
from sagatrace.rq.job_facts import name_of
from sagatrace.stores import Search
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace


class Bench:
    """A queue, its worker, and the store of its events."""

    def __init__(self, redis: Redis, work_off: Callable[..., str], directory: Path) -> None:
        self.queue = Queue("bench", connection=redis)
        self.store_url = f"sqlite:///{directory}/traces.db"
        self._work_off, self._redis = work_off, redis

    def run(
        self,
        *jobs: Job,
        store_url: str | None = None,
        kind: str = "sagatrace.rq.Worker",
        options: tuple[str, ...] = (),
    ) -> str:
        connection = self._redis.connection_pool.connection_kwargs
        url = f"unix://{connection['path']}" if "path" in connection else ""
        assert url
        said = self._work_off(
            url, store_url or self.store_url, "bench", path=Path(__file__).parent, options=("-w", kind, *options)
        )
        for job in jobs:
            job.refresh()
        return said

    def events(self, trace_id: str) -> list[TraceEvent]:
        store = open_store(self.store_url, read_only=True)
        found = store.fetch_trace(trace_id).events
        store.close()
        return sorted(found, key=lambda event: (event.micros, event.id))

    def trace(self, trace_id: str) -> Trace:
        return build_trace(trace_id, self.events(trace_id), now=wall_clock())

    def event_types(self, trace_id: str) -> list[str]:
        return [event.event_type for event in self.events(trace_id)]


@pytest.fixture
def bench(redis: Redis, work_off: Callable[..., str], tmp_path: Path) -> Bench:
    return Bench(redis, work_off, tmp_path)


def test_a_job_s_span_is_at_the_place_in_its_meta_and_holds_its_steps(bench: Bench) -> None:
    job = bench.queue.enqueue(traced_jobs.succeeds, 21, meta=trace_meta(TraceContext("T1", "S1")))
    bench.run(job)
    assert job.return_value() == 42
    started, inner_started, inner_ended, ended = bench.events("T1")
    assert [event.event_type for event in (started, inner_started, inner_ended, ended)] == [
        "job:started",
        "stage:double:started",
        "stage:double:completed",
        "job:completed",
    ]
    assert {started.span_id, ended.span_id, inner_started.parent_span_id} == {job.id}
    assert {started.parent_span_id, ended.parent_span_id} == {"S1"}
    assert ended.status == "success"
    assert started.data | {"worker": "w", "enqueued_at": "t", "host": "h", "redis": "r"} == {
        "job_id": job.id,
        "job_name": "traced_jobs.succeeds",
        "queue": "bench",
        "worker": "w",
        "attempt": 1,
        "attempts_allowed": 1,
        "enqueued_at": "t",
        "host": "h",
        "redis": "r",
    }


def test_a_job_without_context_is_a_trace_of_its_own(bench: Bench) -> None:
    """Named by the job's id. An id of the user may be used again, so the time of creation is added."""
    plain = bench.queue.enqueue(traced_jobs.succeeds, 1)
    named = bench.queue.enqueue(traced_jobs.succeeds, 1, job_id="nightly")
    bench.run(plain, named)
    assert bench.trace(plain.id).roots == (plain.id,)
    store = open_store(bench.store_url, read_only=True)
    (hit,) = store.search(Search(trace_prefix="nightly-"))
    store.close()
    assert bench.trace(hit.trace_id).roots == ("nightly",)


def test_a_failure_carries_its_error_and_the_job_fails_as_before(bench: Bench) -> None:
    job = bench.queue.enqueue(traced_jobs.fails)
    bench.run(job)
    assert job.get_status() == JobStatus.FAILED
    result = job.latest_result()
    assert result is not None
    assert "ValueError: no luck" in (result.exc_string or "")
    span = bench.trace(job.id).spans[job.id]
    assert (span.status, span.error, span.error_type) == ("failed", "no luck", "ValueError")
    assert "traced_jobs.py" in span.data["stack"]


def test_attempts_are_counted_inside_one_span(bench: Bench) -> None:
    job = bench.queue.enqueue(traced_jobs.fails_once, retry=Retry(max=2), meta=trace_meta(TraceContext("T")))
    bench.run(job)
    assert (job.get_status(), job.return_value()) == (JobStatus.FINISHED, "in the end")
    events = bench.events("T")
    assert [(e.event_type, e.data["attempt"]) for e in events] == [
        ("job:started", 1),
        ("job:retrying", 1),
        ("job:started", 2),
        ("job:retrying", 2),
        ("job:started", 3),
        ("job:completed", 3),
    ]
    assert [e.data["attempts_allowed"] for e in events[::2]] == [3, 3, 3]
    span = bench.trace("T").spans[job.id]
    assert (span.status, [attempt.error for attempt in span.attempts]) == ("success", ["busy", "busy", None])


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [("exits", (3,), "waitpid returned 768"), ("is_killed", (), "signal 9")],
)
def test_a_killed_work_horse_loses_no_event(bench: Bench, function: str, arguments: tuple[int, ...], said: str) -> None:
    """The job's earlier events are stored. The worker that found it dead records its end."""
    job = bench.queue.enqueue(getattr(traced_jobs, function), *arguments)
    bench.run(job)
    assert bench.event_types(job.id) == ["job:started", "job:last-words", "job:failed"]
    assert said in (bench.trace(job.id).spans[job.id].error or "")


def test_a_work_horse_that_exits_by_os_exit_keeps_its_events(bench: Bench) -> None:
    """RQ takes status 0 for success and leaves the job started, so its end is only presumed."""
    job = bench.queue.enqueue(traced_jobs.exits, 0)
    bench.run(job)
    assert job.get_status() == JobStatus.STARTED
    assert bench.event_types(job.id) == ["job:started", "job:last-words", "job:abandoned"]
    assert bench.events(job.id)[-1].data["presumed"] is True


def test_the_worker_records_an_end_that_the_work_horse_cannot_write(bench: Bench) -> None:
    job = bench.queue.enqueue(traced_jobs.writes_no_more)
    said = bench.run(job)
    assert job.return_value() == "well"
    assert bench.event_types(job.id) == ["job:started", "job:completed"]
    assert bench.events(job.id)[-1].data["reason"] == "RQ holds its result: completed"
    assert said.count("event lost") == 1


def test_a_timeout_during_tracing_still_ends_the_job(bench: Bench) -> None:
    job = bench.queue.enqueue(traced_jobs.emits_for_ever, job_timeout=1)
    bench.run(job)
    assert job.get_status() == JobStatus.FAILED
    trace = bench.trace(job.id)
    assert trace.spans[job.id].error_type == "JobTimeoutException"
    assert len(trace.spans) > 10


def test_a_job_that_cannot_be_loaded_fails_with_that_error(bench: Bench) -> None:
    job = bench.queue.enqueue("traced_jobs.does_not_exist")
    bench.run(job)
    span = bench.trace(job.id).spans[job.id]
    assert (span.status, span.name) == ("failed", "traced_jobs.does_not_exist")
    assert "does_not_exist" in (span.error or "")


@pytest.mark.parametrize("serializer", ["pickle", "json"])
def test_a_worker_does_not_load_the_job_s_data(bench: Bench, serializer: str) -> None:
    """Loading runs the user's code: imports in the worker would serve all later jobs."""
    queue = Queue("bench", connection=bench.queue.connection, serializer=serializer)
    if serializer == "json":
        job = queue.enqueue("imported_by_arguments.importer_of", "not an Amount")
        bench.run(job, options=("--serializer", "json"))
        assert job.get_status() == JobStatus.FAILED
    else:
        job = queue.enqueue(imported_by_arguments.importer_of, imported_by_arguments.Amount(7))
        bench.run(job)
        imported_by, ran_in, cents = job.return_value() or (0, 1, 0)
        assert (imported_by, cents) == (ran_in, 7)
    assert bench.events(job.id)[0].data["job_name"] == "imported_by_arguments.importer_of"


def test_a_tracer_with_its_own_emit_gets_every_event(bench: Bench) -> None:
    job = bench.queue.enqueue(traced_jobs.succeeds, 21)
    bench.run(job, kind="traced_jobs.StampingWorker")
    assert [event.data["stamp"] for event in bench.events(job.id) if event.span_id == job.id] == ["own", "own"]


def test_a_job_with_the_user_s_serializer_is_named_after_it_is_loaded(bench: Bench) -> None:
    queue = Queue("bench", connection=bench.queue.connection, serializer="traced_jobs.OwnSerializer")
    job = queue.enqueue(traced_jobs.succeeds, 21)
    bench.run(job, options=("--serializer", "traced_jobs.OwnSerializer"))
    assert job.return_value() == 42
    started, *_, ended = [event for event in bench.events(job.id) if event.span_id == job.id]
    assert "job_name" not in started.data
    assert ended.data["job_name"] == "traced_jobs.succeeds"


def test_a_name_is_read_from_a_pickle_of_any_protocol_and_otherwise_omitted() -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for name in ("f", "grüße.an", "x" * 300):
            assert name_of(pickle.dumps((name, None, (1,), {}), protocol)) == name
        assert name_of(pickle.dumps((None, None, (), {}), protocol)) == ""
    assert name_of(json.dumps(("a.b", None, [], {})).encode()) == "a.b"
    for other in (b"", b"\x80", b"[", b"[1,2,3,4]", b"\x80\x05\x95", b"name=a.b", b'["a",' + b"[" * 2000):
        assert name_of(other) == ""


def test_a_job_that_overwrites_its_meta_keeps_its_place(bench: Bench) -> None:
    job = bench.queue.enqueue(
        traced_jobs.clobbers_its_meta, retry=Retry(max=1), meta=trace_meta(TraceContext("T", "S"))
    )
    bench.run(job)
    events = [event for event in bench.events("T") if event.span_id == job.id]
    assert [event.event_type for event in events] == ["job:started", "job:retrying", "job:started", "job:failed"]
    assert {event.parent_span_id for event in events} == {"S"}
    assert bench.event_types("T").count("ai:decision") == 2
    assert [event.data["attempt"] for event in events] == [1, 1, 2, 2]


def test_counts_in_a_job_s_meta_that_are_not_numbers_lose_no_event(bench: Bench) -> None:
    """Before a requeue a job may write any value there."""
    counts = {"attempt": "two", "attempts_allowed": None}
    job = bench.queue.enqueue(traced_jobs.succeeds, 1, meta={"sagatrace": {"trace_id": "T", **counts}})
    bench.run(job)
    started, *_, ended = bench.events("T")
    assert [(event.event_type, event.data["attempt"]) for event in (started, ended)] == [
        ("job:started", 1),
        ("job:completed", 1),
    ]
    assert started.data["attempts_allowed"] == 1


@pytest.mark.parametrize(
    ("store_url", "fault"), [("nonsense", "StoreUrlError"), ("sqlite:////dev/null/x.db", "StoreError")]
)
def test_an_unusable_store_loses_the_events_and_no_job(bench: Bench, store_url: str, fault: str) -> None:
    good = bench.queue.enqueue(traced_jobs.succeeds, 21)
    bad = bench.queue.enqueue(traced_jobs.fails)
    said = bench.run(good, bad, store_url=store_url)
    assert (good.get_status(), good.return_value()) == (JobStatus.FINISHED, 42)
    assert bad.get_status() == JobStatus.FAILED
    assert f"event lost: {fault}" in said


def test_the_user_s_meta_stays(bench: Bench) -> None:
    meta: dict[str, Any] = {"own": [1, 2], **trace_meta(TraceContext("T"))}
    job = bench.queue.enqueue(traced_jobs.fails_once, retry=Retry(max=1), meta=meta)
    bench.run(job)
    assert job.meta["own"] == [1, 2]


def test_a_failing_job_data_of_the_user_loses_no_event(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "Asking.job_data")
    job = bench.queue.enqueue(traced_jobs.succeeds, 21, meta=trace_meta(TraceContext("T")))
    said = bench.run(job, kind="faulty.Asking")
    started, *_, ended = bench.events("T")
    assert (started.event_type, started.data["job_name"]) == ("job:started", "traced_jobs.succeeds")
    assert ended.event_type == "job:completed"
    assert "reason" not in ended.data  # the work-horse recorded it
    assert said.count("a hook failed") == 1


def test_a_job_s_process_holds_neither_shipper_nor_reconciler(bench: Bench) -> None:
    """Nor does the process of a worker that recorded the end for its work-horse."""
    silent, job = bench.queue.enqueue(traced_jobs.exits, 0), bench.queue.enqueue(traced_jobs.names_modules)
    bench.run(job)
    assert bench.event_types(silent.id)[-1] == "job:abandoned"
    modules: list[str] = job.return_value() or []
    assert "sagatrace.rq" in modules
    shippers = [name for name in modules if name.startswith("sagatrace.shipper.")]
    assert sorted(shippers) == ["sagatrace.shipper.launcher", "sagatrace.shipper.lock"]
    assert [name for name in modules if name.startswith(("sagatrace.rq.reconciler", "sagatrace_tui"))] == []


def test_a_worker_of_the_user_redacts_and_records_more_data(bench: Bench) -> None:
    """The worker's tracer sees every event before it is stored. Arguments are recorded only on request."""
    job = bench.queue.enqueue(traced_jobs.succeeds, 21, meta=trace_meta(TraceContext("T")))
    broken = bench.queue.enqueue(traced_jobs.fails, meta=trace_meta(TraceContext("T")))
    bench.run(job, broken, kind="traced_jobs.FrankWorker")
    started, *_, ended = [event for event in bench.events("T") if event.span_id == job.id]
    assert (started.data["arguments"], ended.data["result"]) == ([21], 42)
    (failed,) = [event for event in bench.events("T") if event.event_type == "job:failed"]
    assert failed.data["error"] == "***"
    assert "stack" not in failed.data
