"""Single answers that a table of sagas is not the place for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from notation import START, events_of, moment

from sagatrace.context import TraceContext
from sagatrace.events import TraceEvent, new_event, parse_event
from sagatrace.stores import open_store
from sagatrace.tracer import Tracer
from sagatrace_tui.commands.why import EXIT_STATUSES, why
from sagatrace_tui.labels import inert
from sagatrace_tui.model import IDLE, Trace, build_trace, reading_anomalies
from sagatrace_tui.model.explain import explain, hand_over

LATER = 2 * START
SEED = Path(__file__).parents[1] / "examples" / "seed_trace.jsonl"
INCIDENT = """
    loan      0..9 failed !Refused:balance too low
      credit  1..2 +release_credit
      funds   3..4 +return_funds
      pay     5..6 failed job !Closed:account closed
      u2      7..7.5 ~funds
      u1      8..8.5 failed ~credit !bureau down
    """


def event(second: float, span_id: str, event_type: str, parent: str | None = None, **fields: Any) -> TraceEvent:
    return new_event(
        trace_id="T",
        span_id=span_id,
        event_type=event_type,
        parent_span_id=parent,
        timestamp=moment(second),
        **fields,
    )


def grown_one_by_one(events: list[TraceEvent]) -> Trace:
    trace = build_trace("T", [], now=LATER)
    for one in events:
        trace.add([one])
    return trace


def test_the_seed_s_questions_on_the_seed_s_example() -> None:
    """Why did it fail? At S6, for lack of funds. What got compensated? S2 was to be, and nobody said that it was."""
    events = [parse_event(line) for line in SEED.read_bytes().splitlines()]
    trace = build_trace("T1", events, now=events[-1].micros + 1)
    assert (trace.verdict, trace.cause and trace.cause.span_id) == ("compensating", "S6")
    assert trace.failure_path == ("S1", "S6")
    assert [(row.original_span_id, row.span_id, row.outcome) for row in trace.ledger] == [("S2", "S7", "running")]
    trace.add([], now=events[-1].micros + IDLE + 1)
    assert trace.verdict == "rollback_incomplete"
    assert trace.summary == (
        "failed at stage:funding (Insufficient funds) · "
        "rollback incomplete: 1 of 1 step still standing (stage:validate)"
    )
    assert [(row.span_id, row.outcome) for row in trace.ledger] == [("S7", "unconfirmed")]
    assert [(one.kind, one.span_ids) for one in trace.anomalies] == [("never_ended", ("S1", "S7"))]


def test_the_explanation_has_the_contract_s_keys_and_values() -> None:
    told = explain(build_trace("T", events_of(INCIDENT), now=LATER))
    assert told == {
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
            {"span_id": "pay", "name": "pay", "role": "cause", "error": "account closed"},
            {"span_id": "u1", "name": "u1", "role": "compensation", "error": "bureau down"},
            {"span_id": "loan", "name": "workflow:loan", "role": "consequence", "error": "balance too low"},
        ],
        "never_ran": [],
        "compensations": [
            {
                "original_span_id": "funds",
                "original_name": "stage:funds",
                "span_id": "u2",
                "outcome": "compensated",
                "error": None,
                "started_at": "2025-01-01T00:00:07.000000Z",
                "ended_at": "2025-01-01T00:00:07.500000Z",
            },
            {
                "original_span_id": "credit",
                "original_name": "stage:credit",
                "span_id": "u1",
                "outcome": "failed",
                "error": "bureau down",
                "started_at": "2025-01-01T00:00:08.000000Z",
                "ended_at": "2025-01-01T00:00:08.500000Z",
            },
        ],
        "still_standing": [
            {"span_id": "credit", "name": "stage:credit", "reason": "undo failed after 1 attempt"},
        ],
        "anomalies": [],
    }


def test_the_hand_over_reads_well_as_plain_text() -> None:
    text = hand_over(build_trace("T", events_of(INCIDENT), now=LATER), inert)
    assert (
        text
        == f"""\
**rollback_incomplete** — `T` workflow:loan
failed at pay (Closed: account closed) · rollback incomplete: 1 of 2 steps still standing (stage:credit)
Started 2025-01-01 00:00:00.000Z, ended 2025-01-01 00:00:09.000Z, 9 s; 6 spans, 12 events.

**Why**
- path: `workflow:loan` → `pay`
- cause: `pay` failed at 00:00:06.000Z
- error: Closed: account closed
- where: attempt 1
- span: `pay`

**Other failures**
- `u1`: compensation — bureau down
- `workflow:loan`: consequence — balance too low

**Undo**
{UNDONE}

