"""Properties of every trace: order, repetition, loss and hostile text do not break an answer."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from notation import START, Saga, events_of, read
from saga_tables import ALL

from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.stores.codec import decode_documents, decode_event
from sagatrace_tui.incident.report import report
from sagatrace_tui.incident.summary import incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import IDLE, Trace, build_trace, fold_span
from sagatrace_tui.model.attempts import read_attempts
from sagatrace_tui.model.event_data import data_of
from scale import examples

NOW = START + 10**9
PHASES = ["enqueued", "deferred", "started", "retrying", "completed", "failed", "stopped", "canceled", "abandoned",
          "compensating", "compensated", "compensation_failed", "progress"]  # fmt: skip
HOSTILE = ["", "\x1b[2J", "a\nb", "\u202eevil", "[red]x[/]", "`rm`", "\x00", "𝕏" * 40, "**", "null", "\\u0063", "é"]
NO_OBJECTS = [b"[1]", b'"text"', b"7", b"null"]
# Forms of timestamps: those of our writers, which sort as text, and others.
WRITINGS = [([".000000", ".000001", ".500000"], ["Z"]), (["", ".5", ".000001", ",25"], ["Z", "+00:00", ""])]


def random_forest(rnd: random.Random) -> list[TraceEvent]:
    """Return a few spans with random parents, undos and errors, some of them impossible."""
    spans = [rnd.choice(HOSTILE) + str(n) for n in range(rnd.randint(1, 7))]
    fractions, zones = rnd.choice(WRITINGS)
    events = []
    for n in range(rnd.randint(1, 18)):
        data: dict[str, Any] = {}
        for key, values in {
            "original_span_id": spans,
            "compensation": HOSTILE,
            "error": [*HOSTILE, 7, None, ["x"]],
            "error_type": ["TimeoutError", "Boom", *HOSTILE],
            "attempt": [1, 2, 3, "1", None],
            "depends_on": [*spans, spans, 5],
            "presumed": [True, False, "yes"],
            "seq": [0, 1, 2, "x"],
            "job_name": ["pay", *HOSTILE],
        }.items():
            if rnd.random() < 0.15:
                data[key] = rnd.choice(values)
        second, fraction = rnd.randint(0, 6), rnd.choice(fractions)
        event = new_event(
            id=f"e{rnd.randint(0, 9)}-{n if rnd.random() < 0.9 else 0}",
            trace_id="T",
            span_id=rnd.choice(spans),
            parent_span_id=rnd.choice([None, *spans, "ghost"]),
            event_type=f"{rnd.choice(['stage:x', 'job', 'saga', 'x:compensation', 'odd'])}:{rnd.choice(PHASES)}",
            timestamp=f"2025-01-01T00:00:{second:02}{fraction}{rnd.choice(zones)}",
            status=rnd.choice([None, None, "success", "failed", "pending"]),
            data=data,
            tags=rnd.choice([None, ["x"]]),
        )
        if rnd.random() < 0.05:
            event = msgspec.structs.replace(event, raw_data=msgspec.Raw(rnd.choice(NO_OBJECTS)))
        events.append(event)
    return events


def random_saga(rnd: random.Random) -> list[TraceEvent]:
    """Return nested stages and jobs, most with all phases: some fail, some are retried, some undo others."""
    phases: list[tuple[int, str, str, str | None, dict[str, Any]]] = []
    spans = [f"s{n}" for n in range(rnd.randint(3, 10))]
    for n, span in enumerate(spans):
        parent, kind = (
            (rnd.choice(spans[:n]) if n else None),
            rnd.choice(["stage:x", "stage:y", "job", "job", "undo_x"]),
        )
        data: dict[str, Any] = {"job_name": rnd.choice(["pay", "ship"])} if kind == "job" else {}
        if rnd.random() < 0.3:
            data["compensation"] = "undo"
        if kind == "undo_x":
            data["original_span_id"] = rnd.choice(spans)
        opening, succeeded, failed = (
            ("compensating", "compensated", "compensation_failed")
            if kind == "undo_x"
            else (rnd.choice(["started", "started", "deferred"]), "completed", "failed")
        )
        start = rnd.randint(0, 40)
        phases.append((start, span, f"{kind}:{opening}", parent, data))
        if rnd.random() < 0.2:
            phases.append((start, span, f"{kind}:retrying", parent, {"error": "e"}))
            phases.append((start + 1, span, f"{kind}:started", parent, {}))
        ends = rnd.choices(
            [[succeeded], [failed], ["stopped"], ["abandoned"], [], [succeeded, failed]], [9, 8, 1, 1, 1, 1]
        )[0]
        over = {"error": rnd.choice("ab")}
        phases += [(start + rnd.randint(0, 20), span, f"{kind}:{end}", parent, over) for end in ends]
    return [
        new_event(
            id=f"e{n}", trace_id="T", span_id=span, event_type=event_type, parent_span_id=parent, data=data,
            timestamp=f"2025-01-01T00:{second // 60:02}:{second % 60:02}.{rnd.randint(0, 3) * 40_000:06}Z",
        )
        for n, (second, span, event_type, parent, data) in enumerate(phases)
    ]  # fmt: skip


forests = st.randoms(use_true_random=False).map(random_forest)
# One draw a forest instead of two hundred: ten times as many in the same time, but without shrinking.
seeded_sagas = st.integers(0, 2**63).map(lambda seed: random_saga(random.Random(seed)))
seeded_forests = st.integers(0, 2**63).map(lambda seed: random_forest(random.Random(seed)))


def was_caught(trace: Trace, span_id: str) -> bool:
    """Return whether a span above failed of the error of a step that began after this failure, or of its StepError."""
    for above in map(trace.spans.__getitem__, trace.ancestors_of(span_id)):
        steps = map(trace.spans.__getitem__, trace.children[above.span_id])
        later = [one for one in steps if one.has_failed and one.first_at >= trace.spans[span_id].over_at]
        errors = [(one.error_type, one.error) for one in later if one.error is not None]
        of_jobs = [("StepError", f"{one.short_name}: {one.error_type}: {one.error}") for one in later]
        if (above.error_type, above.error) in [*errors, *of_jobs]:
            return True
    return False


def check(trace: Trace) -> None:
    """Check all facts that hold for any trace."""
    placed = [span_id for _, span_id in trace.walk() if span_id in trace.spans]
    assert sorted(placed) == sorted(trace.spans), "every span is in the tree once"
    for span_id, span in trace.spans.items():
        assert (span_id in trace.roles) >= span.has_failed, "every failed span has a role"
        if span.interruption is not None:
            assert fold_span(span.events).is_open, "only an open span is interrupted"
            continue
        if all(data_of(event).attempt is None for event in span.events):  # the state machine does not read numbers
            assert span.status == read_attempts(span.events).status, "the short way and the long way agree"
        assert span.status == fold_span(span.events).status
    roles = list(trace.roles.values())
    is_failure = trace.cause is not None and trace.cause.status not in ("stopped", "canceled")
    assert roles.count("cause") == is_failure, "a cause is a failure, or where the trace was stopped"
    path = trace.failure_path
    assert bool(path) == (trace.cause is not None)
    assert all(trace.roles.get(one) not in ("recovered", "compensation") or one != path[-1] for one in path)
    assert all(child in trace.children[parent] for parent, child in pairwise(path)), "the path is a path"
    if path:
        assert path[0] in trace.roots or trace.spans[path[0]].parent_id in trace.missing_parents
        assert path[-1] == trace.cause.span_id if trace.cause else False
    above: set[str] = set()
    line: list[str] = []
    tops: dict[str, str] = {}
    for depth, span_id in trace.walk():
        line[depth:] = [span_id]
        tops[span_id] = line[0]
        if trace.roles.get(span_id) in ("cause", "independent", "consequence"):
            # A failure that began after a span had failed is not its cause.
            began = trace.spans[span_id].first_at
            above.update(one for one in line[:-1] if one in trace.spans and trace.spans[one].over_at >= began)
    leaves = [one for one, role in trace.roles.items() if role in ("cause", "independent")]
    assert above.isdisjoint(leaves), "a failure with one below it that counts is what follows from that"
    if "cause" in roles and trace.cause:  # of several sagas, the one with the worst verdict has the cause
        beside = [trace.spans[one] for one in leaves if tops[one] == tops[trace.cause.span_id]]
        earlier = [span for span in beside if span.over_at < trace.cause.over_at]
        assert all(was_caught(trace, span.span_id) for span in earlier), "the failures before the cause were caught"
    standing = {one.span_id for one in trace.still_standing}
    assert len(standing) == len(trace.still_standing)
    assert trace.verdict != "rolled_back" or not standing
    assert (trace.verdict == "rollback_missing") <= bool(standing)
    answer = report(trace)
    assert json.loads(json.dumps(answer)) == answer
    text = incident_summary(trace, inert)
    assert text == "\n".join(inert(line) for line in text.split("\n")), "nothing active reaches the text"


@settings(max_examples=examples(400, heavy=10_000), deadline=None)
@given(events=seeded_forests, idle=st.booleans())
def test_random_forests(events: list[TraceEvent], idle: bool) -> None:
    """No forest, even an impossible one, breaks an answer."""
    check(build_trace("T", events, now=NOW if idle else START + IDLE))


@settings(max_examples=examples(100, heavy=400), deadline=None)
@given(events=forests | seeded_sagas, rnd=st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(events: list[TraceEvent], rnd: random.Random) -> None:
    whole = build_trace("T", events, now=NOW)
    shuffled = [*events, *rnd.choices(events, k=len(events))]
    rnd.shuffle(shuffled)
    again = build_trace("T", shuffled, now=NOW)
    assert report(again) == report(whole)
    assert list(again.walk()) == list(whole.walk())


@settings(max_examples=examples(100, heavy=300), deadline=None)
@given(events=forests)
def test_any_event_may_be_missing(events: list[TraceEvent]) -> None:
    for missing in range(len(events)):
        check(build_trace("T", events[:missing] + events[missing + 1 :], now=NOW))


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_any_event_and_any_span_of_a_saga_may_be_missing(saga: Saga) -> None:
    now, events = read(saga).now, events_of(saga.text)
    spans = dict.fromkeys(event.span_id for event in events)
    for lost in ([event] for event in events), ([one for one in events if one.span_id == span] for span in spans):
        for missing in lost:
            check(build_trace("T", [event for event in events if event not in missing], now=now))


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_the_answers_to_a_saga_do_not_depend_on_order_or_repetition(saga: Saga) -> None:
    whole, events = read(saga), events_of(saga.text)
    twice = [*events, *events]
    random.Random(saga.title).shuffle(twice)
    for order in (events[::-1], twice):
        trace = build_trace("T", order, now=whole.now)
        assert report(trace) == report(whole)
        assert list(trace.walk()) == list(whole.walk())


@settings(max_examples=examples(100, heavy=300), deadline=None)
@given(events=forests)
def test_many_documents_are_read_like_single_ones(events: list[TraceEvent]) -> None:
    documents = [(event.id, encode_event(event)) for event in events]
    assert decode_documents(documents) == (events, [])
    assert [decode_event(document) for _, document in documents] == events


@example(edges=[1, 2, 0], late=False)
@example(edges=[0], late=False)
@example(edges=[0], late=True)
@given(edges=st.lists(st.integers(0, 11), min_size=1, max_size=12), late=st.booleans())
def test_cycles_and_self_parents_end(edges: list[int], late: bool) -> None:
    """Any graph of parents becomes a forest, and each cycle is reported once, cut at its earliest span.

    `late`: only the second event of each span names its parent.
    """
    events = [
        new_event(
            id=f"{n}-{phase}", trace_id="T", span_id=str(n), event_type=f"stage:x:{phase}",
            parent_span_id=str(parent % len(edges)) if phase == "failed" or not late else None,
            timestamp=f"2025-01-01T00:{minute:02}:{n:02}Z",
        )
        for minute, phase in enumerate(("started", "failed"))
        for n, parent in enumerate(edges)
    ]  # fmt: skip
    trace = build_trace("T", events, now=NOW)
    check(trace)
    cycles = [set(one.span_ids) for one in trace.anomalies if one.kind == "cycle"]
    assert len(trace.roots) == len(cycles) > 0
    assert all(min(cycle, key=int) in trace.roots for cycle in cycles)
