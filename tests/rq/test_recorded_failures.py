"""The events of a real worker for failures that are hard to record, and with settings of every kind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import odd_jobs
import pytest
from redis import Redis
from rq import Callback, Queue

from sagatrace import TraceContext, TraceEvent, Tracer, open_store, trace_meta
from sagatrace.error_text import MAX_ERROR
from sagatrace.rq.queue import TracedQueue
from sagatrace.rq.shared_page import SharedPage
from sagatrace.stores.codec import document_of
from sagatrace_tui.demo.workers import worker_command, worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace

Run = Callable[..., tuple[list[TraceEvent], str]]
META = trace_meta(TraceContext("T"))


@pytest.fixture
def run(redis_server: str, tmp_path: Path) -> Run:
    """Return a function that runs the jobs of the queue `odd`, and returns the events of trace T and the log."""

    def work(**settings: str) -> tuple[list[TraceEvent], str]:
        url = f"sqlite:///{tmp_path}/traces.db"
        command = worker_command(redis_server, "--burst", "--path", str(Path(__file__).parent), "odd")
        environment = worker_environment(url) | {"PYTHONPATH": str(Path(__file__).parent)} | settings
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
        store = open_store(url)
        found = sorted(store.fetch_trace("T").events, key=lambda event: (event.micros, event.id))
        store.close()
        return found, done.stderr

    return work


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return Queue("odd", connection=redis)


def test_an_error_that_rq_cannot_store_is_recorded_unchanged(queue: Queue, run: Run) -> None:
    """RQ's work-horse ends because of it. Its worker has only that fact, and the note of the work-horse."""
    job = queue.enqueue(odd_jobs.fails_with_half_a_pair, meta=META)
    events, _ = run()
    assert job.get_status(refresh=True) == "failed"
    (end,) = [event for event in events if event.event_type == "job:failed"]
    assert (end.data["error"], end.data["error_type"]) == ("half \\ud800 a pair", "ValueError")
    assert "fails_with_half_a_pair" in end.data["stack"]


def test_the_longest_error_that_rq_cannot_store_is_recorded_unchanged(queue: Queue, run: Run) -> None:
    queue.enqueue(odd_jobs.fails_with_an_epic, meta=META)
    events, _ = run()
    assert (events[-1].event_type, events[-1].data["error_type"]) == ("job:failed", "ValueError")
    assert events[-1].data["error"].startswith("\x01" * MAX_ERROR)


