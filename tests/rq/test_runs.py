"""A job id that runs more than once: each run's events are all stored, and its attempts count from 1."""

from __future__ import annotations

import booking
import pytest
from jobs_on_workers import Scenes, phases
from rq.job import Job

from sagatrace import TraceEvent
from sagatrace.stores import Search, open_store

LIFE = ["started", "completed"]
RUNS = [
    (
        "scheduled",
        ["enqueued", *LIFE, "enqueued", "started", "failed", "enqueued", *LIFE, "enqueued", *LIFE],
        [1, 1, 1, 1],
    ),
    ("scheduled on a plain queue", [*LIFE, "started", "failed", *LIFE, *LIFE], [1, 1, 1, 1]),
    (
        "scheduled with retries",
        ["enqueued", "started", "retrying", *LIFE, "enqueued", "started", "retrying", *LIFE, "enqueued", *LIFE],
        [1, 2, 1, 2, 1],
    ),
    ("repeated", ["enqueued", *LIFE] * 4, [1, 1, 1, 1]),
    ("repeated with retries", ["enqueued", "started", "retrying", *LIFE, "enqueued", *LIFE], [1, 2, 1]),
    ("repeated later", ["enqueued", *LIFE, "scheduled"], [1]),
    (
        "used three times",
        ["enqueued", *LIFE, "enqueued", "started", "failed", "enqueued", *LIFE],
        [1, 1, 1],
    ),
    ("requeued", ["enqueued", "started", "failed", *LIFE], [1, 1]),
    ("requeued after retries", ["enqueued", "started", "retrying", "started", "failed", *LIFE], [1, 2, 1]),
]


def starts(events: list[TraceEvent]) -> list[TraceEvent]:
    return [event for event in events if event.id.endswith(":start")]


@pytest.mark.parametrize(("scene", "expected", "attempts"), RUNS)
def test_the_events_of_each_run_are_stored(
    scenes: Scenes, scene: str, expected: list[str], attempts: list[int]
) -> None:
    events, _ = scenes.play(scene)
    assert phases(events, "j") == expected
    began, ended = starts(events), [event for event in events if event.id.endswith(":end")]
    executions = [event.id.removesuffix(":start") for event in began]
    assert len(set(executions)) == len(attempts)
    assert [event.id.removesuffix(":end") for event in ended] == executions
    assert [event.data["attempt"] for event in began] == [event.data["attempt"] for event in ended] == attempts
    stages = [event for event in events if event.event_type == "stage:load:started"]
    assert [stage.data["execution"] for stage in stages] == executions


def test_a_start_has_the_time_at_which_its_run_was_enqueued(scenes: Scenes) -> None:
    """No hook is called for jobs that RQ itself or a scheduler enqueues."""
    for scene in ("scheduled on a plain queue", "requeued", "repeated"):
        events, _ = scenes.play(scene)
        ends = [event.timestamp for event in events if event.id.endswith(":end")]
        enqueued = [event.data["enqueued_at"] for event in starts(events)]
        assert all(end < start for end, start in zip(ends, enqueued[1:], strict=False)), scene
        assert enqueued == sorted(set(enqueued)), scene


def test_a_delayed_repetition_has_its_time(scenes: Scenes) -> None:
    events, _ = scenes.play("repeated later")
    last = events[-1]
    execution = starts(events)[0].id.removesuffix(":start")
    assert (last.event_type, last.id) == ("job:scheduled", f"{execution}:repeat")
    assert last.data["scheduled_for"] > last.timestamp
    assert last.data["attempt"] == 1


def test_without_context_a_reused_id_begins_a_trace_and_the_same_job_stays_in_its_trace(scenes: Scenes) -> None:
    """The time of creation distinguishes them: a schedule, a repetition and a requeue create no job."""
    scene = scenes.make("no-context")
    for _ in range(2):
        scene.plain.enqueue(booking.load, job_id="reused")
        scene.work_off()
    scene.plain.enqueue(booking.load, job_id="scheduled")
    scene.work_off()
    scene.plain.enqueue_job(Job.fetch("scheduled", connection=scene.redis))
    scene.work_off()
    store = open_store(scene.store_url, read_only=True)
    found = {
        name: [hit.trace_id for hit in store.search(Search(trace_prefix=f"{name}-"))]
        for name in ("reused", "scheduled")
    }
    store.close()
    assert {name: len(traces) for name, traces in found.items()} == {"reused": 2, "scheduled": 1}
    assert phases(scene.events(found["scheduled"][0]), "scheduled") == ["started", "completed"] * 2
