"""The loan saga on real workers: each scenario has its expected end and trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis
from rq.job import Job, JobStatus

from sagatrace.stores import open_store
from sagatrace_tui.cli import main
from sagatrace_tui.demo.loan_saga import SAGAS, SCENARIOS, STEPS, Loan, LoanError, Scenario, approve_loan, submit
from sagatrace_tui.demo.workers import WorkerGroup
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Span, Trace, build_trace

pytestmark = pytest.mark.xdist_group("loans")  # one process, as they share what takes long to set up

Traces = dict[Scenario, Trace]
Outcomes = dict[Scenario, tuple[JobStatus, str]]


@pytest.fixture(scope="module")
def ran(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory, until: Callable[..., Any]
) -> Iterator[tuple[Traces, Outcomes]]:
    """Run every scenario once, all at the same time. Return each trace and RQ's status of its root job."""
    directory: Path = tmp_path_factory.mktemp("loans")
    store = open_store(f"sqlite:///{directory}/traces.db")

    def finished() -> Traces | None:
        events = {scenario: store.fetch_trace(f"loan-{scenario}").events for scenario in SCENARIOS}
        traces: Traces = {
            scenario: build_trace(f"loan-{scenario}", events[scenario], now=wall_clock()) for scenario in SCENARIOS
        }
        return None if any(trace.status in ("running", "unknown") for trace in traces.values()) else traces

    workers = WorkerGroup(redis_server, f"sqlite:///{directory}/traces.db", directory)
    with Redis.from_url(redis_server) as connection:
        connection.flushall()
        try:
            for number, queue in enumerate((SAGAS, SAGAS, SAGAS, STEPS, STEPS, STEPS)):
                workers.start(f"{queue}-{number}", queue)
            jobs = {scenario: submit(Loan(scenario, 5_000, scenario), connection) for scenario in SCENARIOS}
            traces = until(finished, "every saga at its end")
            assert workers.fault() is None
            outcomes: Outcomes = {scenario: _outcome(jobs[scenario]) for scenario in SCENARIOS}
            yield traces, outcomes
        finally:
            workers.stop()
            store.close()


def _outcome(job: Job) -> tuple[JobStatus, str]:
    result = job.latest_result()
    return job.get_status(), (result.exc_string if result else None) or ""


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _line(depth: int, span: Span) -> str:
    attempts = f" x{len(span.attempts)}" if len(span.attempts) > 1 else ""
    error = f" {span.error_type}" if span.error_type else ""
    return f"{'  ' * depth}{_short(span.name)} {span.status}{attempts}{error}"


FORWARD = """\
    step:validate success
    reserve_credit success
    ai:decision point
    reserve_funds success
"""
TRANSFERRED = "    transfer_money success\n"
NOTIFIED = "    notify_customer success\n"
UNDONE = "    return_funds success\n    release_credit success\n"
ACCOUNT_CLOSED = "    transfer_money failed AccountClosedError\n"
SUCCEEDED = "approve_loan success\n  workflow:loan-approval success\n"
FAILED = "approve_loan failed StepError\n  workflow:loan-approval failed StepError\n"

