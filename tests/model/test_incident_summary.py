"""The incident summary: the text that an engineer pastes into an incident channel."""

from __future__ import annotations

import msgspec
import pytest
from notation import INCIDENT, LATER, START, event, events_of

from sagatrace_tui.incident.report import report
from sagatrace_tui.incident.summary import incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import Trace, build_trace


def test_the_summary_reads_well_as_plain_text() -> None:
    text = incident_summary(build_trace("T", events_of(INCIDENT), now=LATER), inert)
    assert (
        text
        == f"""\
**rollback incomplete** — `T` workflow:loan
failed at pay (Closed: account closed) · rollback incomplete: 1 of 2 steps still standing (stage:credit)
Started 2025-01-01 00:00:00.000Z, ended 2025-01-01 00:00:09.000Z, 9 s; 6 spans, 12 events.

**Still standing**
- `stage:credit`, undo `release_credit`: compensation failed after 1 attempt; error: bureau down

**Why**
- path: `workflow:loan` → `pay`
- cause: `pay` failed at 00:00:06.000Z
- error: Closed: account closed
- where: attempt 1
- span: `pay`

**Other failures**
- `u1`: compensation — bureau down
- `workflow:loan`: consequence — Refused: balance too low

**Compensation**
{UNDONE}

Open the trace: `sagatrace-tui T pay`
"""
    )


UNDONE = (
    "- `stage:funds`: compensated, step completed 00:00:04.000Z, "
    "by `u2` 00:00:07.000Z to 00:00:07.500Z\n"
    "- `stage:credit`: compensation failed, step completed 00:00:02.000Z, "
    "by `u1` 00:00:08.000Z to 00:00:08.500Z, error: bureau down"
)


def test_a_saga_that_failed_itself_ended_only_after_its_compensation() -> None:
    saga = "loan 0..9 failed !JobTimeoutException\n  pay 1..2 +take_back\n  undo 6..8 ~pay"
    text = incident_summary(build_trace("T", events_of(saga), now=LATER), inert)
    assert "- cause: `workflow:loan` failed, and ended at 00:00:09.000Z after its compensation\n" in text


@pytest.mark.parametrize("undo", ["undo 6..12 ~pay", "undo 6.. ~pay"])
def test_a_saga_did_not_end_after_a_compensation_that_went_on(undo: str) -> None:
    saga = f"loan 0..9 failed !JobTimeoutException\n  pay 1..2 +take_back\n  {undo}"
    text = incident_summary(build_trace("T", events_of(saga), now=LATER), inert)
    assert "- cause: `workflow:loan` failed at 00:00:09.000Z\n" in text


def test_the_summary_names_the_host_of_the_cause() -> None:
    where = {"worker": "w-7", "queue": "loans", "attempt": 2, "attempts_allowed": 3}
    trace = build_trace("T", [event(1, "J", "job:started", data=where), event(2, "J", "job:failed")], now=LATER)
    assert "- where: worker `w-7`, queue `loans`, attempt 2 of 3\n" in incident_summary(trace, inert)


def test_an_attempt_of_a_lost_worker_has_its_reason() -> None:
    """The event of a lost job has no error, only a reason."""
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
    assert report(trace)["errors"][0]["error"] == "its worker w-7 is gone"
    assert report(build_trace("T", events[:2], now=LATER))["errors"][0]["error"] == "its worker w-7 is gone"


def test_the_last_failed_attempt_gives_the_error_and_its_type() -> None:
    """An earlier attempt with another error does not lend its text to an error that has only a type."""
    bad, timeout = {"error": "bad value", "error_type": "ValueError"}, {"error": "", "error_type": "TimeoutError"}

    def attempts(first: dict[str, str], last: dict[str, str] | None) -> Trace:
        end = {"attempt": 2} | (last or {})
        return build_trace("T", [
            event(1, "J", "job:started", data={"attempt": 1}),
            event(2, "J", "job:retrying", data={"attempt": 1, **first}),
            event(3, "J", "job:started", data={"attempt": 2}),
            event(4, "J", "job:completed" if last is None else "job:failed", data=end),
        ], now=LATER)  # fmt: skip

    failed = attempts(bad, timeout)
    assert failed.summary.startswith("failed at job (TimeoutError) ·")
    assert report(failed)["cause"]["error"] is None
    for first, said in ((bad, "ValueError: bad value"), (timeout, "TimeoutError")):
        recovered = attempts(first, None)
        assert report(recovered)["errors"][0]["error_type"] == first["error_type"]
        assert f"- `job`: recovered — {said}\n" in incident_summary(recovered, inert)


def test_the_error_of_an_undo_has_its_type_also_in_the_section_on_compensation() -> None:
    saga = "loan 0..9 failed !no\n  pay 1..2 +take_back\n  undo 6..8 failed ~pay !Closed:account closed"
    text = incident_summary(build_trace("T", events_of(saga), now=LATER), inert)
    assert text.count("error: Closed: account closed") == 2


