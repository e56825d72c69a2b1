"""Events that come late, twice or unreadable: the answers do not depend on the order of arrival."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest
from notation import LATER, START, event, events_of, moment

from sagatrace.event import TraceEvent
from sagatrace_tui.incident.report import report
from sagatrace_tui.incident.summary import incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import IDLE, Trace, build_trace, reading_anomalies


def built(*events: TraceEvent) -> Trace:
    """Return the trace of these events, and check that every other order gives the same answers."""
    whole = build_trace("T", events, now=LATER)
    orders = [*permutations(events)] if len(events) < 5 else [events[n:] + events[:n] for n in range(len(events))]
    for order in [*orders, events[::-1]]:
        trace = build_trace("T", order, now=LATER)
        assert (report(trace), list(trace.walk())) == (report(whole), list(whole.walk()))
    return whole


@pytest.mark.parametrize(
    ("phases", "statuses", "anomalies"),
    [
        ("started failed started", "failed running", []),
        ("enqueued started failed enqueued", "failed queued", []),
        ("started failed enqueued", "failed", []),  # its only enqueued event, from a clock that is ahead
        ("started failed enqueued started completed", "failed success", []),
        ("started completed started failed", "success failed", []),
        ("failed completed", "success", []),
        ("completed failed", "failed", ["conflicting_outcomes"]),
        ("failed failed", "failed", []),
        ("completed completed", "success", ["duplicate"]),
        ("started failed completed", "success", ["conflicting_outcomes"]),
    ],
)
def test_each_run_of_a_job_without_numbers_has_its_own_status(phases: str, statuses: str, anomalies: list[str]) -> None:
    trace = built(*(event(n, "J", f"job:{phase}") for n, phase in enumerate(phases.split())))
    assert [span.status for span in trace.spans.values()] == statuses.split()
    assert [one.kind for one in trace.anomalies if one.kind != "never_ended"] == anomalies


def test_silence_follows_events_that_come_while_a_clock_is_wrong() -> None:
    saga = "loan 0..\n  pay 3..4 failed !Closed:closed\n  late 3500.. job"
    events = [*events_of(saga), event(600, "more", "stage:more:started", "loan")]
    trace = build_trace("T", events, now=START + 5_000_000 + IDLE)
    assert (trace.status, trace.silence(trace.now)) == ("running", IDLE - 595_000_000)
    events.append(event(5, "early", "stage:early:started", "loan"))
    trace = build_trace("T", events, now=START + 5_000_000 + IDLE)
    assert trace.silence(trace.now) == IDLE - 595_000_000
    trace = build_trace("T", events, now=START + 601_000_000 + IDLE)
    assert (trace.status, trace.verdict) == ("failed", "failed")
    assert ", silent since 2025-01-01 00:10:00.000Z, " in incident_summary(trace, inert)


def test_two_documents_of_one_id_are_an_anomaly_unless_the_other_was_only_presumed() -> None:
    started = event(0, "J", "job:started")
    failed = event(1, "J", "job:failed", id="x:end", data={"error": "a"})
    other = event(1, "J", "job:failed", id="x:end", data={"error": "b"})
    presumed = event(9, "J", "job:abandoned", id="x:end", data={"presumed": True})
    for events in ([started, failed, other], [other, started, failed]):
        trace = build_trace("T", events, now=LATER)
        assert [(one.kind, one.span_ids) for one in trace.anomalies] == [("duplicate", ("J",))]
        assert trace.spans["J"].error == "a"
    trace = built(started, presumed, failed)
    assert (trace.anomalies, trace.spans["J"].error) == ((), "a")


def test_events_that_cannot_be_read_in_full_are_anomalies() -> None:
    good = event(0, "A", "stage:a:completed")
    no_time = msgspec.structs.replace(good, id="1", span_id="B", timestamp="2025-13-01T00:00:00.000000Z")
    odd_data = msgspec.structs.replace(good, id="2", raw_data=msgspec.Raw(b'["not", "an object"]'))
    found = reading_anomalies([("doc-9", "not JSON")])
    for events in permutations([good, no_time, odd_data]):
        trace = build_trace("T", events, now=LATER, anomalies=found)
        assert trace.spans.keys() == {"A"}
        assert [one.detail for one in trace.anomalies[:3]] == [
            "document doc-9: not JSON",
            "event 1: timestamp '2025-13-01T00:00:00.000000Z' is not ISO 8601: month must be in 1..12",
            "event 2: its data is not a JSON object",
        ]


def test_the_links_of_steps_and_undos_are_read_beside_events_without_or_with_unreadable_data() -> None:
    step = event(0, "A", "stage:a:started", data={"compensation": "undo_a"})
    silent = event(1, "A", "stage:a:completed")
    odd = msgspec.structs.replace(event(2, "B", "job:started"), raw_data=msgspec.Raw(b"[1]"))
    undo = event(3, "U", "undo_a:compensated", data={"original_span_id": "A"})
    for events in ([step, undo], [step, silent, undo], [step, odd, undo], [step, silent, odd, undo]):
        trace = build_trace("T", events, now=LATER)
        assert (trace.spans["A"].compensation, trace.spans["U"].original_span_id) == ("undo_a", "A")
        found = [one.span_ids for one in trace.anomalies if one.kind == "malformed"]
        assert found == ([("B",)] if odd in events else [])


def test_a_document_without_a_time_replaces_no_other_of_its_id() -> None:
    good = event(0, "A", "stage:a:completed", id="1")
    no_time = msgspec.structs.replace(good, timestamp="1")  # as text it sorts first, like the kept document
    trace = built(good, no_time)
    assert (trace.verdict, [one.kind for one in trace.anomalies]) == ("succeeded", ["malformed"])


def test_times_that_only_together_have_the_format_of_times_are_anomalies() -> None:
    good = event(0, "A", "stage:a:completed", id="1")
    two = msgspec.structs.replace(good, id="2", timestamp=moment(1) + moment(2))
    none = msgspec.structs.replace(good, id="3", timestamp="")
    trace = built(good, two, none)
    assert (trace.event_count, [one.kind for one in trace.anomalies]) == (1, ["malformed", "malformed"])


def test_the_data_of_a_replaced_document_is_not_an_anomaly() -> None:
    good = event(0, "A", "stage:a:completed", id="1", data={"a": 1})
    odd_data = msgspec.structs.replace(good, event_type="stage:b:completed", raw_data=msgspec.Raw(b"7"))
    assert [one.kind for one in built(odd_data, good).anomalies] == ["duplicate"]


def test_an_undo_that_turns_out_to_be_below_its_step_may_end_before_it() -> None:
    """A step undoes itself, then reports that it was stopped. The job that undid it arrives late."""
    undone = [
        event(0, "A", "stage:a:started", data={"compensation": "undo_a"}),
        event(1, "B", "stage:b:started", "A", data={"compensation": "undo_b"}),
        event(3, "U", "undo_a:compensating", "J", data={"original_span_id": "A"}),
        event(4, "U", "undo_a:compensated", "J"),
        event(5, "B", "stage:b:failed", "A", data={"error": "x"}),
        event(6, "A", "stage:a:stopped"),
    ]
    job = event(2, "J", "job:failed", "B", data={"error": "x"})
    assert [one.span_id for one in built(*undone).still_standing] == ["A"]
    assert built(*undone, job).still_standing == ()


def test_a_successful_end_counts_also_after_an_instant_with_that_status() -> None:
    events = [
        event(0, "A", "note", status="success"),
        event(1, "J", "job:failed", "A", data={"error": "x"}),
        event(2, "A", "stage:a:completed"),
    ]
    assert built(*events[:2]).roles == {"J": "cause"}
    assert built(*events).roles == {"J": "recovered"}


def test_a_trace_waits_for_a_later_retry_or_start_unless_it_is_over() -> None:
    """A failed attempt with a retry in an hour, and a job scheduled for then, with an open and an ended root."""
    hour, idle, then = START + 3_600_000_000, IDLE + 1, "2025-01-01T01:00:00Z"
    root, job = event(0, "R", "workflow:r:started"), event(1, "J", "job:started", "R")
    retrying = event(2, "J", "job:retrying", "R", data={"error": "x", "next_at": then})
    scheduled = event(2, "J", "job:scheduled", "R", data={"scheduled_for": then})
    over, failed = event(3, "R", "workflow:r:completed"), event(3, "R", "workflow:r:failed")
    undone = {"original_span_id": "S"}
    undo = event(4, "U", "job:started", "R", data=undone)
    for events, waited_for in (
        ([root, job, retrying], True),
        ([root, job, retrying, over], True),
        ([root, job, retrying, failed], False),
        ([root, failed, undo, event(5, "U", "job:retrying", "R", data={"next_at": then})], True),
        ([root, failed, event(4, "U", "job:scheduled", "R", data={**undone, "scheduled_for": then})], True),
        ([root, scheduled], True),
        ([root, scheduled, over], False),
        ([root, scheduled, event(3, "J", "job:canceled", "R")], False),
    ):
        for now, is_running in ((hour - 1_000_000, waited_for), (hour + IDLE, waited_for), (hour + idle, False)):
            trace = build_trace("T", events, now=now)
            assert (trace.status == "running", trace.is_idle(now)) == (is_running, not is_running), (events, now)


def test_a_late_parent_gets_its_children() -> None:
    child, parent = event(2, "C", "stage:c:failed", "P"), event(1, "P", "workflow:p:started")
    trace = built(child)
    assert (list(trace.missing_parents), list(trace.roots), trace.failure_path) == (["P"], [], ("C",))
    trace = built(child, parent)
    assert (list(trace.missing_parents), list(trace.roots), trace.failure_path) == ([], ["P"], ("P", "C"))


def test_few_equal_times_among_many_events_are_ordered_by_id() -> None:
    """The usual case has separate code: nearly all times differ, and most events arrive in order."""
    events = [event(n / 10, f"s{n % 7}", "stage:x:progress", id=f"{n:03}") for n in range(100)]
    ties = [event(5, "s1", "stage:x:progress", id=one, data={"host": one}) for one in ("z", "y", "x")]
    given = [*events[50:], *ties, *events[:50]]
    trace = build_trace("T", given, now=LATER)
    for span in trace.spans.values():
        assert list(span.events) == sorted(span.events, key=lambda one: (one.timestamp, one.id))
    assert [one.id for one in trace.spans["s1"].events if one.timestamp == ties[0].timestamp] == ["050", "x", "y", "z"]


def test_a_late_parent_places_its_children_below_the_span_that_recovered_their_failure() -> None:
    trace = built(
        event(0, "loan", "workflow:loan:started"),
        event(3, "C", "stage:c:failed", "P"),
        event(9, "loan", "workflow:loan:completed"),
        event(1, "P", "stage:p:started", "loan"),
    )
    assert (trace.verdict, trace.roles) == ("succeeded", {"C": "recovered"})


@pytest.mark.parametrize(
    "late",
    [
        [event(10, "send", "job:progress", data={"compensation": "recall"})],
        [
            event(11, "u", "recall:compensated", "loan"),
            event(10, "u", "recall:compensating", "loan", data={"original_span_id": "send"}),
        ],
        [event(10, "u", "job:started", "loan"), event(11, "u", "job:progress", data={"original_span_id": "send"})],
    ],
    ids=["it declares", "its undo names it", "a job turns out to undo it"],
)
def test_a_job_with_its_own_end_no_longer_decides_the_outcome_of_its_step(late: list[TraceEvent]) -> None:
    events = [
        event(0, "loan", "workflow:loan:started"),
        event(1, "pay", "stage:pay:started", "loan", data={"compensation": "refund"}),
        event(2, "send", "job:started", "pay"),
        event(3, "pay", "stage:pay:failed", "loan"),
        event(4, "send", "job:completed", "pay"),
        event(9, "loan", "workflow:loan:failed"),
    ]
    assert [one.span_id for one in built(*events).still_standing] == ["pay"]
    assert "pay" not in [one.span_id for one in built(*events, *late).still_standing]


def test_a_later_run_of_a_job_recovers_no_earlier_one() -> None:
    trace = built(
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
    assert trace.roles == {"A": "independent", "A#2": "independent", "B": "independent", "C": "cause"}


def test_work_belongs_to_the_run_of_its_execution_also_beside_a_stage_of_that_run() -> None:
    trace = built(
        event(0, "job", "job:started", data={"execution": "x1"}),
        event(1, "stage", "stage:s:started", "job", data={"execution": "x1"}),
        event(2, "stage", "stage:s:completed", "job"),
        event(3, "job", "job:completed", data={"execution": "x1"}),
        event(5, "stage", "stage:s:started", "job", data={"execution": "x2"}),
        event(6, "work", "stage:w:started", "job", data={"execution": "x2"}),
        event(7, "work", "stage:w:completed", "job"),
        event(8, "stage", "stage:s:completed", "job"),
        event(9, "job", "job:completed", data={"execution": "x2"}),
    )
    assert [trace.spans[one].parent_id for one in ("stage", "stage#2", "work")] == ["job", "job#2", "job#2"]


def test_a_stage_that_failed_at_last_recovers_nothing() -> None:
    trace = built(
        event(0, "S", "stage:s:started"),
        event(1, "C", "job:failed", "S"),
        event(2, "S", "stage:s:completed"),
        event(3, "S", "stage:s:failed"),
    )
    assert trace.roles == {"C": "cause", "S": "consequence"}


def test_a_time_of_another_precision_is_sorted_by_its_moment() -> None:
    short = msgspec.structs.replace(event(0, "B", "stage:b:started", "loan"), timestamp="2025-01-01T00:00:01Z")
    trace = built(event(0, "loan", "workflow:loan:started"), event(1.5, "A", "stage:a:started", "loan"), short)
    assert trace.children["loan"] == ["B", "A"]


def test_silence_ends_a_trace_without_an_event() -> None:
    first = event(0, "A", "stage:a:started")
    trace = build_trace("T", [first], now=first.micros + IDLE)
    assert (trace.verdict, trace.ended_at) == ("running", None)
    trace = build_trace("T", [first], now=first.micros + IDLE + 1)
    assert (trace.verdict, [one.kind for one in trace.anomalies]) == ("unknown", ["never_ended"])


def test_a_saga_killed_while_it_undid_itself_is_unconfirmed_before_the_trace_ends() -> None:
    events = events_of("""
    loan     0..
      buy    1..6 failed job exec=x
        pay  2.. saga exec=x unwind=4.. +refund
      send   5.. job
    """)
    trace = build_trace("T", events, now=START + 7_000_000)
    assert [(one.span_id, one.code) for one in trace.still_standing] == [("pay", "unconfirmed")]
    assert [(row.span_id, row.outcome) for row in trace.compensations] == [("pay", "unconfirmed")]