TREES: dict[Scenario, str] = {
    "success": SUCCEEDED + FORWARD + TRANSFERRED + NOTIFIED,
    "retry": SUCCEEDED
    + FORWARD.replace("reserve_credit success", "reserve_credit success x2")
    + TRANSFERRED
    + NOTIFIED,
    "rollback": FAILED + FORWARD + ACCOUNT_CLOSED + UNDONE,
    "undo_fails": FAILED
    + FORWARD
    + TRANSFERRED
    + "    notify_customer failed CustomerWithdrewError\n    reverse_transfer failed AccountClosedError\n"
    + UNDONE,
    "forgotten_undo": FAILED
    + FORWARD.replace("    reserve_funds", "    step:insure success\n    reserve_funds")
    + ACCOUNT_CLOSED
    + UNDONE,
    "timeout": FAILED.replace("StepError", "JobTimeoutException")
    + FORWARD
    + TRANSFERRED
    + "    reverse_transfer success\n"
    + UNDONE,
    "killed": FAILED.replace("StepError", "WorkHorseTerminated").replace("approval failed", "approval interrupted")
    + FORWARD,
}
VERDICTS: dict[Scenario, str] = {
    "success": "succeeded",
    "retry": "succeeded",
    "rollback": "rolled_back",
    "undo_fails": "rollback_incomplete",
    "forgotten_undo": "rollback_incomplete",
    "timeout": "rolled_back",
    "killed": "rollback_missing",
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_trace_is_the_tree_of_what_ran(ran: tuple[Traces, Outcomes], scenario: Scenario) -> None:
    """Each step is a job of the other queue, below the workflow, with its outcome."""
    trace = ran[0][scenario]
    assert trace.verdict == VERDICTS[scenario]
    assert "\n".join(_line(depth, trace.spans[span_id]) for depth, span_id in trace.walk()) + "\n" == TREES[scenario]
    assert not trace.anomalies


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_rq_sees_the_same_outcome(ran: tuple[Traces, Outcomes], scenario: Scenario) -> None:
    """A failed saga also fails its job."""
    traces, outcomes = ran
    status, raised = outcomes[scenario]
    assert (status is JobStatus.FINISHED) == (traces[scenario].status == "success")
    errors: dict[Scenario, str] = {
        "success": "",
        "retry": "",
        "rollback": "StepError: transfer_money: AccountClosedError: the customer's account is closed",
        "undo_fails": "StepError: notify_customer: CustomerWithdrewError: the customer withdrew the application",
        "forgotten_undo": "StepError: transfer_money: AccountClosedError: the customer's account is closed",
        "timeout": "JobTimeoutException: Task exceeded maximum timeout value (3 seconds)",
        "killed": "waitpid returned 9 (signal 9)",
    }
    assert errors[scenario] in raised
    assert bool(raised) == bool(errors[scenario])


@pytest.mark.parametrize(
    ("scenario", "undone", "standing"),
    [
        ("success", [], []),
        ("rollback", ["reserve_funds", "reserve_credit"], []),
        ("undo_fails", ["reserve_funds", "reserve_credit"], ["transfer_money"]),
        ("forgotten_undo", ["reserve_funds", "reserve_credit"], ["step:insure"]),
        ("timeout", ["transfer_money", "reserve_funds", "reserve_credit"], []),
        ("killed", [], ["reserve_credit", "reserve_funds"]),
    ],
)
def test_undone_and_standing_steps(
    ran: tuple[Traces, Outcomes], scenario: Scenario, undone: list[str], standing: list[str]
) -> None:
    """Each compensation names its step and the reason. Compensations run in reverse order."""
    trace = ran[0][scenario]
    rows = [row for row in trace.compensations if row.outcome == "compensated"]
    assert [_short(row.original_name) for row in rows] == undone
    assert all(row.reason for row in rows)
    assert [_short(one.name) for one in trace.still_standing] == standing


def test_standing_lists_the_steps_that_why_names_for_each_trace(ran: tuple[Traces, Outcomes], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    store = open_store(url)
    store.append(one for trace in ran[0].values() for span in trace.spans.values() for one in span.events)
    store.close()

    def run(*arguments: str) -> str:
        return CliRunner().invoke(main, [*arguments, "--json", "--store", url], catch_exceptions=False).stdout

    fields = ("span_id", "step", "certain", "code", "reason")
    listed = [json.loads(line) for line in run("standing", "since:7d").splitlines()]
    said = [
        (trace.trace_id, one["span_id"], one["name"], one["certain"], one["code"], one["reason"])
        for trace in ran[0].values()
        for one in json.loads(run("why", trace.trace_id))["still_standing"]
    ]
    assert len(said) >= 3
    assert sorted((one["trace_id"], *(one[field] for field in fields)) for one in listed) == sorted(said)


def test_a_retried_step_keeps_both_attempts(ran: tuple[Traces, Outcomes]) -> None:
    """The step is one span with a failed first attempt and a successful second attempt."""
    (step,) = [span for span in ran[0]["retry"].spans.values() if _short(span.name) == "reserve_credit"]
    assert [attempt.error for attempt in step.attempts] == ["the credit bureau did not answer", None]
    assert step.error is None
    assert (step.data["attempt"], step.data["attempts_allowed"]) == (2, 2)


def test_events_have_the_data_of_the_saga(ran: tuple[Traces, Outcomes]) -> None:
    """The workflow has the loan's data, and the model's decision is a point."""
    by_name = {span.name: span for span in ran[0]["success"].spans.values()}
    assert by_name["workflow:loan-approval"].data["loan_id"] == "success"
    assert by_name["ai:decision"].data["decision"] == "approve"


def test_a_saga_called_outside_a_job_fails_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the fix and is not raised inside RQ."""
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    with pytest.raises(LoanError, match=r"approve_loan runs as an RQ job: enqueue it with submit"):
        approve_loan(Loan("L1", 1))