**Still standing**
- `stage:credit`: undo failed after 1 attempt
"""
    )


UNDONE = (
    "- `stage:funds`: undo succeeded, step completed 00:00:04.000Z, "
    "undo `u2` 00:00:07.000Z to 00:00:07.500Z\n"
    "- `stage:credit`: undo failed, step completed 00:00:02.000Z, "
    "undo `u1` 00:00:08.000Z to 00:00:08.500Z, error: bureau down"
)


def test_where_the_cause_ran_is_part_of_the_answer() -> None:
    where = {"worker": "w-7", "queue": "loans", "attempt": 2, "attempts_allowed": 3}
    trace = build_trace("T", [event(1, "J", "job:started", data=where), event(2, "J", "job:failed")], now=LATER)
    assert "- where: worker `w-7`, queue `loans`, attempt 2 of 3\n" in hand_over(trace, inert)


def test_a_worker_that_was_lost_and_a_second_that_managed_are_told_with_the_reason() -> None:
    """The one who finds a lost job tells no error, only a reason."""
    lost = {"attempt": 1, "presumed": True, "reason": "its worker w-7 is gone"}
    events = [
        event(1, "J", "job:started", data={"attempt": 1}),
        event(4, "J", "job:abandoned", data=lost),
        event(5, "J", "job:started", data={"attempt": 2}),
        event(6, "J", "job:completed", data={"attempt": 2}),
    ]
    trace = build_trace("T", events, now=LATER)
    assert (trace.verdict, trace.roles) == ("succeeded", {"J": "recovered"})
    assert [attempt.error for attempt in trace.spans["J"].attempts] == ["its worker w-7 is gone", None]
    assert explain(trace)["errors"][0]["error"] == "its worker w-7 is gone"
    assert explain(build_trace("T", events[:2], now=LATER))["errors"][0]["error"] == "its worker w-7 is gone"


def test_a_stage_ran_where_the_job_around_it_did() -> None:
    where = {"worker": "w-7", "queue": "loans", "attempt": 1}
    events = [
        event(0, "J", "job:started", data={"job_name": "approve", **where}),
        event(1, "S", "stage:pay:failed", "J", data={"error": "no"}),
        event(2, "J", "job:failed", data=where),
    ]
    text = hand_over(build_trace("T", events, now=LATER), inert)
    assert "- where: in `approve`, worker `w-7`, queue `loans`, attempt 1\n" in text


def test_what_began_on_another_day_has_its_date_and_a_reason_is_told_once() -> None:
    undo = {"original_span_id": "a", "reason": "no funds"}
    events = [
        event(0, "loan", "workflow:loan:started"),
        event(1, "a", "stage:a:completed", "loan"),
        event(2, "pay", "stage:pay:failed", "loan"),
        *(event(3 + n, f"u{n}", "undo:compensated", "loan", data=undo) for n in range(2)),
    ]
    late = msgspec.structs.replace(events[-1], timestamp="2025-01-02T00:00:00.000000Z")
    text = hand_over(build_trace("T", [*events[:-1], late], now=LATER), inert)
    assert "- cause: `stage:pay` failed at 00:00:02.000Z\n" in text
    assert "undo `undo` 2025-01-02 00:00:00.000Z to 2025-01-02 00:00:00.000Z\n" in text
    assert text.count("because no funds") == 1


def test_attempts_without_numbers_whose_ends_are_lost_are_told_apart_from_the_last_back() -> None:
    started = [event(1, "J", "job:started"), event(3, "J", "job:started"), event(5, "J", "job:started")]

    def attempts(*more: TraceEvent) -> list[tuple[int | None, int | None]]:
        found = build_trace("T", [*started, *more], now=LATER).spans["J"].attempts
        begin = started[0].micros - 1_000_000
        times = [(one.started_at, one.ended_at) for one in found]
        return [tuple(None if at is None else (at - begin) // 1_000_000 for at in pair) for pair in times]  # type: ignore[misc]

    assert attempts(event(6, "J", "job:completed")) == [(1, None), (3, None), (5, 6)]
    assert attempts(event(4, "J", "job:retrying"), event(6, "J", "job:completed")) == [(1, None), (3, 4), (5, 6)]
    assert attempts(event(2, "J", "job:retrying")) == [(1, 2), (3, None), (5, None)]


@pytest.mark.parametrize(
    ("phases", "status", "odd"),
    [
        ("started failed started", "running", []),
        ("enqueued started failed enqueued", "queued", []),
        ("started failed enqueued", "failed", []),  # its one enqueuing, by a clock that is ahead
        ("started failed enqueued started completed", "success", []),
        ("started completed started failed", "failed", []),
        ("failed completed", "success", []),
        ("completed failed", "failed", ["conflicting_outcomes"]),
        ("failed failed", "failed", []),
        ("completed completed", "success", ["duplicate"]),
        ("started failed completed", "success", ["conflicting_outcomes"]),
    ],
)
def test_a_job_run_again_without_numbers_stands_as_its_last_run_does(phases: str, status: str, odd: list[str]) -> None:
    trace = grown(*(event(n, "J", f"job:{phase}") for n, phase in enumerate(phases.split())))
    assert trace.spans["J"].status == status
    assert [one.kind for one in trace.anomalies if one.kind != "never_ended"] == odd


def test_an_undo_ran_where_it_says_or_else_where_its_job_did() -> None:
    for own, place in (({"worker": "w-1"}, "w-1"), ({}, "w-2")):
        events = [
            event(1, "u", "undo:compensating", data={"original_span_id": "a", **own}),
            event(2, "j", "job:started", "u", data={"worker": "w-2"}),
        ]
        (row,) = build_trace("T", events, now=LATER).ledger
        assert (row.place and row.place.worker) == place


def test_what_may_be_nothing_but_clocks_that_disagree_says_so() -> None:
    """A step is told to have begun after the undoing had, by the clock of another host."""

    def told(late_host: str | None, undo_host: str | None) -> str:
        def at_host(name: str | None) -> dict[str, Any]:
            return {"host": name} if name else {}

        undo = {"original_span_id": "a"}
        events = [
            event(0, "loan", "workflow:loan:started"),
            event(1, "a", "stage:a:started", "loan"),
            event(2, "a", "stage:a:completed", "loan"),
            event(3, "pay", "stage:pay:failed", "loan"),
            event(4, "j", "job:started", "loan", data=at_host(undo_host)),
            event(5, "u", "release:compensating", "j", data=undo),
            event(6, "u", "release:compensated", "j"),
            event(6, "j", "job:completed", "loan"),
            event(5.5, "mail", "job:started", "loan", data=at_host(late_host)),
            event(7, "mail", "job:completed", "loan"),
            event(9, "loan", "workflow:loan:failed"),
        ]
        (anomaly,) = build_trace("T", events, now=LATER).anomalies
        assert (anomaly.kind, anomaly.span_ids) == ("step_after_abort", ("mail",))
        return anomaly.detail

    plain = "started after the undoing had begun: job"
    assert told("b", "a") == f"{plain} (on b, the undoing on a: their clocks may disagree)"
    assert told("a", "a") == told(None, "a") == told("b", None) == plain


def test_progress_told_a_thousandfold_costs_no_look_at_what_was_told_before() -> None:
    """And changes nothing of what is known of its span, whether that was asked for in between or not."""
    events = [event(0, "J", "job:started", data={"job_name": "pay", "attempt": 1})]
    events += [event(1 + n, "J", "job:progress", data={"host": f"h{n}"}) for n in range(3)]
    asked, whole = build_trace("T", events[:1], now=LATER), build_trace("T", events, now=LATER)
    for one in events[1:]:
        view = asked.spans["J"].attempts
        asked.add([one])
        assert asked.spans["J"].attempts is view
        assert (asked.spans["J"].name, asked.spans["J"].place.host) == ("pay", one.data["host"])
    assert asked == whole
    asked.add([event(8, "J", "job:progress", data={"job_name": "refund"})])
    assert asked.spans["J"].name == "refund"


def test_a_job_cannot_forge_a_line_of_the_hand_over() -> None:
    data = {"error": "\n\n**succeeded**\x1b[2J", "job_name": "`a`\n# b"}
    forged = event(1, "J`\n**succeeded**", "job:failed", data=data)
    text = hand_over(build_trace("T", [forged], now=LATER), inert)
    assert not [line for line in text.splitlines() if line.startswith(("**succeeded", "#"))]
    assert "\x1b" not in text


def test_an_error_written_as_markdown_is_code() -> None:
    for error in ("**rolled_back** all fine", "[click](http://evil)", "<!-- @channel", "~~no~~", "_undone_", "a`b` c"):
        failed = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": error})]
        text = hand_over(build_trace("T", failed, now=LATER), inert)
        quoted = error.replace("`", "ˋ")
        assert f"- error: `{quoted}`\n" in text
        assert f"\n`failed at stage:a ({quoted}) · nothing to undo`\n" in text
        assert text.count(quoted) == 2
    plain = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": "read_only: a-b"})]
    assert "- error: read_only: a-b\n" in hand_over(build_trace("T", plain, now=LATER), inert)


def test_what_a_chat_would_show_as_a_picture_is_code_and_what_it_would_not_is_none() -> None:
    for error, shown in ((":fire:", "`:fire:`"), ("db:5432:gone", "db:5432:gone"), ("a:b:c", "a:b:c")):
        failed = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": error})]
        assert f"- error: {shown}\n" in hand_over(build_trace("T", failed, now=LATER), inert)


def test_that_an_error_goes_on_is_said() -> None:
    for error, shown in (
        ("2 faults:\n  amount\n  iban", "2 faults:…"),
        ("\n only one \n", "only one"),
        ("x" * 501, "x" * 499 + "…"),
        ("\n" * 6000 + "far below", "…"),
    ):
        failed = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": error})]
        trace = build_trace("T", failed, now=LATER)
        assert f"- error: {shown}\n" in hand_over(trace, inert)
        assert ("…" in shown) == ("…" in trace.summary)


def test_names_of_any_length_leave_room_for_the_rest() -> None:
    long = "n" * 1_000_000
    events = [
        event(0, "loan", f"workflow:{long}:started"),
        event(1, "A", f"stage:{long}:started", "loan", data={"compensation": long}),
        event(2, "A", f"stage:{long}:completed", "loan"),
        event(3, "B", f"stage:{long}:started", f"gone{long}"),
        event(4, "B", f"stage:{long}:failed", f"gone{long}"),
        event(5, "U", f"{long}:compensating", "loan", data={"original_span_id": "A", "reason": long}),
        event(6, "loan", f"workflow:{long}:failed"),
    ]
    trace = build_trace("T", events, now=LATER)
    assert trace.summary.startswith("failed at stage:nnn")
    assert trace.summary.endswith("n…)")
    assert "· rollback incomplete: 1 of 1 step still standing (stage:nnn" in trace.summary
    assert max(map(len, hand_over(trace, inert).splitlines())) < 1100


def test_a_trace_id_is_given_whole() -> None:
    trace_id = "a\n" + "b" * 253
    text = hand_over(build_trace(trace_id, [], now=LATER), inert)
    assert text.startswith(f"**unknown** — `a␊{'b' * 253}`\n")


def test_spans_of_one_name_are_told_apart_by_their_ids() -> None:
    saga = """
        loan      0..9 failed
          i1      1..2 named=item +x
          i2      1..3 named=item +x
          i3      1..4 named=item failed !a
          i4      1..5 named=item failed !b
          u1      6..7 ~i1
        """
    text = hand_over(build_trace("T", events_of(saga), now=LATER), inert)
    assert "- `stage:item` (`i4`): independent — b\n" in text
    assert "- `workflow:loan`: consequence\n" in text
    assert "- `stage:item` (`i1`): undo succeeded, " in text
    assert "**Still standing**\n- `stage:item` (`i2`): " in text


def test_while_a_trace_goes_on_no_undo_is_said_never_to_have_started() -> None:
    saga = """
        loan      0..
          credit  1..2 +release
          pay     3..4 failed
        """
    trace = build_trace("T", events_of(saga), now=START + 5_000_000)
    assert "- `stage:credit`: undo not started so far\n" in hand_over(trace, inert)
    trace.add([], now=LATER)
    assert "- `stage:credit`: undo never started\n" in hand_over(trace, inert)


def test_an_undo_between_two_attempts_keeps_its_last_error() -> None:
    saga = """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6:retry job ~credit !bank down
        """
    trace = build_trace("T", events_of(saga), now=LATER)
    assert "undo `u1` 00:00:05.000Z, attempt 1, last error: bank down\n" in hand_over(trace, inert)
    (row,) = explain(trace)["compensations"]
    assert (row["outcome"], row["error"]) == ("unconfirmed", "bank down")


@pytest.mark.parametrize(("phase", "reason", "told"), [
    ("abandoned", "worker w-7 lost", "worker w-7 lost"),
    ("stopped", "by ops", "by ops"),
    ("stopped", None, "stopped"),
    ("failed", None, "failed"),
])  # fmt: skip
def test_an_undo_without_an_error_says_why_it_ended_and_not_why_it_began(
    phase: str, reason: str | None, told: str
) -> None:
    steps = events_of("loan 0..9 failed\n  credit 1..2 +release\n  pay 3..4 failed")
    begun = {"original_span_id": "credit", "job_name": "release", "reason": "pay failed"}
    undo = [
        event(5, "U", "job:started", "loan", data=begun),
        event(6, "U", f"job:{phase}", "loan", data={"reason": reason} if reason else None),
    ]
    answer = explain(build_trace("T", [*steps, *undo], now=LATER))
    (row,) = answer["compensations"]
    assert (row["outcome"], row["error"]) == ("failed", told)
    assert {one["error"] for one in answer["errors"] if one["span_id"] == "U"} <= {told if reason else None}


def test_of_what_an_undo_left_behind_the_first_error_is_told() -> None:
    """Of many jobs that failed once it said it was done; which one is told must not hang on any order but time's."""
    jobs = "".join(f"            job{n}  6..{8 + n / 10} failed job !Late:error {n}\n" for n in range(20))
    events = events_of(f"""
        loan      0..30
          pay     1..2 +refund
          pay2    3..4 failed
          undo    5..7 ~pay
{jobs}""")
    [row] = [row for row in build_trace("T", reversed(events), now=LATER).ledger if row.original_span_id == "pay"]
    assert (row.outcome, row.error) == ("failed", "error 0")


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ("a 6..8 canceled job", "a was canceled"),
        ("a 6..8 stopped job", "a was stopped"),
        ("b d6 job needs=pay2", "b never ran: it waits for stage:pay2, which failed"),
        ("a 6..6.5 canceled job\n            b d6 job needs=a", "b never ran: it waits for a, which was canceled"),
        ("c d6 job needs=b\n            b d5 job needs=pay2", "b never ran: it waits for stage:pay2, which failed"),
    ],
)
def test_an_undo_whose_jobs_never_did_their_work_says_why(jobs: str, told: str) -> None:
    saga = f"""
        loan      0..9 failed
          pay     1..2 +refund
          pay2    3..4 failed
          undo    5..7 ~pay
            {jobs}
        """
    trace = build_trace("T", events_of(saga), now=LATER)
    [row] = explain(trace)["compensations"]
    assert (trace.verdict, row["outcome"], row["error"]) == ("rollback_incomplete", "failed", told)


