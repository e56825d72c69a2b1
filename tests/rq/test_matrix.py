"""The matrix of jobs: each row of `matrix` on real workers. Its events are compared with what happened.

Both ends of the supported versions of RQ: the one installed, and the newest 2.x, fetched once into pytest's cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sagatrace import TraceEvent, open_store
from sagatrace.phases import CLOSING_PHASES, split_event_type
from sagatrace_tui.demo.workers import worker_environment
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace
from servers import TcpRedis

HERE = Path(__file__).parent
WAITS = {"enqueued", "scheduled", "deferred"}


@dataclass
class Matrix:
    """The reports of the rows, and the events in the store."""

    rq: str
    rows: list[dict[str, Any]]
    events: dict[str, list[TraceEvent]] = field(default_factory=dict)


@pytest.fixture(
    scope="module", params=[pytest.param(rq, marks=pytest.mark.xdist_group(f"matrix-{rq}")) for rq in ("rq3", "rq2")]
)
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """All rows, run by one version of RQ."""
    path = [str(HERE), str(HERE.parent)]
    if request.param == "rq2":
        path.insert(0, str(request.getfixturevalue("newest_rq2")))
    directory = tmp_path_factory.mktemp(request.param)
    store = f"sqlite:///{directory}/traces.db"
    environment = worker_environment(store) | {"PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore"}
    with TcpRedis() as server, TcpRedis() as doomed:
        arguments = [server.url, doomed.url, str(doomed.process.pid), str(directory), str(directory / "report.json")]
        command = [sys.executable, str(HERE / "matrix.py"), *arguments]
        subprocess.run(command, env=environment, check=True, timeout=550)
    report = json.loads((directory / "report.json").read_text())
    found = Matrix(report["rq"], report["rows"])
    opened = open_store(store, read_only=True)
    for row in found.rows:
        found.events[row["row"]] = list(opened.fetch_trace(row["trace"]).events)
    opened.close()
    assert found.rq.startswith(request.param[-1])
    return found


def summary_of(events: list[TraceEvent], job_id: str) -> dict[str, Any]:
    """Return the events of one job in the form in which its row expects them."""
    own = sorted((event for event in events if event.span_id == job_id), key=lambda event: (event.micros, event.id))
    phases = [(event, split_event_type(event.event_type)[1] or "") for event in own]
    ends = [(event, phase) for event, phase in phases if phase in CLOSING_PHASES or phase == "retrying"]
    return {
        "ends": [phase + "?" * (event.data.get("presumed") is True) for event, phase in ends],
        "starts": sum(phase == "started" for _, phase in phases),
        "waits": [phase for _, phase in phases if phase in WAITS],
    }


def test_the_events_of_each_job_are_the_expected_ones(matrix: Matrix) -> None:
    wrong = [f"{row['row']}: {row['fault']}" for row in matrix.rows if row["fault"]]
    for row in matrix.rows:
        for job_id, happened in row["jobs"].items():
            expected = {name: happened[name] for name in ("ends", "starts", "waits")}
            if (found := summary_of(matrix.events[row["row"]], job_id)) != expected:
                status = happened.get("status")
                wrong.append(f"{row['row']}: {job_id}: recorded {found}, expected {expected}; RQ: {status}")
            if happened.get("ran") != happened["runs"]:
                wrong.append(f"{row['row']}: {job_id}: ran {happened.get('ran')} times, not {happened['runs']}")
    print("\n".join(f"{row['row']:28} {row['seconds']:6.1f} s {len(row['jobs']):3} jobs" for row in matrix.rows))
    assert not wrong, "\n".join(wrong)


def test_each_attempt_has_exactly_one_end(matrix: Matrix) -> None:
    for name, events in matrix.events.items():
        ids = [event.id for event in events]
        assert len(ids) == len(set(ids)), name
        starts = {event_id.removesuffix(":start") for event_id in ids if event_id.endswith(":start")}
        ends = {event_id.removesuffix(":end") for event_id in ids if event_id.endswith(":end")}
        assert starts == ends, name
        assert starts or name in ("none/never-taken", "fork/stuck"), name


def test_a_step_names_its_execution(matrix: Matrix) -> None:
    """In all workers, except the work-horses that RQ 2 spawns: they run no hook of ours."""
    found = 0
    unhooked = "spawn" if matrix.rq.startswith("2") else "none of them"
    hooked = {name: events for name, events in matrix.events.items() if not name.startswith(unhooked)}
    for name, events in hooked.items():
        for step in [event for event in events if event.event_type == "stage:step:started"]:
            attempts = [event for event in events if event.span_id == step.parent_span_id and event.id[-6:] == ":start"]
            (own,) = [event for event in attempts if event.id == f"{step.data.get('execution')}:start"]
            ends = [event for event in events if event.span_id == step.span_id and event is not step]
            assert [own.id, step.id] == [event.id for event in sorted([own, step], key=lambda event: event.micros)], (
                name
            )
            assert ["execution" in event.data for event in ends] == [False], name
            found += 1
    assert found == 2 * sum(name.endswith("everyday") for name in hooked)


def test_an_attempt_ends_before_the_next_begins(matrix: Matrix) -> None:
    """Also by the times of the events. Another worker may begin before the first one has written the end."""
    for name, events in matrix.events.items():
        for job_id in {event.span_id for event in events if event.id.endswith(":start")}:
            own = sorted((event for event in events if event.span_id == job_id), key=lambda e: (e.micros, e.id))
            ids = [event.id for event in own if event.id.endswith((":start", ":end"))]
            assert ids == [f"{start[:-6]}{what}" for start in ids[::2] for what in (":start", ":end")], (name, job_id)


def test_the_outcome_is_the_same_as_in_rq(matrix: Matrix) -> None:
    """Except for a dead execution that RQ still considers running."""
    outcomes = {"finished": "success", "failed": "failed", "stopped": "stopped", "canceled": "canceled"}
    for row in matrix.rows:
        trace = build_trace(row["trace"], matrix.events[row["row"]], now=wall_clock())
        for job_id, happened in row["jobs"].items():
            if happened["status"] in outcomes and happened["ends"] and "canceled" not in happened["status"]:
                last_run = trace.spans[trace.runs_of(job_id)[-1]]
                assert last_run.status == outcomes[happened["status"]], (row["row"], job_id, happened)


def test_callbacks_and_user_hooks_still_run(matrix: Matrix) -> None:
    calls = [call for row in matrix.rows for job in row["jobs"].values() for call in job["called"]]
    assert calls.count("on_success") == 3
    assert calls.count("on_failure") == 3
    assert calls.count("on_stopped") == 2
    assert calls.count("own_worker") == 3


def test_events_name_the_host_the_queue_and_the_reason(matrix: Matrix) -> None:
    by_row = {row["row"]: matrix.events[row["row"]] for row in matrix.rows}
    ends = [event for event in by_row["fork/everyday"] if event.id.endswith(":end")]
    assert all({"job_id", "host", "attempt"} <= event.data.keys() for event in ends)
    assert "timeout" in {event.data.get("reason") for event in ends}
    assert any("signal 9" in str(event.data.get("reason")) for event in ends)
    (deaf,) = [event for event in by_row["fork/deaf-to-the-alarm"] if event.id.endswith(":end")]
    assert "60 s after" in deaf.data["reason"]
    (retrying,) = [event for event in by_row["fork/scheduled"] if event.event_type == "job:retrying"]
    assert (retrying.data["attempt"], retrying.data["attempts_allowed"]) == (1, 2)
    assert retrying.data["next_at"] > retrying.timestamp
    failures = [event for event in by_row["fork/handlers"] if event.event_type in ("job:failed", "job:abandoned")]
    assert {event.data["error"] for event in failures} == {"no luck"}
    deferred = [event for event in by_row["fork/everyday"] if event.event_type == "job:deferred"]
    assert all(event.data["depends_on"] for event in deferred)
