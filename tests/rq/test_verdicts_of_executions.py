"""The verdicts of sagas whose process ended, immediately after its end, and of each run of repeated jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import booking
import pytest
from jobs_on_workers import TRACE, Scene, Scenes
from rq.command import send_stop_job_command
from rq.job import Job

from faults import stored
from sagatrace import TraceEvent, open_store
from sagatrace_tui.live.refresh import LOOK
from sagatrace_tui.live.trace_feed import TraceFeed
from sagatrace_tui.model import Trace, build_trace
from servers import until

FORK, SPAWN, SIMPLE = (f"sagatrace.rq.{kind}" for kind in ("Worker", "SpawnWorker", "SimpleWorker"))


def trace_of(events: list[TraceEvent]) -> Trace:
    """Return the trace just after its last event."""
    return build_trace(TRACE, events, now=events[-1].micros + 1)


def ids_by_name(trace: Trace, name: str) -> list[str]:
    return [span_id for span_id, span in trace.spans.items() if span.name == name]


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        ("killed", FORK),
        ("killed", SPAWN),
        ("killed from outside", FORK),
        ("killed in a thread", FORK),
        ("left", FORK),
        ("stopped", FORK),
        ("stopped", SPAWN),
        ("deaf to the timeout", FORK),
        ("shut down cold", FORK),
        ("abandoned", FORK),
        ("abandoned", SIMPLE),
        ("cleaned up elsewhere", FORK),
    ],
)
def test_open_spans_end_with_their_execution_and_the_first_step_still_stands(
    scenes: Scenes, scene: str, kind: str
) -> None:
    events, _ = scenes.play(scene, kind)
    (end,) = [event for event in events if event.id.endswith(":end")]
    trace = trace_of(events)
    names = ["saga:booking", "step:hotel", *(["step:car"] if "thread" in scene else [])]
    for (span_id,) in (ids_by_name(trace, name) for name in names):
        span = trace.spans[span_id]
        assert (span.status, span.ended_at) == ("interrupted", end.micros)
        assert span.error in (end.data.get("error"), end.data["reason"])
    assert trace.verdict == "rollback_missing"
    (flight,) = ids_by_name(trace, "step:flight")
    assert (flight, True) in [(step.span_id, step.certain) for step in trace.still_standing]


def test_a_timeout_that_reaches_the_job_is_the_step_s_failure(scenes: Scenes) -> None:
    trace = trace_of(scenes.play("timed out")[0])
    assert trace.verdict == "rollback_missing"
    assert trace.cause is not None
    assert (trace.cause.name, trace.cause.error_type) == ("step:hotel", "JobTimeoutException")


def test_a_saga_killed_once_succeeded_in_its_second_attempt(scenes: Scenes) -> None:
    events, job = scenes.play("killed once")
    trace = trace_of(events)
    assert trace.verdict == "succeeded"
    assert [trace.spans[one].status for one in ids_by_name(trace, "saga:booking")] == ["interrupted", "success"]
    assert trace.spans[job.id].status == "success"
    assert list(trace.still_standing) == []


@pytest.mark.parametrize(
    ("scene", "statuses", "verdict"),
    [
        ("scheduled", ["success", "failed", "success", "success"], "failed"),
        ("scheduled on a plain queue", ["success", "failed", "success", "success"], "failed"),
        ("scheduled with retries", ["success"] * 3, "succeeded"),
        ("repeated", ["success"] * 4, "succeeded"),
        ("repeated with retries", ["success"] * 2, "succeeded"),
        ("used three times", ["success", "failed", "success"], "failed"),
        ("requeued", ["failed", "success"], "failed"),
        ("requeued after retries", ["failed", "success"], "failed"),
    ],
)
def test_each_run_is_a_span_with_its_own_outcome(scenes: Scenes, scene: str, statuses: list[str], verdict: str) -> None:
    events, _ = scenes.play(scene)
    trace = trace_of(events)
    runs = ["j", *(f"j#{number}" for number in range(2, len(statuses) + 1))]
    assert {span_id for span_id in trace.spans if span_id.startswith("j")} == set(runs)
    assert [trace.spans[run].status for run in runs] == statuses
    # One event names each attempt, and so do the spans that the attempt opened.
    attempts = [attempt for run in runs for attempt in trace.spans[run].attempts]
    stages = ids_by_name(trace, "stage:load")
    assert len(stages) == len(attempts)
    starts = {event.id.removesuffix(":start"): event.id for event in events if event.id.endswith(":start")}
    for stage in stages:
        parent = trace.spans[str(trace.spans[stage].parent_id)]
        execution = trace.spans[stage].events[0].data["execution"]
        assert starts[execution] in {event.id for event in parent.events}
    assert trace.verdict == verdict
    if verdict == "failed":
        failed = runs[statuses.index("failed")]
        assert trace.cause is not None
        assert failed in (trace.cause.span_id, trace.cause.parent_id)


def test_a_run_scheduled_for_later_keeps_the_trace_running(scenes: Scenes) -> None:
    trace = trace_of(scenes.play("repeated later")[0])
    assert [(span_id, trace.spans[span_id].status) for span_id in ("j", "j#2")] == [("j", "success"), ("j#2", "queued")]
    assert trace.verdict == "running"


def kill(scene: Scene, job: Job, horse: int) -> None:
    os.kill(horse, signal.SIGKILL)


def stop(scene: Scene, job: Job, horse: int) -> None:
    send_stop_job_command(scene.redis, job.id)


@contextmanager
def hanging(scene: Scene) -> Iterator[tuple[Job, int]]:
    """Run a worker whose work-horse hangs in the saga's second step, with all events stored."""
    job = scene.plain.enqueue(booking.book, "hang", meta=scene.meta)
    worker, horse = scene.start("--burst"), 0
    try:
        horse = scene.until_hanging(job)
        until(lambda: len(stored(scene.directory / "traces.db")) >= 5, "the events", 60)
        yield job, horse
        assert worker.wait(60) == 0
    finally:
        if worker.poll() is None:  # the test failed
            worker.kill()
            worker.wait()
            if horse:
                os.kill(horse, signal.SIGKILL)


