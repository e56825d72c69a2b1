"""A saga whose process ends early: its open spans name the execution, and the end of the execution is stored."""

from __future__ import annotations

import threading
from typing import Any

import booking
import pytest
from jobs_on_workers import Scenes, phases
from redis import Redis
from rq import Queue, SimpleWorker

from sagatrace import TraceContext, TraceEvent, Tracer
from sagatrace.context import Execution, current_execution, enter_execution
from sagatrace.rq import SimpleWorker as TracedWorker
from sagatrace.rq.queue import TracedQueue
from sagatrace.stores.memory import MemoryStore

FORK, SPAWN, SIMPLE = (f"sagatrace.rq.{kind}" for kind in ("Worker", "SpawnWorker", "SimpleWorker"))
ENDINGS = [
    ("killed", FORK, "failed", "killed by signal 9"),
    ("killed", SPAWN, "failed", "killed by signal 9"),
    ("killed from outside", FORK, "failed", "killed by signal 9"),
    ("killed in a thread", FORK, "failed", "killed by signal 9"),
    ("left", FORK, "abandoned?", "RQ still holds it for running"),
    ("stopped", FORK, "stopped", "Job stopped by user"),
    ("stopped", SPAWN, "stopped", "Job stopped by user"),
    ("deaf to the timeout", FORK, "failed", "killed 60 s after the job's timeout"),
    ("shut down cold", FORK, "abandoned?", "the worker ended by SystemExit"),
    ("abandoned", FORK, "abandoned?", "the worker was lost"),
    ("abandoned", SIMPLE, "abandoned?", "the worker was lost"),
    ("cleaned up elsewhere", FORK, "failed?", "RQ holds the job as failed"),
]


def by_name(events: list[TraceEvent], name: str) -> list[TraceEvent]:
    return [event for event in events if event.event_type.startswith(f"{name}:")]


@pytest.mark.parametrize(("scene", "kind", "phase", "reason"), ENDINGS)
def test_open_spans_name_the_execution_whose_end_is_stored(
    scenes: Scenes, scene: str, kind: str, phase: str, reason: str
) -> None:
    events, job = scenes.play(scene, kind)
    assert phases(events, job.id) == ["started", phase]
    started, ended = [event for event in events if event.span_id == job.id]
    execution = started.id.removesuffix(":start")
    assert ended.id == f"{execution}:end"
    assert reason in ended.data["reason"]
    names = ["saga:booking", "step:flight", "step:hotel", *(["step:car"] if "thread" in scene else [])]
    opened = [by_name(events, name) for name in names]
    assert [found[0].data["execution"] for found in opened] == [execution] * len(names)
    assert [len(found) for found in opened] == [1, 2, 1, 1][: len(names)]
    assert "execution" not in opened[1][1].data


def test_a_timeout_that_reaches_the_job_closes_its_open_spans(scenes: Scenes) -> None:
    events, job = scenes.play("timed out")
    assert phases(events, job.id) == ["started", "failed"]
    assert events[-1].data["reason"] == "timeout"
    hotel = by_name(events, "step:hotel")
    assert [event.event_type for event in hotel] == ["step:hotel:started", "step:hotel:failed"]
    assert hotel[1].data["error_type"] == "JobTimeoutException"


def test_each_attempt_has_an_execution_of_its_own(scenes: Scenes) -> None:
    events, job = scenes.play("killed once")
    assert phases(events, job.id) == ["started", "retrying", "started", "completed"]
    executions = [event.id.removesuffix(":start") for event in events if event.id.endswith(":start")]
    assert len(set(executions)) == 2
    sagas = [event for event in by_name(events, "saga:booking") if event.event_type.endswith("started")]
    assert [saga.data["execution"] for saga in sagas] == executions
    assert [event.id for event in events if event.id.endswith(":end")] == [f"{one}:end" for one in executions]


def test_outside_of_a_job_there_is_no_execution(redis: Redis) -> None:
    store = MemoryStore()
    tracer = Tracer(store)
    with tracer.span("before", TraceContext("T")):
        pass
    now = TracedQueue("sync", is_async=False, connection=redis)
    job = now.enqueue(booking._executing)
    assert (job.get_status(), job.return_value()) == ("finished", None)
    assert ["execution" in event.data for event in store.fetch_trace("T").events] == [False, False]


