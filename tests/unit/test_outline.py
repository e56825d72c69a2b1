"""The rows of a trace, their times, and the matches of find."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas import NOW, event, failed, many_alike, trace_of
from sagatrace_tui.views.find import find
from sagatrace_tui.views.outline import GROUP_MIN, Outline
from sagatrace_tui.views.timeline import idle_stretches, pieces, timeline


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_rows_are_the_nodes_outside_folds(parents: list[int], folds: set[int], only: set[int]) -> None:
    events = [
        event("t", f"s{n}", f"stage:{n}:started", n / 10, f"s{parent}" if parent < n else None)
        for n, parent in enumerate(parents)
    ]
    outline = Outline(trace_of(events))
    assert sorted(outline.ids) == sorted(f"s{n}" for n in range(len(parents)))
    folded = {f"s{n}" for n in folds}
    rows = list(outline.rows(folded))

    def hidden(place: int) -> bool:
        above = outline.parents[place]
        return above >= 0 and (outline.ids[above] in folded or hidden(above))

    assert rows == [place for place in range(len(outline.ids)) if not hidden(place)]
    kept = outline.with_ancestors(f"s{n}" for n in only)
    assert list(outline.rows(folded, kept)) == [place for place in kept if not hidden(place)]
    for span_id in outline.ids:
        row = outline.shown(span_id, rows)
        assert row is not None
        assert (rows[row] == outline.places[span_id]) is (not hidden(outline.places[span_id]))


def test_equal_siblings_are_grouped_and_notable_ones_are_not() -> None:
    events = many_alike("t", 20)
    failure = event("t", "n10", "stage:notify:failed", 1.5, "wf", data={"error": "bounced"})
    outline = Outline(trace_of([one for one in events if one.id != "t-n10-stage:notify:completed-1.12"] + [failure]))
    groups = list(outline.groups.values())
    assert [len(group.span_ids) for group in groups] == [10, 9]
    assert groups[0].lengths == (10_000, 20_000, 30_000)
    assert "n10" in outline.places
    assert outline.depths[outline.places["n3"]] == 2
    assert outline.depths[outline.places["n10"]] == 1


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("alike", [GROUP_MIN - 1, GROUP_MIN])
def test_the_smallest_group_is_found_at_any_position(before: int, alike: int) -> None:
    names = [*(f"other{n}" for n in range(before)), *["notify"] * alike, "last", "least"]
    events = [event("t", f"n{n}", f"stage:{name}:completed", n / 10, "wf") for n, name in enumerate(names)]
    groups = Outline(trace_of([event("t", "wf", "workflow:w:started", 0.0), *events])).groups.values()
    assert [len(group.span_ids) for group in groups] == [GROUP_MIN] * (alike == GROUP_MIN)


def test_the_bar_of_a_retried_job_shows_wait_attempts_and_pause() -> None:
    trace = trace_of(failed("t"))
    line = timeline(trace, NOW)
    parts = [(piece.kind, piece.start, piece.end) for piece in pieces(trace.spans["crj"], line, 45)]
    assert parts == [("wait", 2, 3), ("lost", 3, 12), ("pause", 12, 22), ("run", 22, 26)]


def test_a_job_that_waits_for_its_next_attempt_has_failed_one_and_pauses() -> None:
    events = [event("t", "job", f"job:{phase}", at) for phase, at in (("started", 0.0), ("retrying", 2.0))]
    trace = trace_of(events, now=NOW - 65_000_000)
    line = timeline(trace, NOW - 65_000_000)
    parts = [(piece.kind, piece.start, piece.end) for piece in pieces(trace.spans["job"], line, 20)]
    assert parts == [("lost", 0, 4), ("pause", 4, 20)]


def test_idle_gaps_are_collapsed_and_time_stays_in_order() -> None:
    steps = [(0.0, 1.0), (1.0, 2.0), (100.0, 101.0)]
    events = [event("t", "wf", "workflow:w:started", 0.0)]
    for number, (start, end) in enumerate(steps):
        events += [
            event("t", f"s{number}", f"stage:{number}:started", start, "wf"),
            event("t", f"s{number}", f"stage:{number}:completed", end, "wf"),
        ]
    trace = trace_of([*events, event("t", "wf", "workflow:w:completed", 101.0)], now=NOW + 200_000_000)
    plain, short = (timeline(trace, NOW, idle) for idle in (None, idle_stretches(trace)))
    assert short.gaps == ((plain.start + 2_000_000, plain.start + 100_000_000),)
    assert plain.column(plain.start + 2_000_000, 100) == 2
    assert 30 <= short.column(plain.start + 2_000_000, 100) <= 45
    columns = [short.column(plain.start + at * 100_000, 100) for at in range(1011)]
    assert all(one <= other for one, other in pairwise(columns))
    assert (columns[0], columns[-1]) == (0, 100)


@pytest.mark.parametrize(("last", "expected"), [("completed", [(2, 40), (41, 75)]), ("started", [(2, 40)])])
def test_idle_gaps_stay_the_same_while_the_trace_continues(last: str, expected: list[tuple[int, int]]) -> None:
    events = [event("t", "wf", "workflow:w:started", 0.0)]
    for number, (phase, at) in enumerate([("started", 0), ("completed", 2), ("started", 40), (last, 41)]):
        events.append(event("t", f"s{number // 2}", f"stage:x:{phase}", at, "wf", id=f"E{number}"))
    trace = trace_of(events, now=NOW - 30_000_000)
    line = timeline(trace, NOW, Outline(trace).idle)
    start = trace.started_at or 0
    assert line.gaps == tuple((start + one * 1_000_000, start + other * 1_000_000) for one, other in expected)
    assert line == timeline(trace, NOW, idle_stretches(trace_of(events)))


def test_find_searches_names_ids_types_errors_data_and_tags_in_any_letter_case() -> None:
    data = {"note": 'Zoë said "hi"\\', "deep": [{"k": 12.5}]}
    trace = trace_of([*failed("t"), event("t", "x", "ai:note", 1.0, "wf", data=data, tags=["Urgent"])])
    assert find(trace, "INSUFFICIENT") == {"fuj", "fun"}
    assert find(trace, "crj") == {"crj"}
    assert find(trace, "ai:dec") == {"ai"}
    assert find(trace, "urgent") == find(trace, "zoë") == find(trace, '"hi"\\') == find(trace, "12.5") == {"x"}
    assert find(trace, "") == frozenset()
    assert find(trace, "wf", go_on=lambda: False) == frozenset()
