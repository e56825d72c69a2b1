"""Single answers that do not fit the tables of sagas."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from notation import INCIDENT, LATER, START, event, events_of

from sagatrace.event import TraceEvent
from sagatrace.stores.codec import parse_event
from sagatrace_tui.incident.report import report
from sagatrace_tui.incident.summary import incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import IDLE, build_trace, failures
from sagatrace_tui.model.span import Span

SEED = Path(__file__).parents[1] / "examples" / "seed_trace.jsonl"


def test_each_error_of_many_caught_failures_is_read_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise two thousand failures would take seconds, and ten thousand minutes."""
    reads: list[str] = []
    failed_of = failures.failed_of

    def counted(above: Span, step: Span) -> bool:
        reads.append(step.span_id)
        return failed_of(above, step)

    monkeypatch.setattr(failures, "failed_of", counted)
    steps = "".join(f"\n  s{n} {n + 1}.1..{n + 1}.9 failed !miss {n}" for n in range(200))
    saga = f"loan 0..300 failed !sold out{steps}\n  ship 250..251 failed !sold out"
    assert build_trace("T", events_of(saga), now=LATER).failure_path == ("loan", "ship")
    assert len(reads) < 5 * 200


def test_the_answers_to_the_example() -> None:
    """The trace failed at S6, for lack of funds. The compensation of S2 started, and no event confirms it."""
    events = [parse_event(line) for line in SEED.read_bytes().splitlines()]
    trace = build_trace("T1", events, now=events[-1].micros + 1)
    assert (trace.verdict, trace.cause and trace.cause.span_id) == ("compensating", "S6")
    assert trace.failure_path == ("S1", "S6")
    assert [(row.original_span_id, row.span_id, row.outcome) for row in trace.compensations] == [
        ("S2", "S7", "running")
    ]
    trace = build_trace("T1", events, now=events[-1].micros + IDLE + 1)
    assert trace.verdict == "rollback_incomplete"
    assert trace.summary == (
        "failed at stage:funding (Insufficient funds) · "
        "rollback incomplete: 1 of 1 step still standing (stage:validate)"
    )
    assert [(row.span_id, row.outcome) for row in trace.compensations] == [("S7", "unconfirmed")]
    assert [(one.kind, one.span_ids) for one in trace.anomalies] == [("never_ended", ("S1", "S7"))]


def test_the_report_has_the_contract_s_keys_and_values() -> None:
    answer = report(build_trace("T", events_of(INCIDENT), now=LATER))
    assert answer == {
        "trace_id": "T",
        "verdict": "rollback_incomplete",
        "summary": "failed at pay (Closed: account closed) · "
        "rollback incomplete: 1 of 2 steps still standing (stage:credit)",
        "started_at": "2025-01-01T00:00:00.000000Z",
        "ended_at": "2025-01-01T00:00:09.000000Z",
        "duration_ms": 9000.0,
        "event_count": 12,
        "span_count": 6,
        "cause": {
            "span_id": "pay",
            "name": "pay",
            "error": "account closed",
            "error_type": "Closed",
            "at": "2025-01-01T00:00:06.000000Z",
        },
        "failure_path": [{"span_id": "loan", "name": "workflow:loan"}, {"span_id": "pay", "name": "pay"}],
        "errors": [
            {"span_id": "pay", "name": "pay", "role": "cause", "error": "account closed", "error_type": "Closed"},
            {"span_id": "u1", "name": "u1", "role": "compensation", "error": "bureau down", "error_type": None},
            {
                "span_id": "loan",
                "name": "workflow:loan",
                "role": "consequence",
                "error": "balance too low",
                "error_type": "Refused",
            },
        ],
        "never_ran": [],
        "compensations": [
            {
                "original_span_id": "funds",
                "original_name": "stage:funds",
                "span_id": "u2",
                "outcome": "compensated",
                "error": None,
                "error_type": None,
                "started_at": "2025-01-01T00:00:07.000000Z",
                "ended_at": "2025-01-01T00:00:07.500000Z",
            },
            {
                "original_span_id": "credit",
                "original_name": "stage:credit",
                "span_id": "u1",
                "outcome": "failed",
                "error": "bureau down",
                "error_type": None,
                "started_at": "2025-01-01T00:00:08.000000Z",
                "ended_at": "2025-01-01T00:00:08.500000Z",
            },
        ],
        "still_standing": [
            {
                "span_id": "credit",
                "name": "stage:credit",
                "reason": "compensation failed after 1 attempt",
                "code": "failed",
                "certain": True,
                "compensation": "release_credit",
                "error": "bureau down",
                "error_type": None,
                "data": {},
            },
        ],
        "anomalies": [],
    }


