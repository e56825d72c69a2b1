"""What comes late, twice or unreadable: a trace that grew says what one folded at once does."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from notation import LATER, START, event, events_of

from sagatrace.events import TraceEvent
from sagatrace_tui.labels import inert
from sagatrace_tui.model import IDLE, Trace, build_trace, reading_anomalies
from sagatrace_tui.views.incident_summary import incident_summary
from sagatrace_tui.views.report import report


def grown_one_by_one(events: list[TraceEvent]) -> Trace:
    trace = build_trace("T", [], now=LATER)
    for one in events:
        trace.add([one])
    return trace


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


def test_silence_follows_events_that_come_while_a_clock_is_wrong() -> None:
    saga = "loan 0..\n  pay 3..4 failed !Closed:closed\n  late 3500.. job"
    trace = build_trace("T", events_of(saga), now=START + 10_000_000)
    trace.add([event(600, "more", "stage:more:started", "loan")], now=START + 5_000_000 + IDLE)
    assert (trace.status, trace.silence(trace.now)) == ("running", IDLE - 595_000_000)
    trace.add([event(5, "early", "stage:early:started", "loan")])
    assert trace.silence(trace.now) == IDLE - 595_000_000
    trace.add([], now=START + 601_000_000 + IDLE)
    assert (trace.status, trace.verdict) == ("failed", "failed")
    assert ", silent since 2025-01-01 00:10:00.000Z, " in incident_summary(trace, inert)


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
        ([root, job, retrying, event(3, "R", "workflow:r:failed")], False),
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
    assert (trace, report(trace)) == (whole, report(whole))
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


def test_silence_ends_a_trace_without_an_event() -> None:
    first = event(0, "A", "stage:a:started")
    trace = build_trace("T", [first], now=first.micros + IDLE)
    assert (trace.verdict, trace.ended_at) == ("running", None)
    trace.add([], now=first.micros + IDLE + 1)
    assert (trace.verdict, [one.kind for one in trace.anomalies]) == ("unknown", ["never_ended"])