def test_a_stage_ran_where_the_job_around_it_did() -> None:
    where = {"worker": "w-7", "queue": "loans", "attempt": 1}
    events = [
        event(0, "J", "job:started", data={"job_name": "approve", **where}),
        event(1, "S", "stage:pay:failed", "J", data={"error": "no"}),
        event(2, "J", "job:failed", data=where),
    ]
    text = incident_summary(build_trace("T", events, now=LATER), inert)
    assert "- where: in `approve`, worker `w-7`, queue `loans`, attempt 1\n" in text


def test_a_time_on_another_day_has_its_date_and_a_reason_is_given_once() -> None:
    undo = {"original_span_id": "a", "reason": "no funds"}
    events = [
        event(0, "loan", "workflow:loan:started"),
        event(1, "a", "stage:a:completed", "loan"),
        event(2, "pay", "stage:pay:failed", "loan"),
        *(event(3 + n, f"u{n}", "undo:compensated", "loan", data=undo) for n in range(2)),
    ]
    late = msgspec.structs.replace(events[-1], timestamp="2025-01-02T00:00:00.000000Z")
    text = incident_summary(build_trace("T", [*events[:-1], late], now=LATER), inert)
    assert "- cause: `stage:pay` failed at 00:00:02.000Z\n" in text
    assert "by `undo` 2025-01-02 00:00:00.000Z to 2025-01-02 00:00:00.000Z\n" in text
    assert text.count("because no funds") == 1


def test_spans_of_one_name_have_their_ids() -> None:
    saga = """
        loan      0..9 failed
          i1      1..2 named=item +x
          i2      1..3 named=item +x
          i3      1..4 named=item failed !a
          i4      1..5 named=item failed !b
          u1      6..7 ~i1
        """
    text = incident_summary(build_trace("T", events_of(saga), now=LATER), inert)
    assert "- `stage:item` (`i4`): independent — b\n" in text
    assert "- `workflow:loan`: consequence\n" in text
    assert "- `stage:item` (`i1`): compensated, " in text
    assert "**Still standing**\n- `stage:item` (`i2`), undo `x`: " in text


def test_a_step_without_a_compensation_is_listed_while_the_trace_runs_and_after() -> None:
    saga = """
        loan      0..
          credit  1..2 +release
          pay     3..4 failed
        """
    for now, words in ((START + 5_000_000, "not started so far"), (LATER, "never started")):
        trace = build_trace("T", events_of(saga), now=now)
        assert f"- `stage:credit`, undo `release`: compensation {words}\n" in incident_summary(trace, inert)


def test_a_standing_step_has_its_run_its_undo_the_error_of_the_undo_and_its_values() -> None:
    about = {"workflow_id": "order", "order_id": "4711", "amount": 25, "items": [1]}
    events = [event(0, "J", "job:started"), event(9, "J", "job:completed")]
    events += [
        event(10, "J", "job:started", data={"queue": "sagas", "job_id": "J"}),
        event(11, "S", "workflow:order:started", "J", data=about),
        event(12, "C", "step:charge:started", "S", data={"compensation": "refund"}),
        event(13, "C", "step:charge:completed", "S", data={"amount": 20, "card": "visa"}),
        event(14, "U", "refund:compensating", "S", data={"original_span_id": "C", "reason": "out of stock"}),
        event(15, "U", "refund:compensation_failed", "S", data={"error": "bank down", "error_type": "bank.Down"}),
        event(16, "S", "workflow:order:failed", "J", data={"error": "out of stock"}),
        event(17, "J", "job:failed", data={"error": "out of stock"}),
        event(20, "J", "job:started"),
        event(21, "J", "job:completed"),
    ]
    trace = build_trace("T", events, now=LATER)
    text = incident_summary(trace, inert)
    assert text.splitlines()[1].startswith(
        "failed at workflow:order in run 2 of 3 (out of stock) · rollback incomplete"
    )
    assert text.split("\n\n")[1] == (
        "**Still standing**\n- `step:charge` (run 2 of 3), undo `refund`: compensation failed after 1 attempt; "
        "error: bank.Down: bank down; amount=20; card=visa; order_id=4711"
    )
    assert "- path: `job` (run 2 of 3) → `workflow:order`" in text
    (step,) = report(trace)["still_standing"]
    assert step["data"] == {"amount": 20, "card": "visa", "order_id": "4711"}
    assert (step["compensation"], step["error"], step["error_type"]) == ("refund", "bank down", "bank.Down")


def test_steps_that_a_rollback_has_yet_to_undo_do_not_stand_yet() -> None:
    events = events_of("""
        order    0..
          a      1..2 +cancel
          b      2..3 +refund
          c      3..4 +recall
          ship   5..6 failed !sold out
          u3     7..8 failed ~c !down
          u2     8.. ~b
        """)
    text = incident_summary(build_trace("T", events, now=START + 9_000_000), inert)
    assert (
        "**Still standing**\n- `stage:c`, undo `recall`: compensation failed after 1 attempt; error: down\n\n"
        "**Still to be undone**\n- `stage:a`, undo `cancel`: waits to be undone\n"
        "- `stage:b`, undo `refund`: compensation still running\n\n" in text
    )