AHEAD = """
    loan      0..
      credit  1..2 +release
      pay     3..
      late    2400..2460 job
    """


def test_an_event_of_a_wrong_clock_keeps_no_trace_running() -> None:
    """The host of `late` is forty minutes ahead: the trace ends when the others have been silent, not an hour later."""
    events, second = events_of(AHEAD), 1_000_000
    for order in (events, events[::-1]):
        trace = build_trace("T", order, now=START + 10 * second)
        assert (trace.verdict, trace.status, trace.silence(trace.now)) == ("running", "running", 7 * second)
        assert [(one.kind, one.span_ids) for one in trace.anomalies] == [("clock_skew", ("late",))]
        assert trace.anomalies[0].detail == (
            "1 span has events dated up to 40 min 50 s after they were read: late; a host's clock is wrong"
        )
        trace.add([], now=START + 3 * second + IDLE)
        assert trace.status == "running"
        trace.add([], now=START + 4 * second + IDLE)
        assert (trace.verdict, trace.status) == ("unknown", "unknown")
        assert [one.kind for one in trace.anomalies] == ["clock_skew", "never_ended"]
        assert "silent" not in hand_over(trace, inert)


def test_silence_follows_events_that_come_while_a_clock_is_wrong() -> None:
    saga = "loan 0..\n  pay 3..4 failed !Closed:closed\n  late 3500.. job"
    trace = build_trace("T", events_of(saga), now=START + 10_000_000)
    trace.add([event(600, "more", "stage:more:started", "loan")], now=START + 5_000_000 + IDLE)
    assert (trace.status, trace.silence(trace.now)) == ("running", IDLE - 595_000_000)
    trace.add([event(5, "early", "stage:early:started", "loan")])
    assert trace.silence(trace.now) == IDLE - 595_000_000
    trace.add([], now=START + 601_000_000 + IDLE)
    assert (trace.status, trace.verdict) == ("failed", "failed")
    assert ", silent since 2025-01-01 00:10:00.000Z, " in hand_over(trace, inert)


