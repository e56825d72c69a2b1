"""A worker delivers its events through the outbox, and no store can delay it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import traced_jobs
from redis import Redis
from rq import Queue

from faults import shippers, stored
from sagatrace import TraceContext, Tracer, trace_meta
from sagatrace.destination import SERVED, outbox_directory
from sagatrace.outbox import Outbox
from sagatrace.rq import SimpleWorker, redis_url
from sagatrace.settings import Settings
from sagatrace.shipper.status import describe_outbox
from sagatrace_tui.demo.workers import worker_command, worker_environment

Until = Callable[..., Any]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Path]:
    """Return the outbox of a worker that writes to traces.db, and require that all its processes have ended."""
    outbox = tmp_path / "traces.db-outbox"
    yield outbox
    left = shippers(outbox)
    for process in left:
        process.kill()
    assert left == []


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return Queue("outbox", connection=redis)


def count_stored(database: Path, trace_id: str) -> int:
    return sum(found == trace_id for found, _ in stored(database))


def test_a_burst_worker_ends_when_its_events_are_in_the_store(
    queue: Queue, redis_server: str, work_off: Callable[..., str], tmp_path: Path, outbox: Path
) -> None:
    for number in range(20):
        queue.enqueue(traced_jobs.succeeds, number, meta=trace_meta(TraceContext("T")))
    work_off(redis_server, f"sqlite:///{tmp_path}/traces.db", "outbox", path=Path(__file__).parent)
    assert count_stored(tmp_path / "traces.db", "T") == 80
    assert shippers(outbox) == []
    assert sorted(path.name for path in outbox.iterdir()) == ["shipper.lock", "shipper.log", "users.lock"]


def test_a_store_that_is_down_delays_no_job_and_the_worker_s_end_only_briefly(
    queue: Queue, redis_server: str, tmp_path: Path
) -> None:
    """With direct writes each job would wait for the store. The end of the worker waits once, for a limited time."""
    jobs = [queue.enqueue(traced_jobs.succeeds, number, meta=trace_meta(TraceContext("T"))) for number in range(5)]
    outbox = tmp_path / "outbox"
    database = tmp_path / "traces.db"
    database.mkdir()  # no store can be created there
    command = worker_command(redis_server, "--burst", "--path", str(Path(__file__).parent), "outbox")
    settings = {"SAGATRACE_OUTBOX": str(outbox), "SAGATRACE_MAX_WAIT": "1"}
    environment = worker_environment(f"sqlite:///{database}") | settings
    directory = outbox_directory(Settings.from_env(environment))
    assert directory is not None
    worker = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=True)
    assert [job.get_status(refresh=True).value for job in jobs] == ["finished"] * 5
    assert b"events still wait in" in worker.stderr
    assert describe_outbox(directory).size > 0
    (lingering,) = shippers(directory)
    lingering.terminate()
    psutil.wait_procs([lingering], timeout=120)
    database.rmdir()
    subprocess.run(command, env=environment, capture_output=True, timeout=300, check=True)
    assert count_stored(database, "T") == 20


def test_a_worker_killed_with_its_horse_leaves_a_shipper_that_delivers(
    queue: Queue, redis_server: str, tmp_path: Path, outbox: Path, until: Until
) -> None:
    queue.enqueue(traced_jobs.emits_for_ever, meta=trace_meta(TraceContext("T")))
    command = worker_command(redis_server, "--path", str(Path(__file__).parent), "outbox")
    environment = worker_environment(f"sqlite:///{tmp_path}/traces.db")
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as worker:
        until(lambda: count_stored(tmp_path / "traces.db", "T") > 10, "some events")
        horses = [process for process in psutil.Process(worker.pid).children() if process not in shippers(outbox)]
        os.kill(worker.pid, signal.SIGKILL)
        for horse in horses:
            horse.kill()
    until(lambda: not shippers(outbox), "the end of the shipper")
    assert describe_outbox(outbox).segments == 0


def test_a_program_of_a_job_with_another_store_writes_to_that_store(
    queue: Queue, redis_server: str, work_off: Callable[..., str], tmp_path: Path
) -> None:
    """It inherits the worker's environment, but nothing delivers an outbox of its store."""
    queue.enqueue(traced_jobs.records_elsewhere, f"sqlite:///{tmp_path}/other.db")
    work_off(redis_server, f"sqlite:///{tmp_path}/traces.db", "outbox", path=Path(__file__).parent)
    assert count_stored(tmp_path / "other.db", "T") == 1