def test_attempts_without_numbers_whose_ends_are_lost_are_paired_from_the_last_one_back() -> None:
    started = [event(1, "J", "job:started"), event(3, "J", "job:started"), event(5, "J", "job:started")]

    def attempts(*more: TraceEvent) -> list[tuple[int | None, int | None]]:
        found = build_trace("T", [*started, *more], now=LATER).spans["J"].attempts
        begin = started[0].micros - 1_000_000
        times = [(one.started_at, one.ended_at) for one in found]
        return [tuple(None if at is None else (at - begin) // 1_000_000 for at in pair) for pair in times]  # type: ignore[misc]

    assert attempts(event(6, "J", "job:completed")) == [(1, None), (3, None), (5, 6)]
    assert attempts(event(4, "J", "job:retrying"), event(6, "J", "job:completed")) == [(1, None), (3, 4), (5, 6)]
    assert attempts(event(2, "J", "job:retrying")) == [(1, 2), (3, None), (5, None)]


def test_the_host_of_an_undo_is_its_own_or_that_of_its_job() -> None:
    for own, place in (({"worker": "w-1"}, "w-1"), ({}, "w-2")):
        events = [
            event(1, "u", "undo:compensating", data={"original_span_id": "a", **own}),
            event(2, "j", "job:started", "u", data={"worker": "w-2"}),
        ]
        (row,) = build_trace("T", events, now=LATER).compensations
        assert (row.place and row.place.worker) == place


def test_an_undo_between_two_attempts_keeps_its_last_error() -> None:
    saga = """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6:retry job ~credit !bank down
        """
    trace = build_trace("T", events_of(saga), now=LATER)
    assert "by `u1` 00:00:05.000Z, attempt 1, last error: bank down\n" in incident_summary(trace, inert)
    (row,) = report(trace)["compensations"]
    assert (row["outcome"], row["error"]) == ("unconfirmed", "bank down")


@pytest.mark.parametrize(("phase", "reason", "expected"), [
    ("abandoned", "worker w-7 lost", "worker w-7 lost"),
    ("stopped", "by ops", "by ops"),
    ("stopped", None, "stopped"),
    ("failed", None, "failed"),
])  # fmt: skip
def test_an_undo_without_an_error_gives_the_reason_of_its_end_and_not_of_its_start(
    phase: str, reason: str | None, expected: str
) -> None:
    steps = events_of("loan 0..9 failed\n  credit 1..2 +release\n  pay 3..4 failed")
    begun = {"original_span_id": "credit", "job_name": "release", "reason": "pay failed"}
    undo = [
        event(5, "U", "job:started", "loan", data=begun),
        event(6, "U", f"job:{phase}", "loan", data={"reason": reason} if reason else None),
    ]
    answer = report(build_trace("T", [*steps, *undo], now=LATER))
    (row,) = answer["compensations"]
    assert (row["outcome"], row["error"]) == ("failed", expected)
    assert {one["error"] for one in answer["errors"] if one["span_id"] == "U"} <= {expected if reason else None}


def test_of_an_undo_s_failed_jobs_the_first_error_counts() -> None:
    """Of many jobs that failed after the undo reported success, the first by time gives the error."""
    jobs = "".join(f"            job{n}  6..{8 + n / 10} failed job !Late:error {n}\n" for n in range(20))
    events = events_of(f"""
        loan      0..30
          pay     1..2 +refund
          pay2    3..4 failed
          undo    5..7 ~pay
{jobs}""")
    [row] = [
        row for row in build_trace("T", reversed(events), now=LATER).compensations if row.original_span_id == "pay"
    ]
    assert (row.outcome, row.error) == ("failed", "error 0")


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ("a 6..8 canceled job", "a was canceled"),
        ("a 6..8 stopped job", "a was stopped"),
        ("b d6 job needs=pay2", "b never ran: it waits for stage:pay2, which failed"),
        ("a 6..6.5 canceled job\n            b d6 job needs=a", "b never ran: it waits for a, which was canceled"),
        ("c d6 job needs=b\n            b d5 job needs=pay2", "b never ran: it waits for stage:pay2, which failed"),
    ],
)
def test_an_undo_whose_jobs_never_ran_has_a_reason(jobs: str, expected: str) -> None:
    saga = f"""
        loan      0..9 failed
          pay     1..2 +refund
          pay2    3..4 failed
          undo    5..7 ~pay
            {jobs}
        """
    trace = build_trace("T", events_of(saga), now=LATER)
    [row] = report(trace)["compensations"]
    assert (trace.verdict, row["outcome"], row["error"]) == ("rollback_incomplete", "failed", expected)