def test_a_reader_whose_clock_is_behind_ends_nothing() -> None:
    trace = build_trace("T", events_of(AHEAD), now=START - 2 * IDLE)
    assert (trace.verdict, trace.silence(trace.now)) == ("running", 0)
    assert set(trace.anomalies[0].span_ids) == {"loan", "credit", "pay", "late"}
    ended = build_trace("T", events_of(INCIDENT), now=START - 2 * IDLE)
    assert (ended.verdict, ended.status) == ("rollback_incomplete", "failed")


def test_a_clock_a_little_ahead_is_nothing_to_tell_of() -> None:
    trace = build_trace("T", events_of("loan 0..\n  pay 3..4"), now=START - IDLE + 4_000_000)
    assert (trace.verdict, trace.anomalies) == ("running", ())


def test_a_step_that_nobody_undid_reads_as_a_sentence() -> None:
    saga = """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed +refund !TimeoutError:3 s
        """
    text = hand_over(build_trace("T", events_of(saga), now=LATER), inert)
    assert "**Undo**\n- `stage:pay`: undo not started\n- `stage:credit`: undo not started, step completed" in text
    told = "undo never started; its own outcome is unknown, it may have taken effect"
    assert f"- `stage:pay`: {told}\n" in text


def test_who_will_never_run_is_told_with_what_became_of_what_it_waits_for() -> None:
    saga = """
        loan      0..9 failed
          pay     1..2 failed job
          hold    1..3 canceled job
          mail    d1 job needs=pay
          log     d1 job needs=mail
          note    d1 job needs=hold
        """
    text = hand_over(build_trace("T", events_of(saga), now=LATER), inert)
    assert "- `mail`: waits for `pay`, which failed\n" in text
    assert "- `log`: waits for `mail`, which never ran either\n" in text
    assert "- `note`: waits for `hold`, which was canceled\n" in text