def test_a_step_that_was_not_undone_reads_as_a_sentence() -> None:
    saga = """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed +refund !TimeoutError:3 s
        """
    text = incident_summary(build_trace("T", events_of(saga), now=LATER), inert)
    assert "**Compensation**\n- `stage:pay`: not started\n- `stage:credit`: not started, step completed" in text
    reason = "compensation never started; the step's outcome is unknown, it may have taken effect"
    assert f"- `stage:pay`, undo `refund`: {reason}\n" in text


def test_a_span_that_will_never_run_is_listed_with_the_end_of_its_dependency() -> None:
    saga = """
        loan      0..9 failed
          pay     1..2 failed job
          hold    1..3 canceled job
          mail    d1 job needs=pay
          log     d1 job needs=mail
          note    d1 job needs=hold
        """
    text = incident_summary(build_trace("T", events_of(saga), now=LATER), inert)
    assert "- `mail`: waits for `pay`, which failed\n" in text
    assert "- `log`: waits for `mail`, which never ran either\n" in text
    assert "- `note`: waits for `hold`, which was canceled\n" in text


def test_an_unconfirmed_compensation_is_explained_first() -> None:
    saga = """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed !NoFunds:empty
          u2      5.. ~pay
          u1      5.. ~credit
        """
    text = incident_summary(build_trace("T", events_of(saga), now=LATER), inert)
    unconfirmed = "unconfirmed: compensation started, no outcome recorded"
    assert f"- `stage:credit`, undo `release`: {unconfirmed}\n" in text
    assert f"- `stage:pay`: {unconfirmed}; it had failed itself, so there may be nothing to undo\n" in text


def test_recovered_failures_hide_no_other_failure() -> None:
    """Of forty failures, twenty are listed. Failures that did not recover come first, even late ones."""
    events = [event(0, "R", "workflow:r:started")]
    for n in range(40):
        events.append(event(1 + n / 100, f"S{n}", "stage:s:started", "R"))
        events.append(event(1 + n / 100, f"J{n}", "job:failed", f"S{n}", data={"error": "x" * (n + 1)}))
        events.append(event(2 + n / 100, f"S{n}", "stage:s:completed", "R"))
    events += [event(3, one, f"stage:{one}:failed", "R", data={"error": "y"}) for one in ("first", "late")]
    text = incident_summary(build_trace("T", [*events, event(4, "R", "workflow:r:failed")], now=LATER), inert)
    lines = text.partition("**Other failures**\n")[2].splitlines()
    assert [line.partition(":")[2].split(" ")[1] for line in lines[:3]] == ["independent", "consequence", "recovered"]
    assert lines[20] == "- and 22 more (`--json` has them all)"


def test_completed_steps_without_a_declared_undo_are_named_if_any_step_declares_one() -> None:
    """The JSON report does not list them, so the text does not refer to it."""
    events = [event(0, "R", "workflow:r:started"), event(9, "R", "workflow:r:failed")]
    events += [event(1 + n / 100, f"m{n}", f"stage:m{n}:completed", "R") for n in range(25)]
    declared = event(2, "credit", "stage:credit:completed", "R", data={"compensation": "release"})
    assert "no undo declared" not in incident_summary(build_trace("T", events, now=LATER), inert)
    text = incident_summary(build_trace("T", [*events, declared], now=LATER), inert)
    listed = text.partition("**Completed, no undo declared**\n")[2].splitlines()
    assert listed[:2] == ["- `stage:m0`", "- `stage:m1`"]
    assert listed[20] == "- and 5 more"


def test_a_step_of_unknown_outcome_without_a_declared_undo_is_named() -> None:
    """Every declared undo ran, but the step may have taken effect."""
    events = events_of("""
        order      0..9 failed
          charge   1..2 +refund
          plain    2..3 failed !ValueError:no
          late     2..3 q2 failed !TimeoutError:slow
          around   3..8 failed
            ship   4..5 failed job !WorkHorseTerminated:signal 9
          u1       8..8.5 ~charge
    """)
    text = incident_summary(build_trace("T", events, now=LATER), inert)
    assert text.startswith("**rolled back**")
    assert "**Outcome unknown, no undo declared**\n- `stage:late`\n- `ship`\n\n" in text


def test_failures_of_one_kind_are_counted() -> None:
    events = [event(0, "R", "workflow:r:started"), event(1, "A", "stage:a:failed", "R", data={"error": "first"})]
    for n in range(27):
        error = {"error": f"account {n} is frozen", "error_type": "Frozen"}
        events.append(event(2 + n / 100, f"S{n}", "stage:settle:failed", "R", data=error))
    events += [
        event(3, "S90", "stage:settle:failed", "R", data={"error": "HTTP 503", "error_type": "Frozen"}),
        event(4, "R", "workflow:r:failed", data={"error": "no"}),
    ]
    text = incident_summary(build_trace("T", events, now=LATER), inert)
    assert text.partition("**Other failures**\n")[2].splitlines()[:3] == [
        "- 27 × `stage:settle`: independent — such as Frozen: account 0 is frozen",
        "- `stage:settle` (`S90`): independent — Frozen: HTTP 503",
        "- `workflow:r`: consequence — no",
    ]
