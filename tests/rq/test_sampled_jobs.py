"""Sampling on real workers: a job carries the failure of its trace to the worker that runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest
import sampled_jobs
from redis import Redis
from rq import Queue

from sagatrace import open_store, trace_meta
from sagatrace.sampling import is_sampled
from sagatrace_tui.demo.workers import worker_command, worker_environment

HERE: Final = Path(__file__).parent
OUT: Final = next(f"order-{number}" for number in range(1000) if not is_sampled(f"order-{number}", 0.1))
IN: Final = next(f"order-{number}" for number in range(1000) if is_sampled(f"order-{number}", 0.1))
EVENTS: Final = {
    "a": ["started", "completed"],
    "a-before": ["enqueued", "started", "completed"],
    "a-after": ["enqueued", "started", "completed"],
    "b": ["started", "failed"],
    "c": ["started", "completed"],
}


@pytest.mark.parametrize("trace_id", [IN, OUT])
def test_jobs_are_recorded_from_the_failure_of_their_trace_on(
    redis: Redis, redis_server: str, tmp_path: Path, trace_id: str
) -> None:
    queue = Queue("sampled", connection=redis)
    named = {"a": sampled_jobs.fails_inside_and_goes_on, "b": sampled_jobs.fails, "c": sampled_jobs.succeeds}
    for job_id, function in named.items():
        queue.enqueue(function, job_id=job_id, meta=trace_meta(trace_id if job_id == "a" else f"{trace_id}-{job_id}"))
    url = f"sqlite:///{tmp_path}/t.db"
    share = "1" if trace_id == IN else "1e-9"
    command = worker_command(redis_server, "--burst", "--path", str(HERE), "-w", "sagatrace.rq.Worker", "sampled")
    environment = worker_environment(url) | {"SAGATRACE_SAMPLE": share, "PYTHONPATH": str(HERE)}
    subprocess.run(command, env=environment, capture_output=True, timeout=300, check=True)
    store = open_store(url, read_only=True)
    traces = (trace_id, f"{trace_id}-b", f"{trace_id}-c")
    events = [event for name in traces for event in store.fetch_trace(name).events]
    store.close()
    found: dict[str, list[str]] = {}
    for event in events:
        name = event.span_id if event.span_id in EVENTS else event.event_type.rpartition(":")[0]
        found.setdefault(name, []).append(event.event_type.rpartition(":")[2])
    (failed,) = (event for event in events if event.event_type == "job:failed")
    assert failed.data["job_name"] == "sampled_jobs.fails"  # its start may not be recorded
    if trace_id == IN:
        assert {name: phases for name, phases in found.items() if name in EVENTS} == EVENTS
        assert [event for event in events if "sagatrace_sample" in event.data] == []
        return
    assert found == {
        "stage:bad": ["failed"],
        "a": ["completed"],
        "a-after": ["enqueued", "started", "completed"],
        "stage:good": ["started", "completed"],
        "b": ["failed"],
    }
    assert {event.data["sagatrace_sample"] for event in events} == {1e-9}


def test_the_end_of_a_killed_job_names_its_function(redis: Redis, redis_server: str, tmp_path: Path) -> None:
    """The worker, which never loads a job, records it. The start was not recorded."""
    Queue("sampled", connection=redis).enqueue(sampled_jobs.is_killed, meta=trace_meta(OUT))
    url = f"sqlite:///{tmp_path}/t.db"
    command = worker_command(redis_server, "--burst", "--path", str(HERE), "-w", "sagatrace.rq.Worker", "sampled")
    environment = worker_environment(url) | {"SAGATRACE_SAMPLE": "1e-9", "PYTHONPATH": str(HERE)}
    subprocess.run(command, env=environment, capture_output=True, timeout=300, check=True)
    store = open_store(url, read_only=True)
    (end,) = store.fetch_trace(OUT).events
    store.close()
    assert (end.event_type, end.data["job_name"]) == ("job:failed", "sampled_jobs.is_killed")