def test_an_undo_that_nobody_told_the_end_of_is_explained_whatever_else_speaks_for_its_step() -> None:
    saga = """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed !NoFunds:empty
          u2      5.. ~pay
          u1      5.. ~credit
        """
    text = hand_over(build_trace("T", events_of(saga), now=LATER), inert)
    unconfirmed = "unconfirmed, its undo began and nobody told how it ended"
    assert f"- `stage:credit`: {unconfirmed}\n" in text
    assert f"- `stage:pay`: {unconfirmed}; it had failed itself, so there may be nothing to undo\n" in text


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


def test_a_document_seen_twice_under_one_id_is_told_unless_the_other_was_only_presumed() -> None:
    started = event(0, "J", "job:started")
    failed = event(1, "J", "job:failed", id="x:end", data={"error": "a"})
    other = event(1, "J", "job:failed", id="x:end", data={"error": "b"})
    presumed = event(9, "J", "job:abandoned", id="x:end", data={"presumed": True})
    for events in ([started, failed, other], [other, started, failed]):
        trace = build_trace("T", events, now=LATER)
        assert [(one.kind, one.span_ids) for one in trace.anomalies] == [("duplicate", ("J",))]
        assert trace.spans["J"].error == "a"
    for events in ([started, presumed, failed], [failed, presumed, started]):
        grown = build_trace("T", events[:2], now=LATER)
        grown.add(events[2:])
        assert (grown.anomalies, grown.spans["J"].error) == ((), "a")
        assert grown == build_trace("T", events, now=LATER)


def test_events_that_cannot_be_read_in_full_are_anomalies() -> None:
    good = event(0, "A", "stage:a:completed")
    no_time = msgspec.structs.replace(good, id="1", span_id="B", timestamp="2025-13-01T00:00:00.000000Z")
    odd_data = msgspec.structs.replace(good, id="2", raw_data=msgspec.Raw(b'["not", "an object"]'))
    found = reading_anomalies([("doc-9", "not JSON")])
    whole = build_trace("T", [good, no_time, odd_data], now=LATER, anomalies=found)
    grown = build_trace("T", [good], now=LATER, anomalies=found)
    grown.add([no_time])
    grown.add([odd_data])
    assert whole == grown
    assert whole.spans.keys() == {"A"}
    assert [one.detail for one in whole.anomalies[:3]] == [
        "document doc-9: not JSON",
        "event 1: timestamp '2025-13-01T00:00:00.000000Z' is not ISO 8601: month must be in 1..12",
        "event 2: its data is not a JSON object",
    ]