AHEAD = """
    loan      0..
      credit  1..2 +release
      pay     3..
      late    2400..2460 job
    """


def test_an_event_with_a_wrong_clock_keeps_no_trace_running() -> None:
    """The host of `late` is forty minutes ahead. The trace ends after the silence of the others, not an hour later."""
    events, second = events_of(AHEAD), 1_000_000
    for order in (events, events[::-1]):
        trace = build_trace("T", order, now=START + 10 * second)
        assert (trace.verdict, trace.status, trace.silence(trace.now)) == ("running", "running", 7 * second)
        assert [(one.kind, one.span_ids) for one in trace.anomalies] == [("clock_skew", ("late",))]
        assert trace.anomalies[0].detail == (
            "1 span has events dated up to 40 min 50 s after they were read: late; a host's clock is wrong"
        )
        trace = build_trace("T", order, now=START + 3 * second + IDLE)
        assert trace.status == "running"
        trace = build_trace("T", order, now=START + 4 * second + IDLE)
        assert (trace.verdict, trace.status) == ("unknown", "unknown")
        assert [one.kind for one in trace.anomalies] == ["clock_skew", "never_ended"]
        assert "silent" not in incident_summary(trace, inert)


def test_a_reader_whose_clock_is_behind_ends_nothing() -> None:
    trace = build_trace("T", events_of(AHEAD), now=START - 2 * IDLE)
    assert (trace.verdict, trace.silence(trace.now)) == ("running", 0)
    assert set(trace.anomalies[0].span_ids) == {"loan", "credit", "pay", "late"}
    ended = build_trace("T", events_of(INCIDENT), now=START - 2 * IDLE)
    assert (ended.verdict, ended.status) == ("rollback_incomplete", "failed")


def test_a_clock_a_little_ahead_is_no_anomaly() -> None:
    trace = build_trace("T", events_of("loan 0..\n  pay 3..4"), now=START - IDLE + 4_000_000)
    assert (trace.verdict, trace.anomalies) == ("running", ())


@pytest.mark.parametrize(
    ("error_type", "is_unknown"),
    [
        *((name, True) for name in (
            "TimeoutError", "JobTimeoutException", "rq.timeouts.JobTimeoutException", "httpx.ReadTimeout", "TimedOut",
            "DeadlineExceeded", "DEADLINE_EXCEEDED", "SoftTimeLimitExceeded", "TimeoutExpired", "ConnectionResetError",
            "ConnectionError", "ConnectionAbortedError", "BrokenPipeError", "RemoteDisconnected", "WorkerLostError",
            "TerminatedWorkerError", "AbandonedJobError", "CancelledError", "ServerDisconnectedError",
            "BrokenProcessPool", "ConnectionClosedError",
        )),
        *((name, False) for name in (
            "SubscriptionTerminatedError", "ConnectionRefusedError", "AccountClosedError", "LoanError", "NoFunds",
            "InvalidTimeoutError", "TimeoutSettingsError", "ContractCancelledByCustomer", "AccountAbandoned", "",
        )),
    ],
)  # fmt: skip
def test_which_errors_leave_the_outcome_unknown(error_type: str, is_unknown: bool) -> None:
    data = {"error": "x", "error_type": error_type}
    events = [
        event(0, "A", "stage:a:started", data={"compensation": "undo"}),
        event(1, "A", "stage:a:failed", data=data),
    ]
    trace = build_trace("T", events, now=LATER)
    assert trace.verdict == ("rollback_missing" if is_unknown else "failed")