class TornMemory(bytearray):
    """Memory to which a process writes that is killed in the middle of a long text."""

    def __setitem__(self, place: Any, value: Any) -> None:
        half = slice(place.start, place.start + len(value) // 2)
        super().__setitem__(*((half, value[: len(value) // 2]) if len(value) > 5 else (place, value)))
        if len(value) > 5:
            raise SystemExit("killed")


@pytest.mark.parametrize("before", [b"", b'{"lost":{},"faults":{},"error":null}'])
def test_a_note_that_was_not_finished_is_none(monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    """With it the worker could not record the end of the job."""
    page = SharedPage()
    memory = TornMemory(len(before).to_bytes(4).rjust(5, b"\0") + before.ljust(200))
    monkeypatch.setattr(page, "_page", memory)
    with pytest.raises(SystemExit):
        page.write({"lost": {"event lost: OSError 28": 3}, "faults": {}, "error": None})
    assert page.read() == {}


@pytest.mark.parametrize(
    ("function", "callbacks", "error_type", "reason"),
    [
        (odd_jobs.succeeds, "on_success", "LookupError", "the on_success callback failed; the function had succeeded"),
        (odd_jobs.fails, "on_failure", "LookupError", "the on_failure callback failed; the function had failed before"),
        (odd_jobs.fails, "on_success", "ValueError", None),
    ],
)
def test_the_failure_of_a_callback_is_named_as_such(
    queue: Queue, run: Run, function: Callable[[], object], callbacks: str, error_type: str, reason: str | None
) -> None:
    meta = trace_meta("T", compensation="undo")
    queue.enqueue(function, meta=meta, **{callbacks: Callback(odd_jobs.callback_that_fails)})
    events, _ = run()
    (end,) = [event for event in events if event.event_type == "job:failed"]
    assert (end.data["error_type"], end.data.get("reason")) == (error_type, reason)
    took_effect = error_type == "LookupError" and callbacks == "on_success"
    trace = build_trace("T", events, now=wall_clock())
    assert trace.verdict == ("rollback_missing" if took_effect else "failed")
    assert [one.certain for one in trace.still_standing] == [True] * took_effect


def test_a_callback_of_an_inner_job_is_not_a_callback_of_the_job(queue: Queue, run: Run) -> None:
    job = queue.enqueue(odd_jobs.fails_by_a_callback_inside, meta=META)
    events, _ = run()
    (end,) = [event for event in events if event.event_type == "job:failed" and event.span_id == job.id]
    assert (end.data["error_type"], "reason" in end.data) == ("LookupError", False)


def test_an_error_that_hides_its_traceback_is_recorded(queue: Queue, run: Run) -> None:
    job = queue.enqueue(odd_jobs.hides_its_traceback, meta=META)
    events, _ = run()
    assert job.get_status(refresh=True) == "failed"
    (end,) = [event for event in events if event.event_type == "job:failed"]
    assert (end.data["error"], end.data["error_type"]) == ("no luck", "HidingError")


def test_a_redaction_of_the_environment_sees_the_data_of_every_tracer(
    redis: Redis, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The producer's queue, the worker, and the tracer of the job."""
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    monkeypatch.setenv("SAGATRACE_REDACT", "odd_jobs:mask_cards")
    producer = type("Producer", (TracedQueue,), {"tracer": Tracer()})("odd", connection=redis)
    producer.enqueue(odd_jobs.pays_with_a_card, meta=META)
    events, log = run(SAGATRACE_REDACT="odd_jobs:mask_cards")
    assert [event.event_type for event in events] == [
        "job:enqueued",
        "job:started",
        "step:pay:started",
        "step:pay:failed",
        "job:failed",
    ]
    assert "4111 1111" not in str([document_of(event) for event in events])
    assert events[2].data["card"] == "****"
    assert events[2].data["compensation"] == "refund"
    assert events[-1].data["error"] == "card **** was refused"
    assert "4111 1111" not in "".join(line for line in log.splitlines() if "sagatrace" in line)


@pytest.mark.parametrize("redact", ["odd_jobs:nothing", "no_such_module:f", "nonsense"])
def test_a_missing_redaction_withholds_all_data(queue: Queue, run: Run, redact: str) -> None:
    queue.enqueue(odd_jobs.pays_with_a_card, meta=META)
    events, log = run(SAGATRACE_REDACT=redact)
    assert "4111 1111" not in str([document_of(event) for event in events])
    (step,) = [event for event in events if event.event_type == "step:pay:failed"]
    assert step.data == {"redaction_failed": "SettingsError", "error_type": "ValueError"}
    assert f"SAGATRACE_REDACT={redact!r} is not package.module:function" in log


def test_a_wrong_setting_is_one_log_line_for_each_cause(queue: Queue, run: Run) -> None:
    job = queue.enqueue(odd_jobs.succeeds, meta=META)
    _, log = run(SAGATRACE_MAX_WAIT="soon")
    assert job.get_status(refresh=True) == "finished"
    assert "Traceback" not in log
    lines = [line for line in log.splitlines() if "sagatrace:" in line]
    assert all("SAGATRACE_MAX_WAIT='soon' is not a number of seconds" in line for line in lines)
    assert 1 <= len(lines) <= 2


def test_nothing_is_recorded_or_started_with_recording_off(
    queue: Queue, redis_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue.enqueue(odd_jobs.succeeds, meta=META)
    command = worker_command(redis_server, "--burst", "--path", str(Path(__file__).parent), "odd")
    environment = worker_environment("off") | {"HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_STATE_HOME": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert job.get_status(refresh=True) == "finished"
    assert [line for line in done.stderr.splitlines() if "sagatrace" in line and "rq.worker" not in line] == []
    assert list(tmp_path.rglob("*sagatrace*")) == []