def test_a_job_inside_a_job_runs_in_the_outer_one_s_execution(redis: Redis) -> None:
    store = MemoryStore()
    worker_class: type[TracedWorker] = type("StoredWorker", (TracedWorker,), {"tracer": Tracer(store)})
    queue = Queue("outer", connection=redis)
    job = queue.enqueue(booking.names_its_execution, "inner", meta={"sagatrace": {"trace_id": "T"}})
    worker_class([queue], connection=redis).work(burst=True)
    (started,) = [event for event in store.fetch_trace("T").events if event.id.endswith(":start")]
    assert job.return_value(refresh=True) == [started.id.removesuffix(":start")] * 3
    assert current_execution() == Execution()


def test_after_a_worker_inside_a_job_the_job_has_its_own_execution_again(redis: Redis) -> None:
    queue = Queue("own", connection=redis)
    job = queue.enqueue(booking.works_off_inside)
    booking.Silent([queue], connection=redis).work(burst=True)
    before, inside, after = job.return_value(refresh=True) or []
    assert None not in (before, inside)
    assert before == after != inside
    assert current_execution() == Execution()


def test_a_spawned_horse_of_rq_2_names_its_execution_and_the_programs_it_starts_do_not(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work-horse is a plain worker with the id in its environment. Programs inherit it, and may run longer."""
    monkeypatch.setenv("RQ_EXECUTION_ID", "X")
    monkeypatch.setenv("RQ_WORKER_ID", "the-spawning-one")
    assert current_execution() == Execution()
    queue = Queue("own", connection=redis)
    job = queue.enqueue(booking._executing)
    SimpleWorker([queue], connection=redis, name="another").work(burst=True)
    assert (job.get_status(), job.return_value(refresh=True)) == ("finished", None)
    job = queue.enqueue(booking._executing)
    SimpleWorker([queue], connection=redis, name="the-spawning-one").work(burst=True)
    assert job.return_value(refresh=True) == "X"


@pytest.fixture
def execution() -> Any:
    enter_execution(Execution("X"))
    yield "X"
    enter_execution(Execution())


async def test_every_start_of_a_span_names_the_execution_and_no_other_event_does(execution: str) -> None:
    store = MemoryStore()
    tracer, top = Tracer(store), TraceContext("T")
    with tracer.span("a", top, data={"n": 1}, compensation="undo") as step:
        step.record(m=2)
    async with tracer.span("b", top):
        tracer.emit("ai:decision", top, data={"n": 1})
    with pytest.raises(OSError, match="no"), tracer.compensation(original=step, parent=top):
        raise OSError("no")

    def branch() -> None:
        with tracer.span("c", top):
            pass

    thread = threading.Thread(target=branch)
    thread.start()
    thread.join()
    found = {event.event_type: event.data.get("execution") for event in store.fetch_trace("T").events}
    assert found == {
        "a:started": "X",
        "a:completed": None,
        "b:started": "X",
        "b:completed": None,
        "ai:decision": None,
        "undo:compensating": "X",
        "undo:compensation_failed": None,
        "c:started": "X",
        "c:completed": None,
    }


@pytest.mark.parametrize(
    "redact",
    [
        lambda _type, data: dict.fromkeys(data, "***"),
        lambda _type, _data: {"execution": "Y", "compensation": "Z", "original_span_id": "W"},
        lambda _type, _data: {},
        lambda _type, _data: None,
        lambda _type, _data: 1 / 0,
    ],
)
def test_no_redaction_sees_or_changes_the_relations_of_spans(execution: str, redact: Any) -> None:
    store, seen = MemoryStore(), []

    def noting(event_type: str, data: dict[str, Any]) -> Any:
        seen.extend(data)
        return redact(event_type, data)

    tracer, top = Tracer(store, redact=noting), TraceContext("T")
    with tracer.span("a", top, data={"iban": "DE00"}, compensation="undo") as step:
        pass
    with tracer.compensation(original=step, parent=top):
        pass
    opened = {event.event_type: event.data for event in store.fetch_trace("T").events}
    assert opened["a:started"]["execution"] == opened["undo:compensating"]["execution"] == "X"
    assert opened["a:started"]["compensation"] == "undo"
    assert opened["undo:compensating"]["original_span_id"] == step.span_id
    assert "DE00" not in str(opened)
    assert set(seen) == {"iban"}
