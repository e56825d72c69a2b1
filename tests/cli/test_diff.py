"""`sagatrace diff`: its text, its JSON, its exit statuses, and inert values of jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sagas import approved, event, failed, many_alike, orphaned, recent, running
from sagatrace.event import TraceEvent
from sagatrace.stores import open_store
from sagatrace_tui.cli import main

Diff = Callable[..., Result]
NASTY = "\x1b]52;c;ZXZpbA==\x07\x9b31m\u202egnp.exe\u200b\n\r\t[red]x[/red]"


@pytest.fixture
def diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diff:
    url = f"sqlite:///{tmp_path}/traces.db"
    monkeypatch.setenv("SAGATRACE_STORE", url)

    def run(events: Iterable[TraceEvent], *arguments: str) -> Result:
        store = open_store(url)
        store.append(events)
        store.close()
        return CliRunner().invoke(main, ["diff", *arguments])

    return run


def test_a_failed_trace_beside_its_last_good_run(diff: Diff) -> None:
    done = diff([*approved("L1", 0), *failed("L2", 30)], "L2")
    assert (done.exit_code, done.stderr) == (0, "")
    saga, error = "workflow:loan-approval", "InsufficientFunds: balance 1200 < 25000"
    assert done.stdout.splitlines() == [
        f"this trace  ⚠ rollback incomplete · L2 · {saga} · took 4.50s · 7 spans · started 2025-12-22 10:00:30Z",
        f"good run    ✔ succeeded · L1 · {saga} · took 4.00s · 7 spans · started 2025-12-22 10:00:00Z",
        "",
        f"outcome   stage:funding → transfer_funds: failed after 300ms: {error} · there success in 100ms",
        "missing   stage:payout: there success in 300ms",
        "attempts  stage:credit → reserve_credit: 2 attempts · there 1 attempt",
        "",
        "undo failed here: stage:credit",
        "would have run next: stage:payout",
    ]


def test_the_time_of_a_running_trace_lasts_until_now(diff: Diff) -> None:
    here = diff([*approved("L1", 0), *recent(running("L2"), 300)], "L2", "L1").stdout.splitlines()[0]
    assert " ▶ running · L2 · workflow:loan-approval · running for 5m0" in here


def test_a_chosen_trace_and_the_same_one(diff: Diff) -> None:
    done = diff([*approved("L1", 0), *approved("L2", 30)], "L1", "L2")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].startswith("other       ✔ succeeded · L2")
    assert done.stdout.splitlines()[3:] == ["No difference in 7 steps."]


def test_the_json_is_the_same_comparison(diff: Diff) -> None:
    done = diff([*approved("L1", 0), *failed("L2", 30)], "L2", "--json")
    answer = json.loads(done.stdout)
    assert (answer["here"]["trace_id"], answer["there"]["trace_id"]) == ("L2", "L1")
    assert [(one["kind"], one["name"]) for one in answer["differences"]] == [
        ("outcome", "transfer_funds"),
        ("missing", "stage:payout"),
        ("attempts", "reserve_credit"),
    ]


def test_many_of_one_kind_are_cut_and_counted(diff: Diff) -> None:
    steps = [
        event("new", f"s{n}", f"stage:s{n}:{phase}", n, "wf") for n in range(30) for phase in ("started", "completed")
    ]
    done = diff([*many_alike("old", 0), *many_alike("new", 0), *steps], "new", "old")
    lines = [line for line in done.stdout.splitlines() if line.startswith("new ")]
    assert len(lines) == 21
    assert lines[-1] == "new       and 10 more (--json has them all)"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("O",), 1, "sagatrace: no succeeded run of workflow:import in this store: name the trace to compare with"),
        (("nope",), 7, "no trace 'nope' in"),
        (("O", "nope"), 7, "no trace 'nope' in"),
        ((), 2, "Missing argument 'TRACE_ID'"),
    ],
)
def test_each_fault_is_its_line_and_its_exit_status(
    diff: Diff, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = diff([*orphaned("O"), event("O", "wf", "workflow:import:failed", 9)], *arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert said in done.stderr


def test_values_of_jobs_are_inert(diff: Diff) -> None:
    def nasty(trace_id: str, phase: str) -> list[TraceEvent]:
        data = {"error": NASTY, "error_type": NASTY} if phase == "failed" else {}
        step = event(trace_id, "s", f"{NASTY}:{phase}", 1, "wf", data={**data, "job_name": NASTY}, id=f"{trace_id[0]}s")
        undo = {"original_span_id": "s"}
        return [
            event(trace_id, "wf", f"workflow:{NASTY}:started", 0, id=f"{trace_id[0]}a"),
            step,
            event(trace_id, "n", f"{NASTY}-{phase}:completed", 2, "wf", id=f"{trace_id[0]}n"),
            event(trace_id, "u", f"{NASTY}:compensating", 3, "wf", data=undo, id=f"{trace_id[0]}u"),
            event(trace_id, "wf", f"workflow:{NASTY}:{phase}", 4, id=f"{trace_id[0]}z"),
        ]

    bad, good = f"B{NASTY}", f"G{NASTY}"
    done = diff([*nasty(bad, "failed"), *nasty(good, "completed")], bad, good)
    assert done.exit_code == 0
    assert "gnp.exe" in done.stdout
    assert not set(done.output) & set("\x1b\x9b\x07\r\t\x00\u202e\u200b")
    as_json = diff([], bad, good, "--json")
    assert as_json.stdout.isascii()
    assert not set(as_json.stdout) & set("\x1b\x07\r\t\x00")
