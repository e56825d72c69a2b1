"""The spans that a running trace waits for: each state in words, their order, and silence."""

from __future__ import annotations

from typing import Any

import pytest
from notation import START, events_of, moment

from sagatrace.event import TraceEvent, new_event
from sagatrace_tui.incident.report import report
from sagatrace_tui.incident.summary import incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import IDLE, Trace, build_trace
from sagatrace_tui.views.waiting import MOST, waiting_on


def job(second: float, phase: str, span_id: str = "pay", **data: Any) -> TraceEvent:
    event_type, data = f"job:{phase}", {"job_name": span_id, **data}
    at, parent = moment(second), "loan"
    return new_event(
        trace_id="T", span_id=span_id, parent_span_id=parent, event_type=event_type, timestamp=at, data=data
    )


def at(second: float) -> int:
    return START + round(second * 1_000_000)


def loan(*events: TraceEvent, now: float) -> Trace:
    return build_trace("T", trace_events(*events), now=at(now))


def trace_events(*events: TraceEvent) -> list[TraceEvent]:
    root = new_event(trace_id="T", span_id="loan", event_type="workflow:loan:started", timestamp=moment(0))
    return [root, *events]


RAN_AGAIN = [job(2, "started", "a"), job(3, "failed", "a"), job(4, "started", "a")]


@pytest.mark.parametrize(
    ("events", "now", "words"),
    [
        ([job(1, "enqueued")], 13, "queued for 12 s"),
        ([job(1, "enqueued"), job(2, "started", attempt=1, attempts_allowed=3)], 14.9, "running for 12 s"),
        ([job(2, "started")], 2.5, "running for under 1 s"),
        ([job(2, "started"), job(9, "progress")], 12, "running for 10 s"),
        ([job(2, "started")], 1, "running for under 1 s"),
        (
            [job(1, "started"), job(2, "retrying", attempt=1, attempts_allowed=3, next_at=moment(30))],
            18,
            "retry 1 of 2 in 12 s",
        ),
        (
            [job(1, "started"), job(2, "retrying", attempt=1, attempts_allowed=3, next_at=moment(30))],
            42,
            "retry 1 of 2 overdue by 12 s",
        ),
        ([job(1, "started"), job(2, "retrying", attempt=1, attempts_allowed=3)], 5, "retry 1 of 2 queued for 3 s"),
        ([job(1, "started"), job(2, "retrying")], 5, "retry 1 queued for 3 s"),
        ([job(1, "started"), job(2, "retrying", next_at="soon")], 5, "retry 1 queued for 3 s"),
        ([job(1, "started"), job(2, "retrying", next_at=[7])], 5, "retry 1 queued for 3 s"),
        (
            [job(1, "started", attempt=1), job(2, "retrying", attempt=1), job(3, "started", attempt=2)],
            9,
            "running for 6 s, attempt 2",
        ),
        ([job(2, "started", attempt=2, attempts_allowed=3)], 3, "running for 1 s, attempt 2 of 3"),
        ([job(1, "scheduled", scheduled_for="2025-01-01T00:02:05+00:00")], 1, "scheduled in 2 min 04 s"),
        ([job(1, "scheduled", scheduled_for=moment(5))], 45, "scheduled overdue by 40 s"),
        ([job(1, "scheduled")], 5, "scheduled for 4 s"),
        ([job(1, "scheduled", scheduled_for=moment(5)), job(6, "enqueued")], 8, "queued for 2 s"),
        ([job(1, "deferred", depends_on=["check"])], 5, "waiting for check"),
        ([job(1, "deferred", depends_on=["a", "b", "c", "d"])], 5, "waiting for a, b, c and 1 more"),
        ([job(1, "deferred")], 5, "deferred for 4 s"),
        ([job(1, "deferred", depends_on="a"), job(2, "started", "a"), job(4, "completed", "a")], 7, "queued for 3 s"),
        ([job(1, "deferred", depends_on="a"), *RAN_AGAIN, job(5, "completed", "a")], 7, "queued for 2 s"),
        (
            [job(1, "deferred", depends_on="a", allow_failure=True), job(2, "started", "a"), job(4, "failed", "a")],
            7,
            "queued for 3 s",
        ),
    ],
)
def test_every_state_in_words(events: list[TraceEvent], now: float, words: str) -> None:
    waiting = waiting_on(loan(*events, now=now), at(now))
    assert waiting is not None
    assert [(one.span_id, one.words) for one in waiting.waits] == [("pay", words)]
    assert waiting.line == f"pay: {words}"


def test_a_dependency_is_named_and_comes_before_the_span_that_waits_for_it() -> None:
    trace = loan(job(1, "deferred", "mail", depends_on="k1"), job(1, "enqueued", "k1", job_name="check"), now=3)
    waiting = waiting_on(trace, at(3))
    assert waiting is not None
    assert [f"{one.name}: {one.words}" for one in waiting.waits] == ["check: queued for 2 s", "mail: waiting for check"]
    assert waiting.line == "check: queued for 2 s +1 more"