def test_a_job_without_free_descriptors_keeps_its_exception_and_undoes_its_steps(
    queue: Queue, redis_server: str, work_off: Callable[..., str], tmp_path: Path
) -> None:
    """No file can be opened then: neither the outbox nor a module."""
    job = queue.enqueue(traced_jobs.uses_all_descriptors, f"{tmp_path}/undone")
    said = work_off(redis_server, f"sqlite:///{tmp_path}/traces.db", "outbox", path=Path(__file__).parent)
    result = job.latest_result()
    assert result is not None
    assert str(result.exc_string).endswith("OSError: [Errno 24] Too many open files\n")
    assert (tmp_path / "undone").exists()
    assert "sagatrace: event lost: OSError: [Errno 24]" in said
    assert {"start", "end"} <= {event_id.rpartition(":")[2] for _, event_id in stored(tmp_path / "traces.db")}


def test_the_end_names_a_job_whose_start_was_refused(queue: Queue, tmp_path: Path) -> None:
    """A full outbox still takes ends."""
    tracer = Tracer(Outbox(tmp_path / "outbox", max_bytes=20_000))
    while tracer.emit("filling", "F", data={"text": "x" * 1000}):
        pass
    worker_class: type[SimpleWorker] = type("Own", (SimpleWorker,), {"tracer": tracer})
    queue.enqueue(traced_jobs.succeeds, 1, meta=trace_meta(TraceContext("T")))
    worker_class([queue], connection=queue.connection).work(burst=True)
    lines = (tmp_path / "outbox" / "events.jsonl").read_bytes().split()
    ends = [event for event in (json.loads(line)["event"] for line in lines) if event["event_type"] == "job:completed"]
    assert [event["data"]["job_name"] for event in ends] == ["traced_jobs.succeeds"]


def test_a_worker_that_cannot_start_a_shipper_leaves_its_jobs_without_an_outbox(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    monkeypatch.delenv(SERVED, raising=False)
    monkeypatch.setattr(redis_url, "url_of_redis", None)
    SimpleWorker(["empty"], connection=redis).work(burst=True)
    assert SERVED not in os.environ


def test_a_tracer_that_a_job_opened_does_not_write_to_the_outbox_after_its_worker(
    queue: Queue, tmp_path: Path, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's shipper has ended, so the events would wait there."""
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    monkeypatch.setattr(traced_jobs, "tracer", Tracer())
    its_own = Tracer()
    its_own.emit("ai:decision", "before")
    queue.enqueue(traced_jobs.succeeds, 1, meta=trace_meta(TraceContext("T")))
    worker_class: type[SimpleWorker] = type("Own", (SimpleWorker,), {"tracer": its_own})
    worker_class([queue], connection=queue.connection).work(burst=True)
    assert isinstance(its_own.destination.opened, Outbox)
    assert traced_jobs.tracer.emit("ai:decision", "after") is not None
    traced_jobs.tracer.close()
    assert [count_stored(tmp_path / "traces.db", trace_id) for trace_id in ("before", "T", "after")] == [1, 4, 1]


@pytest.mark.parametrize("store", ["off", "sqlite:///{}/traces.db"])
@pytest.mark.parametrize("before", ["", "of-another"])
def test_a_worker_restores_the_environment_of_its_process(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, before: str
) -> None:
    """A tracer that is made later writes to an outbox with a shipper."""
    monkeypatch.setenv("SAGATRACE_STORE", store.format(tmp_path))
    monkeypatch.setenv(SERVED, before)
    SimpleWorker(["empty"], connection=redis).work(burst=True)
    assert os.environ[SERVED] == before