def test_what_ties_steps_to_undos_is_read_beside_events_without_data_and_unreadable_ones() -> None:
    step = event(0, "A", "stage:a:started", data={"compensation": "undo_a"})
    silent = event(1, "A", "stage:a:completed")
    odd = msgspec.structs.replace(event(2, "B", "job:started"), raw_data=msgspec.Raw(b"[1]"))
    undo = event(3, "U", "undo_a:compensated", data={"original_span_id": "A"})
    for events in ([step, undo], [step, silent, undo], [step, odd, undo], [step, silent, odd, undo]):
        trace = build_trace("T", events, now=LATER)
        assert (trace.spans["A"].compensation, trace.spans["U"].original_span_id) == ("undo_a", "A")
        told = [one.span_ids for one in trace.anomalies if one.kind == "malformed"]
        assert told == ([("B",)] if odd in events else [])


def test_a_document_without_a_time_takes_the_place_of_no_other_that_has_its_id() -> None:
    good = event(0, "A", "stage:a:completed", id="1")
    no_time = msgspec.structs.replace(good, timestamp="1")  # written down it comes first, as what is kept does
    for first, second in ((good, no_time), (no_time, good)):
        whole, grown = build_trace("T", [first, second], now=LATER), build_trace("T", [], now=LATER)
        for one in (first, second):
            grown.add([one])
        assert whole == grown
        assert (whole.verdict, [one.kind for one in whole.anomalies]) == ("succeeded", ["malformed"])


def test_of_a_document_that_gave_way_to_another_it_is_not_told_that_its_data_was_none() -> None:
    good = event(0, "A", "stage:a:completed", id="1", data={"a": 1})
    odd_data = msgspec.structs.replace(good, event_type="stage:b:completed", raw_data=msgspec.Raw(b"7"))
    for events in ([odd_data, good], [good, odd_data]):
        whole, grown = build_trace("T", events, now=LATER), build_trace("T", events[:1], now=LATER)
        grown.add(events[1:])
        assert grown == whole
        assert [one.kind for one in whole.anomalies] == ["duplicate"]


def test_what_could_not_be_read_is_told_still_after_all_was_folded_anew() -> None:
    good = event(0, "A", "stage:a:completed", id="1")
    no_time = msgspec.structs.replace(good, id="2", timestamp="2025-13-01T00:00:00.000000Z")
    trace = build_trace("T", [good], now=LATER)
    trace.add([no_time])
    trace.add([event(0, "A", "stage:a:failed", id="1")])
    assert [one.kind for one in trace.anomalies] == ["malformed", "duplicate"]
    trace.add([event(1, "B", "stage:b:started", "C"), event(2, "C", "stage:c:started", "B")])
    assert [one.kind for one in trace.anomalies][:2] == ["malformed", "duplicate"]


def test_an_undo_that_turns_out_to_be_below_its_step_may_end_before_it() -> None:
    """A step undoes itself, then says that it was stopped; the job that did so, in a step of its own, comes late."""
    undone = [
        event(0, "A", "stage:a:started", data={"compensation": "undo_a"}),
        event(1, "B", "stage:b:started", "A", data={"compensation": "undo_b"}),
        event(3, "U", "undo_a:compensating", "J", data={"original_span_id": "A"}),
        event(4, "U", "undo_a:compensated", "J"),
        event(5, "B", "stage:b:failed", "A", data={"error": "x"}),
        event(6, "A", "stage:a:stopped"),
    ]
    job = event(2, "J", "job:failed", "B", data={"error": "x"})
    grown = build_trace("T", undone, now=LATER)
    assert [one.span_id for one in grown.still_standing] == ["A"]
    grown.add([job])
    assert grown.still_standing == ()
    assert grown == build_trace("T", [*undone, job], now=LATER)


def test_a_good_end_counts_also_where_a_mere_instant_said_so_before() -> None:
    told = [
        event(0, "A", "note", status="success"),
        event(1, "J", "job:failed", "A", data={"error": "x"}),
        event(2, "A", "stage:a:completed"),
    ]
    grown = build_trace("T", told[:2], now=LATER)
    assert grown.roles == {"J": "cause"}
    grown.add(told[2:])
    assert grown.roles == {"J": "recovered"}
    assert grown == build_trace("T", told, now=LATER)


def test_a_parent_without_a_name_is_none() -> None:
    events = [
        msgspec.structs.replace(event(n, "A", f"stage:a:{phase}"), parent_span_id=parent)
        for n, (phase, parent) in enumerate([("started", ""), ("progress", None), ("completed", "")])
    ]
    whole, grown = build_trace("T", events, now=LATER), build_trace("T", [], now=LATER)
    grown.add(events)
    assert whole == grown
    assert (whole.roots, whole.missing_parents, whole.verdict) == (("A",), (), "succeeded")