def test_a_dependency_that_failed_and_runs_again_is_waited_for() -> None:
    trace = loan(job(1, "deferred", "mail", depends_on="a"), *RAN_AGAIN, now=7)
    waiting = waiting_on(trace, at(7))
    assert waiting is not None
    assert [f"{one.span_id}: {one.words}" for one in waiting.waits] == ["a#2: running for 3 s", "mail: waiting for a"]


def test_a_span_that_will_never_run_is_not_waited_for() -> None:
    trace = loan(job(1, "deferred", "mail", depends_on="k1"), job(1, "started", "k1"), job(2, "failed", "k1"), now=3)
    waiting = waiting_on(trace, at(3))
    assert waiting is not None
    assert [one.span_id for one in waiting.waits] == ["loan"]


def test_running_spans_come_before_waiting_ones_and_older_ones_first() -> None:
    trace = loan(job(1, "enqueued", "d"), job(4, "started", "b"), job(3, "started", "c"), job(2, "started", "a"), now=9)
    waiting = waiting_on(trace, at(9))
    assert waiting is not None
    assert [one.span_id for one in waiting.waits] == ["a", "c", "b", "d"]
    assert (waiting.count, waiting.line) == (4, "a: running for 7 s +3 more")


UNWINDING = """
    loan      0..
      credit  1..2 +release
      funds   3..4 +refund
      rate    4..5 +unlock
      pay     5..6 failed
      u3      7..8 ~rate
      u2      9.. ~funds
        bank  10.. job
      audit   5..
    """


def test_a_compensating_trace_shows_how_far_it_is() -> None:
    trace = build_trace("T", events_of(UNWINDING), now=at(14))
    assert trace.verdict == "compensating"
    waiting = waiting_on(trace, at(14))
    assert waiting is not None
    assert [(one.span_id, one.undoing) for one in waiting.waits] == [("bank", "stage:funds"), ("audit", None)]
    assert waiting.line == "undoing stage:funds: 1 of 3 undone · bank: running for 4 s +1 more"


def test_a_failed_undo_is_said_while_the_saga_still_runs_and_no_undo_is_waited_for() -> None:
    trace = build_trace("T", events_of(UNWINDING.replace("9.. ~funds", "9..11 failed ~funds")), now=at(14))
    assert trace.verdict == "compensating"
    assert trace.summary == "failed at stage:pay · compensating: 1 of 3 steps undone, 1 still standing"
    ended = """
        loan      0..
          credit  1..2 +release
          funds   3..4 +refund
          pay     5..6 failed
          u2      7..8 ~funds
          u1      9..10 failed ~credit
        """
    trace = build_trace("T", events_of(ended), now=at(14))
    assert trace.summary == "failed at stage:pay · compensating: 1 of 2 steps undone, 1 still standing"
    waiting = waiting_on(trace, at(14))
    assert waiting is not None
    assert waiting.line == "workflow:loan: running for 14 s"


def test_long_silence_is_shown() -> None:
    trace = loan(job(1, "started"), now=2)
    found = {second: waiting_on(trace, at(second)) for second in (60, 61, 301)}
    assert [one and one.line for one in found.values()] == [
        "pay: running for 59 s",
        "pay: running for 1 min 00 s · no event for 1 min 00 s",
        "pay: running for 5 min 00 s · no event for 5 min 00 s",
    ]


def test_a_trace_that_has_ended_waits_on_nothing() -> None:
    assert waiting_on(build_trace("T", [], now=at(0)), at(0)) is None
    trace = loan(job(1, "started"), now=2)
    trace = build_trace("T", trace_events(job(1, "started")), now=at(1) + IDLE + 1)
    assert waiting_on(trace, trace.now) is None
    assert "Waiting on" not in incident_summary(trace, inert)


def test_a_later_event_changes_the_wait() -> None:
    trace = loan(job(1, "started"), job(5, "completed"), job(6, "started", "mail"), now=7)
    waiting = waiting_on(trace, at(7))
    assert waiting is not None
    assert waiting.line == "mail: running for 1 s"


def test_of_many_the_first_are_listed_and_all_are_counted() -> None:
    trace = loan(*(job(1 + n / 1000, "enqueued", f"j{n:03}") for n in range(500)), now=9)
    waiting = waiting_on(trace, at(9))
    assert waiting is not None
    assert (len(waiting.waits), waiting.count) == (MOST, 500)
    assert waiting.line == "j000: queued for 8 s +499 more"
    assert "- and 480 more\n" in incident_summary(trace, inert)


def test_the_summary_of_a_running_trace_lists_its_waits() -> None:
    hostile = job(2, "started", "x", job_name="\x1b[2J**evil**\nloan: succeeded")
    events = [job(1, "started"), job(2, "retrying", attempt=1, attempts_allowed=3, next_at=moment(30)), hostile]
    trace = loan(*events, now=18)
    text = incident_summary(trace, inert)
    assert "**Waiting on**\n- `" in text
    assert "\n- `pay`: retry 1 of 2 in 12 s\n" in text
    assert "\x1b" not in text
    assert "waiting_on" not in report(trace)
    unwinding = incident_summary(build_trace("T", events_of(UNWINDING), now=at(14)), inert)
    assert "\n- `bank` (undoes `stage:funds`): running for 4 s\n" in unwinding