def test_a_parent_without_a_name_is_none() -> None:
    events = [
        msgspec.structs.replace(event(n, "A", f"stage:a:{phase}"), parent_span_id=parent)
        for n, (phase, parent) in enumerate([("started", ""), ("progress", None), ("completed", "")])
    ]
    trace = build_trace("T", events, now=LATER)
    assert (list(trace.roots), list(trace.missing_parents), trace.verdict) == (["A"], [], "succeeded")


def test_of_many_steps_that_stand_the_first_are_named() -> None:
    events = [event(0, "loan", "workflow:loan:failed")]
    for n in reversed(range(150)):
        data = {"compensation": "undo", "seq": 1000 - n}
        events.append(event(1 + n // 4, f"s{n:03}", f"stage:{n}:completed", "loan", data=data))
    summary = build_trace("T", events, now=LATER).summary
    assert summary.endswith(
        "150 of 150 steps still standing (stage:3, stage:2, stage:1 and 147 more), and no compensation began"
    )


def test_a_chain_twenty_thousand_deep() -> None:
    """The walk does not recurse, and visits each span once. Repeated visits would take minutes."""
    depth = 20_000
    events = [
        event(0, str(n), "stage:x:failed", str(n - 1) if n else None, id=f"{n:07}", data={"compensation": "undo"})
        for n in range(depth)
    ]
    trace = build_trace("T", events, now=LATER)
    assert len(trace.failure_path) == depth == sum(1 for _ in trace.walk())
    assert trace.cause is not None
    assert trace.cause.span_id == str(depth - 1)


@pytest.mark.parametrize(("step_waits_for", "verdict"), [(None, "rollback_incomplete"), ("failed", "rolled_back")])
def test_a_step_that_waits_may_still_run_while_its_undo_waits_as_well(step_waits_for: str | None, verdict: str) -> None:
    """A saga gave up waiting for the job of a step. RQ undoes the step once it succeeded, if it ever runs."""
    waits = {} if step_waits_for is None else {"depends_on": [step_waits_for]}
    events = [
        event(0, "saga", "workflow:order:started"),
        event(1, "charge", "step:charge:started", "saga", data={"compensation": "refund"}),
        event(2, "charge", "step:charge:completed", "saga"),
        event(3, "failed", "job:started", "saga"),
        event(4, "failed", "job:failed", "saga"),
        event(5, "ship", "job:deferred" if waits else "job:enqueued", "saga", data={"compensation": "recall", **waits}),
        event(6, "recall", "job:deferred", "saga", data={"original_span_id": "ship", "depends_on": ["ship"]}),
        event(7, "refund", "refund:compensating", "saga", data={"original_span_id": "charge"}),
        event(8, "refund", "refund:compensated", "saga"),
        event(9, "saga", "workflow:order:failed"),
    ]
    trace = build_trace("T", events, now=LATER)
    assert trace.verdict == verdict
    reason = "compensation never started; its job still waits, and may run later"
    standing = [(row["span_id"], row["certain"], row["reason"]) for row in report(trace)["still_standing"]]
    assert standing == ([] if waits else [("ship", False, reason)])


@pytest.mark.parametrize(("end", "more", "verdict", "standing"), [
    ("failed", [], "rollback_missing", ["ship"]),
    ("failed", ["canceled"], "failed", []),
    ("completed", [], "succeeded", []),
])  # fmt: skip
def test_a_step_that_still_waits_in_a_failed_saga_may_run_without_an_undo(
    end: str, more: list[str], verdict: str, standing: list[str]
) -> None:
    """A succeeded saga, in contrast, left its last step in the queue on purpose."""
    events = [
        event(0, "saga", "workflow:order:started"),
        event(1, "ship", "job:enqueued", "saga", data={"compensation": "recall"}),
        event(2, "saga", f"workflow:order:{end}"),
        *(event(3, "ship", f"job:{phase}", "saga") for phase in more),
    ]
    trace = build_trace("T", events, now=LATER)
    assert trace.verdict == verdict
    assert [(row.span_id, row.certain) for row in trace.still_standing] == [(one, False) for one in standing]
    assert build_trace("T", events, now=events[-1].micros + 60_000_000).still_standing == ()