@pytest.mark.parametrize("end", [kill, stop])
def test_tail_ends_with_the_verdict_when_the_saga_s_process_ends(
    scenes: Scenes, end: Callable[[Scene, Job, int], None]
) -> None:
    scene = scenes.make(f"tail-{end.__name__}")
    command = [sys.executable, "-c", "from sagatrace_tui.cli import main; main()", "tail", TRACE]
    with (
        hanging(scene) as (job, horse),
        subprocess.Popen(command, env=scene.environment, stdout=subprocess.PIPE, text=True) as tail,
    ):
        assert tail.stdout is not None
        for line in tail.stdout:
            if "running" in line:
                break
        end(scene, job, horse)
        lines = list(tail.stdout)  # until it ends, long before 15 minutes of silence: pytest's limit is shorter
    assert tail.returncode == 5, lines
    assert "still stand" in lines[-1] or "rollback missing" in lines[-1]


@pytest.mark.parametrize("end", [kill, stop])
def test_an_open_trace_shows_the_verdict_when_the_saga_s_process_ends(
    scenes: Scenes, end: Callable[[Scene, Job, int], None]
) -> None:
    scene = scenes.make(f"feed-{end.__name__}")
    with hanging(scene) as (job, horse):
        store = open_store(scene.store_url, read_only=True)
        feed = TraceFeed(store, TRACE)

        def verdict() -> str:
            [reading] = feed.read(frozenset({LOOK}))
            return reading.trace.verdict if reading.trace is not None else ""

        assert verdict() == "running"
        end(scene, job, horse)
        until(lambda: verdict() == "rollback_missing", "the verdict", 60)
        store.close()