def test_failures_that_were_made_good_hide_no_other_in_the_hand_over() -> None:
    """Of forty, twenty are told: first those that nobody made good, however late they were."""
    events = [event(0, "R", "workflow:r:started")]
    for n in range(40):
        events.append(event(1 + n / 100, f"S{n}", "stage:s:started", "R"))
        events.append(event(1 + n / 100, f"J{n}", "job:failed", f"S{n}", data={"error": "x"}))
        events.append(event(2 + n / 100, f"S{n}", "stage:s:completed", "R"))
    events += [event(3, one, f"stage:{one}:failed", "R", data={"error": "y"}) for one in ("first", "late")]
    text = hand_over(build_trace("T", [*events, event(4, "R", "workflow:r:failed")], now=LATER), inert)
    told = text.partition("**Other failures**\n")[2].splitlines()
    assert [line.partition(":")[2].split(" ")[1] for line in told[:3]] == ["independent", "consequence", "recovered"]
    assert told[20] == "- and 22 more (`--json` has them all)"


@pytest.mark.parametrize("told", [lambda events: build_trace("T", events, now=LATER), grown_one_by_one])
def test_what_is_due_later_is_waited_for_unless_the_trace_is_over(told: Callable[[list[TraceEvent]], Trace]) -> None:
    """A failed attempt that is tried again in an hour; a job scheduled for then, with its root open and over."""
    hour, idle, then = START + 3_600_000_000, IDLE + 1, "2025-01-01T01:00:00Z"
    root, job = event(0, "R", "workflow:r:started"), event(1, "J", "job:started", "R")
    retrying = event(2, "J", "job:retrying", "R", data={"error": "x", "next_at": then})
    scheduled = event(2, "J", "job:scheduled", "R", data={"scheduled_for": then})
    over = event(3, "R", "workflow:r:completed")
    for events, waited_for in (
        ([root, job, retrying], True),
        ([root, job, retrying, over], True),
        ([root, scheduled], True),
        ([root, scheduled, over], False),
        ([root, scheduled, event(3, "J", "job:canceled", "R")], False),
    ):
        trace = told(events)
        for now, is_running in ((hour - 1_000_000, waited_for), (hour + IDLE, waited_for), (hour + idle, False)):
            trace.add([], now=now)
            assert (trace.status == "running", trace.is_idle(now)) == (is_running, not is_running), (events, now)


def test_a_late_parent_takes_its_children_home() -> None:
    trace = build_trace("T", [event(2, "C", "stage:c:failed", "P")], now=LATER)
    assert (trace.missing_parents, trace.roots, trace.failure_path) == (("P",), (), ("C",))
    assert trace.add([event(1, "P", "workflow:p:started")]) == {"P"}
    assert (trace.missing_parents, trace.roots, trace.failure_path) == ((), ("P",), ("P", "C"))


def test_few_equal_times_among_many_events_are_ordered_by_id() -> None:
    """The usual case has a way of its own: nearly all times differ, and most come in order."""
    events = [event(n / 10, f"s{n % 7}", "stage:x:progress", id=f"{n:03}") for n in range(100)]
    ties = [event(5, "s1", "stage:x:progress", id=one, data={"host": one}) for one in ("z", "y", "x")]
    given = [*events[50:], *ties, *events[:50]]
    trace = build_trace("T", given, now=LATER)
    for span in trace.spans.values():
        assert span.events == sorted(span.events, key=lambda one: (one.timestamp, one.id))
    assert [one.id for one in trace.spans["s1"].events if one.timestamp == ties[0].timestamp] == ["050", "x", "y", "z"]


def grown(*events: TraceEvent) -> Trace:
    """One at a time, with the verdict asked for in between; the same as all at once."""
    trace = build_trace("T", [], now=LATER)
    for one in events:
        trace.add([one])
        assert trace.summary
    whole = build_trace("T", events, now=LATER)
    assert (trace, explain(trace)) == (whole, explain(whole))
    return trace


def test_a_late_parent_brings_its_children_under_who_made_their_failure_good() -> None:
    trace = grown(
        event(0, "loan", "workflow:loan:started"),
        event(3, "C", "stage:c:failed", "P"),
        event(9, "loan", "workflow:loan:completed"),
        event(1, "P", "stage:p:started", "loan"),
    )
    assert (trace.verdict, trace.roles) == ("succeeded", {"C": "recovered"})


@pytest.mark.parametrize(
    "late",
    [
        [event(10, "send", "job:told", data={"compensation": "recall"})],
        [
            event(11, "u", "recall:compensated", "loan"),
            event(10, "u", "recall:compensating", "loan", data={"original_span_id": "send"}),
        ],
        [event(10, "u", "job:started", "loan"), event(11, "u", "job:told", data={"original_span_id": "send"})],
    ],
    ids=["it declares", "its undo names it", "a job turns out to undo it"],
)
def test_a_job_that_turns_out_to_answer_for_itself_no_longer_speaks_for_its_step(late: list[TraceEvent]) -> None:
    events = [
        event(0, "loan", "workflow:loan:started"),
        event(1, "pay", "stage:pay:started", "loan", data={"compensation": "refund"}),
        event(2, "send", "job:started", "pay"),
        event(3, "pay", "stage:pay:failed", "loan"),
        event(4, "send", "job:completed", "pay"),
        event(9, "loan", "workflow:loan:failed"),
    ]
    assert [one.span_id for one in grown(*events).still_standing] == ["pay"]
    assert "pay" not in [one.span_id for one in grown(*events, *late).still_standing]


