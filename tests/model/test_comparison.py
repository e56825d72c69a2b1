"""The comparison of two traces: differences, equal parts, and the steps that would have run next."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notation import LATER, events_of
from saga_tables import ALL
from test_properties import random_forest, random_saga

from sagatrace.event import TraceEvent
from sagatrace_tui.incident.alignment import Places, Steps
from sagatrace_tui.incident.comparison import SLOWER_LEAST, compare
from sagatrace_tui.incident.comparison_text import Words, comparison_report
from sagatrace_tui.incident.differences import Comparison, Difference, Kind
from sagatrace_tui.labels import duration, inert
from sagatrace_tui.model import Trace, build_trace
from scale import examples

GOOD = """
    loan      0..9
      credit  1..2 +release
        a     1..2 job named=shop.reserve
      pay     3..4
        b     3..4 job named=shop.pay
      notify  5..6
        c     5..6 job named=shop.mail
    """
WORDS = Words(inert, duration)


@dataclass(frozen=True)
class Row:
    """A failed run beside `GOOD`: its differences as `kind step: there | here`, then its notes."""

    title: str
    text: str
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    good: str = GOOD


ROWS = [
    Row("the same", GOOD),
    Row("names are aligned, not ids", GOOD.replace("a     1", "x1    1").replace("c     5", "zz    5")),
    Row("a job's package does not matter", GOOD.replace("shop.", "other.place.")),
    Row(
        "it failed at one step, and the rest did not run",
        """
        loan      0..9 failed !Refused:no
          credit  1..2 +release
            a     1..2 job named=shop.reserve
          pay     3..4 failed !Refused:no
            b     3..4 failed job named=shop.pay !Refused:no
          u       7..8 ~credit
            r     7..8 job named=shop.release
        """,
        (
            "outcome pay → pay: success in 1.00s | failed after 1.00s: Refused: no",
            "missing notify +1 below: success in 1.00s | —",
        ),
        ("undone here: stage:credit", "would have run next: notify +1 below"),
    ),
    Row(
        "a step that the rollback left standing",
        """
        loan      0..9 failed !Refused:no
          credit  1..2 +release
            a     1..2 job named=shop.reserve
          pay     3..4 failed !Refused:no
            b     3..4 failed job named=shop.pay !Refused:no
        """,
        (
            "outcome pay → pay: success in 1.00s | failed after 1.00s: Refused: no",
            "missing notify +1 below: success in 1.00s | —",
        ),
        ("undo never started here: stage:credit", "would have run next: notify +1 below"),
    ),
    Row(
        "a rollback by jobs is not a new step",
        """
        loan      0..9 failed !Refused:no
          credit  1..2 +release
            a     1..2 job named=shop.reserve
          pay     3..4
            b     3..4 job named=shop.pay
          notify  5..6 failed !Refused:no
            c     5..6 failed job named=shop.mail !Refused:no
          undo    7..8 job named=shop.undo
            u     7..8 failed ~credit !Down:bureau
        """,
        ("outcome notify → mail: success in 1.00s | failed after 1.00s: Refused: no",),
        ("undo failed here: stage:credit",),
    ),
    Row(
        "a step that was left out before it failed would not have run next",
        """
        loan      0..9 failed !Refused:no
          pay     3..4 failed !Refused:no
            b     3..4 failed job named=shop.pay !Refused:no
        """,
        (
            "outcome pay → pay: success in 1.00s | failed after 1.00s: Refused: no",
            "missing credit +1 below: success in 1.00s | —",
            "missing notify +1 below: success in 1.00s | —",
        ),
        ("would have run next: notify +1 below",),
    ),
    Row(
        "a further step that fails",
        """
        loan      0..9 failed !Refused:no
          credit  1..2 +release
            a     1..2 job named=shop.reserve
          insure  2..2.5 failed !Refused:no
        """,
        (
            "missing pay +1 below: success in 1.00s | —",
            "missing notify +1 below: success in 1.00s | —",
            "new insure: — | failed after 500ms: Refused: no",
        ),
        ("undo never started here: stage:credit", "would have run next: pay +1 below, notify +1 below"),
    ),
    Row(
        "a slower job, and nothing of the steps around it",
        GOOD.replace("c     5..6", "c     5..8").replace("notify  5..6", "notify  5..8").replace("0..9", "0..11"),
        ("slower notify → mail: 1.00s | 3.00s ×3",),
    ),
    Row(
        "a stage that is slower by itself",
        GOOD.replace("notify  5..6", "notify  5..8"),
        ("slower notify: 1.00s | 3.00s ×3",),
    ),
    Row(
        "a faster job",
        GOOD.replace("c     5..6", "c     5..5.1").replace("notify  5..6", "notify  5..5.1"),
        ("faster notify → mail: 1.00s | 100ms",),
    ),
    Row("a little slower is nothing", GOOD.replace("c     5..6", "c     5..6.4")),
    Row(
        "many times slower and still short is nothing",
        GOOD.replace("c     5..6", "c     5..5.049"),
        good=GOOD.replace("c     5..6", "c     5..5.001"),
    ),
    Row(
        "more attempts",
        GOOD.replace("b     3..4", "b     3..3.1:retry 3.5..4"),
        ("attempts pay → pay: 1 attempt | 2 attempts",),
    ),
    Row(
        "one more of a name",
        """
        loan      0..9
          i1      1..2 named=item
          i2      3..4 named=item
          i3      5..6 named=item
          i4      6..7 named=item
        """,
        ("new item ×2: — | success in 1.00s",),
        good="""
        loan      0..9
          j1      1..2 named=item
          j2      2..3 named=item
        """,
    ),
    Row(
        "another error at the same step",
        "loan 0..1 failed !Closed:account closed",
        ("error loan: Refused: balance 3 too low | Closed: account closed",),
        good="loan 0..1 failed !Refused:balance 3 too low",
    ),
    Row(
        "the same error with other values",
        "loan 0..1 failed !Refused:balance 47 of T-17 too low",
        good="loan 0..1 failed !Refused:balance 3 of T-9 too low",
    ),
    Row(
        "a job that waits for a failed one",
        """
        loan   0..9 failed
          a    1..2 failed job !E:x
          b    d1 job needs=a
        """,
        (
            "outcome a: success in 1.00s | failed after 1.00s: E: x",
            "outcome b: success in 1.00s | never started",
        ),
        ("would have run next: b",),
        good="""
        loan   0..9
          a    1..2 job
          b    d1 3..4 job needs=a
        """,
    ),
    Row(
        "a trace that still runs",
        """
        loan      0..
          credit  1..2 +release
            a     1..2 job named=shop.reserve
          pay     3..
            b     3.. job named=shop.pay
        """,
        ("outcome pay → pay: success in 1.00s | running", "missing notify +1 below: success in 1.00s | —"),
        ("would have run next: notify +1 below",),
    ),
]


def trace_of(events: list[TraceEvent], now: int = LATER) -> Trace:
    return build_trace("T", events, now=now)


def now_of(text: str) -> Trace:
    events = events_of(text)
    return trace_of(events, max(event.micros for event in events) + 1_000_000)


def shown(comparison: Comparison) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = ((one, WORDS.step(one).replace("stage:", ""), *WORDS.sides(one)) for one in comparison.differences)
    notes = (f"{title}: {text}" for title, text in WORDS.notes(comparison))
    return (
        tuple(f"{one.kind} {step.replace('workflow:', '')}: {there} | {here}" for one, step, there, here in rows),
        tuple(note if note.startswith("und") else note.replace("stage:", "") for note in notes),
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_a_run_beside_a_good_one(row: Row) -> None:
    assert shown(compare(now_of(row.text), now_of(row.good))) == (row.differences, row.notes)


def mirrored(comparison: Comparison) -> list[Difference]:
    """Return the differences as seen from the other trace."""
    kinds = {Kind.MISSING: Kind.NEW, Kind.NEW: Kind.MISSING, Kind.SLOWER: Kind.FASTER, Kind.FASTER: Kind.SLOWER}
    return [
        msgspec.structs.replace(one, kind=kinds.get(one.kind, one.kind), here=one.there, there=one.here)
        for one in comparison.differences
    ]


def sorted_of(differences: Any) -> list[str]:
    return sorted(repr(msgspec.structs.replace(one, near=None)) for one in differences)


def check(trace: Trace, other: Trace) -> None:
    """Check all facts that hold for any two traces."""
    comparison, back = compare(trace, other), compare(other, trace)
    assert sorted_of(comparison.differences) == sorted_of(mirrored(back))
    assert (comparison.undone_here, comparison.undone_there) == (back.undone_there, back.undone_here)
    assert comparison.in_both == back.in_both
    for one, kind in ((trace, Kind.NEW), (other, Kind.MISSING)):
        lone = sum(diff.count + diff.below for diff in comparison.differences if diff.kind is kind)
        assert comparison.in_both + lone == len(Steps.of(one, Places()).at), "each step is in both, missing or new"
        assert compare(one, one).is_empty, "a trace does not differ from itself"
    for diff in comparison.differences:
        assert diff.near is None or diff.near in trace.spans
        if diff.kind is Kind.SLOWER and diff.here and diff.there:
            assert (diff.here.took or 0) - (diff.there.took or 0) >= SLOWER_LEAST
    assert set(comparison.would_run_next) <= set(comparison.differences)
    answer = comparison_report(comparison)
    assert json.loads(json.dumps(answer)) == answer
    lines = [text for one in comparison.differences for text in (WORDS.step(one), *WORDS.sides(one))]
    lines += [text for note in WORDS.notes(comparison) for text in note]
    assert all(inert(line) == line for line in lines), "nothing active reaches the text"


seeds = st.integers(0, 2**63)


@settings(max_examples=examples(300, heavy=5_000), deadline=None)
@given(seed=seeds, other=seeds)
def test_random_traces(seed: int, other: int) -> None:
    for make in (random_saga, random_forest):
        check(*(trace_of(make(random.Random(one))) for one in (seed, other)))


@settings(max_examples=examples(100, heavy=2_000), deadline=None)
@given(seed=seeds, rnd=st.randoms(use_true_random=False))
def test_a_saga_that_lost_events_beside_itself(seed: int, rnd: random.Random) -> None:
    events = random_saga(random.Random(seed))
    check(trace_of([one for one in events if rnd.random() < 0.8]), trace_of(events))


@settings(max_examples=examples(100, heavy=2_000), deadline=None)
@given(seed=seeds, other=seeds, rnd=st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(seed: int, other: int, rnd: random.Random) -> None:
    first, second = (random_saga(random.Random(one)) for one in (seed, other))
    shuffled = rnd.sample(first, len(first)), rnd.sample(second, len(second))
    assert compare(*map(trace_of, shuffled)) == compare(trace_of(first), trace_of(second))


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_every_saga_of_the_tables_beside_the_next(saga: Any) -> None:
    following = ALL[(ALL.index(saga) + 1) % len(ALL)]
    check(trace_of(events_of(saga.text)), trace_of(events_of(following.text)))


def test_a_very_deep_trace_ends() -> None:
    """The comparison does not recurse, and does not walk a path again for each span."""
    text = "\n".join(f"s{n} {n}..{n + 1} {f'under=s{n - 1}' if n else ''}" for n in range(3000))
    events = events_of(text)
    comparison = compare(trace_of(events), trace_of(events[:4000]))
    assert [(one.kind, one.count, one.below) for one in comparison.differences] == [(Kind.NEW, 1, 999)]
    assert len(comparison.differences[0].above) == 8


def test_the_json_has_these_keys() -> None:
    """Programs rely on these keys."""
    answer = comparison_report(compare(now_of(ROWS[3].text), now_of(GOOD)))
    run = {"trace_id", "name", "verdict", "started_at", "duration_ms", "span_count"}
    side = {"span_id", "status", "attempts", "error", "error_type", "duration_ms"}
    assert {key: set(value) for key, value in answer.items() if isinstance(value, dict)} == {"here": run, "there": run}
    assert set(answer) == {
        "here", "there", "differences", "undone_here", "undone_there", "would_run_next", "steps_in_both",
    }  # fmt: skip
    outcome, missing = answer["differences"]
    assert set(outcome) == {"kind", "name", "above", "nth", "count", "below", "ratio", "here", "there"}
    assert set(outcome["here"]) == set(outcome["there"]) == side
    assert (outcome["kind"], outcome["above"]) == ("outcome", ["workflow:loan", "stage:pay"])
    assert (missing["kind"], missing["here"], missing["below"]) == ("missing", None, 1)
    assert answer["undone_here"] == [{"name": "stage:credit", "span_id": "credit", "outcome": "compensated"}]
    assert [set(one) for one in answer["would_run_next"]] == [{"name", "above", "nth", "count", "span_id"}]