def test_a_job_that_fails_again_later_is_no_longer_the_first_to_fail() -> None:
    trace = grown(
        event(0, "C", "job:started"),
        event(1, "C", "job:failed"),
        event(0, "A", "job:started"),
        event(2, "A", "job:failed"),
        event(3, "B", "job:started"),
        event(5, "B", "job:failed"),
        event(6, "A", "job:started"),
        event(9, "A", "job:failed"),
        event(10, "C", "job:started"),
        event(11, "C", "job:completed"),
    )
    assert trace.roles == {"A": "independent", "B": "cause", "C": "recovered"}


def test_a_stage_that_is_told_to_have_failed_after_all_made_nothing_good() -> None:
    trace = grown(
        event(0, "S", "stage:s:started"),
        event(1, "C", "job:failed", "S"),
        event(2, "S", "stage:s:completed"),
        event(3, "S", "stage:s:failed"),
    )
    assert trace.roles == {"C": "cause", "S": "consequence"}


def test_a_time_written_another_way_than_those_before_is_put_where_it_belongs() -> None:
    short = msgspec.structs.replace(event(0, "B", "stage:b:started", "loan"), timestamp="2025-01-01T00:00:01Z")
    trace = grown(event(0, "loan", "workflow:loan:started"), event(1.5, "A", "stage:a:started", "loan"), short)
    assert trace.children["loan"] == ["B", "A"]


def test_of_many_steps_that_stand_the_first_are_named() -> None:
    events = [event(0, "loan", "workflow:loan:failed")]
    for n in reversed(range(150)):
        told = {"compensation": "undo", "seq": 1000 - n}
        events.append(event(1 + n // 4, f"s{n:03}", f"stage:{n}:completed", "loan", data=told))
    told = build_trace("T", events, now=LATER).summary
    assert told.endswith(
        "150 of 150 steps still standing (stage:3, stage:2, stage:1 and 147 more), and no undo ever began"
    )


def test_silence_ends_a_trace_without_an_event() -> None:
    first = event(0, "A", "stage:a:started")
    trace = build_trace("T", [first], now=first.micros + IDLE)
    assert (trace.verdict, trace.ended_at) == ("running", None)
    trace.add([], now=first.micros + IDLE + 1)
    assert (trace.verdict, [one.kind for one in trace.anomalies]) == ("unknown", ["never_ended"])


def test_a_chain_a_hundred_thousand_deep() -> None:
    """It neither recurses out nor is walked once per span: that would take hours."""
    depth = 100_000
    events = [
        event(0, str(n), "stage:x:failed", str(n - 1) if n else None, id=f"{n:07}", data={"compensation": "undo"})
        for n in range(depth)
    ]
    trace = build_trace("T", events, now=LATER)
    assert len(trace.failure_path) == depth == sum(1 for _ in trace.walk())
    assert trace.cause is not None
    assert trace.cause.span_id == str(depth - 1)
    trace.add([event(1, "leaf", "stage:y:failed", str(depth - 1))])
    assert trace.failure_path[-1] == "leaf"


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'traces.db'}"


def run_why(store_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(why, [*arguments, "--store", store_url])


def test_why_says_as_text_and_as_json_what_the_model_says(store_url: str) -> None:
    store = open_store(store_url)
    store.append(events_of(INCIDENT))
    store.close()
    text, as_json = run_why(store_url, "T"), run_why(store_url, "T", "--json")
    assert (text.exit_code, as_json.exit_code) == (5, 5)
    trace = build_trace("T", events_of(INCIDENT), now=LATER)
    assert text.output == hand_over(trace, inert)
    assert json.loads(as_json.output) == explain(trace)
    assert as_json.output.isascii()


def test_every_verdict_has_an_exit_status(store_url: str) -> None:
    tracer = Tracer(store_url)
    with tracer.span("workflow:fine", TraceContext("fine")):
        pass
    tracer.emit("workflow:slow:started", TraceContext("slow"))
    with pytest.raises(ValueError, match="no"), tracer.span("workflow:bad", TraceContext("bad")):
        raise ValueError("no")
    with tracer.span("workflow:green", TraceContext("green")) as green, tracer.compensation(original="x", parent=green):
        pass
    tracer.close()
    statuses = {name: run_why(store_url, name).exit_code for name in ("fine", "slow", "bad", "green", "none")}
    assert statuses == {"fine": 0, "slow": 3, "bad": 4, "green": 5, "none": 7}
    assert sorted(set(EXIT_STATUSES.values())) == [0, 3, 4, 5, 6]


def test_what_why_cannot_do_is_one_line(store_url: str, tmp_path: Path) -> None:
    missing = run_why(store_url, "T")
    assert missing.exit_code == 1
    assert "no store at" in missing.output
    assert run_why(store_url).exit_code == 2
    assert not (tmp_path / "traces.db").exists(), "asking never creates a store"


def test_a_document_that_is_none_is_an_anomaly_of_the_answer(store_url: str, tmp_path: Path) -> None:
    store = open_store(store_url)
    store.append([event(0, "A", "stage:a:completed")])
    store.close()
    connection = sqlite3.connect(tmp_path / "traces.db")
    row = ("T", "bad", 0, b'{"id":"bad","trace_id":"T"}')
    connection.execute("INSERT INTO event (trace_id, id, at, document) VALUES (?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    done = run_why(store_url, "T", "--json")
    assert done.exit_code == 0
    (anomaly,) = json.loads(done.output)["anomalies"]
    assert anomaly["kind"] == "malformed"
    assert anomaly["detail"].startswith("document bad: ")
