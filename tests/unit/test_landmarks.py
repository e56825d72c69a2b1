"""Errors, the critical path and the slowest spans of a trace; bars of half cells on a time scale."""

from __future__ import annotations

import pytest

from sagas import NOW, event, failed, running, trace_of
from sagatrace.event import TraceEvent
from sagatrace_tui.views.landmarks import Landmarks, errors, landmarks
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.views.timeline import timeline
from sagatrace_tui.widgets.bars import axis, span_bar
from sagatrace_tui.widgets.span_rows import zones


def span(name: str, start: float, end: float, parent: str | None = None, phase: str = "completed") -> list[TraceEvent]:
    return [
        event("t", name, f"stage:{name}:started", start, parent),
        event("t", name, f"stage:{name}:{phase}", end, parent),
    ]


def found(*spans: list[TraceEvent]) -> Landmarks:
    trace = trace_of([one for events in spans for one in events])
    return landmarks(trace, Outline(trace))


def test_errors_are_failures_with_a_reason_of_their_own() -> None:
    trace = trace_of(failed("t"))
    outline = Outline(trace)
    assert [outline.ids[place] for place in errors(trace, outline)] == ["fuj", "und"]


PARALLEL = [span("wf", 0, 10), span("short", 1, 3, "wf"), span("long", 1, 6, "wf"), span("last", 6.5, 9, "wf")]


def test_the_critical_path_leads_back_from_the_end() -> None:
    below = [span("in_short", 1, 3, "short"), span("early", 1.5, 3, "long"), span("late", 4, 6, "long")]
    assert found(*PARALLEL, *below).critical == {"wf", "last", "long", "late", "early"}


def test_the_critical_path_includes_spans_that_outlive_their_parent_and_ignores_queue_time() -> None:
    queued = [event("t", "b", "job:deferred", 0.1, "wf"), *span("b", 4, 9, "wf")]
    assert found(span("wf", 0, 9), span("a", 0.2, 3.9, "wf"), queued).critical == {"wf", "a", "b"}
    sent = [
        span("first", 0, 1),
        span("aside", 0.2, 2, "first"),
        span("next", 0.5, 1, "first"),
        span("end", 1, 8, "next"),
    ]
    assert found(*sent).critical == {"first", "next", "end"}


def test_the_critical_path_of_a_running_trace_ends_where_it_runs() -> None:
    trace = trace_of(running("t", 70))
    assert landmarks(trace, Outline(trace)).critical == {"wf", "cre"}


def test_the_slowest_spans_have_the_most_own_time() -> None:
    assert found(*PARALLEL).slowest == (
        ("long", 5_000_000), ("last", 2_500_000), ("short", 2_000_000), ("wf", 500_000),
    )  # fmt: skip


def bar(name: str, width: int, *spans: list[TraceEvent], critical: bool = False, zoom: str | None = None) -> str:
    trace = trace_of([one for events in spans for one in events])
    window = (trace.spans[zoom].first_at, trace.spans[zoom].last_at) if zoom else None
    line = timeline(trace, NOW, window=window)
    return "".join(text for text, _ in span_bar(trace.spans[name], line, width, critical=critical))


@pytest.mark.parametrize(
    ("start", "end", "drawn"),
    [
        (0, 10, "──────────"),
        (1.5, 4, " ╶──      "),
        (2, 4.5, "  ──╴     "),
        (2, 2.1, "  ╴       "),
        (9.9, 10, "         ╶"),
    ],
)
def test_bars_begin_and_end_at_half_a_cell(start: float, end: float, drawn: str) -> None:
    spans = span("wf", 0, 10), span("one", start, end, "wf")
    assert bar("one", 10, *spans) == drawn
    assert bar("one", 10, *spans, critical=True) == drawn.translate(str.maketrans("─╴╶", "━╸╺"))


@pytest.mark.parametrize(("end", "drawn"), [(4, "  ─×      "), (2.1, "  ×       "), (10, "  ───────×")])
def test_the_bar_of_a_failed_span_ends_in_a_sign(end: float, drawn: str) -> None:
    assert bar("one", 10, span("wf", 0, 10), span("one", 2, end, "wf", "failed")) == drawn


def test_zoomed_bars_are_cut_at_the_edges_and_spans_outside_are_arrows() -> None:
    spans = [span("wf", 0, 10, phase="failed"), span("a", 1, 2, "wf"), span("b", 2, 4, "wf"), span("c", 4, 5, "wf")]
    assert [bar(name, 8, *spans, zoom="b") for name in ("wf", "a", "b", "c")] == [
        "────────", "←       ", "────────", "       →",
    ]  # fmt: skip
    trace = trace_of([one for events in spans for one in events])
    line = timeline(trace, NOW, window=(trace.spans["b"].first_at, trace.spans["b"].last_at))
    assert (axis(line, 20), axis(line, 20, trace.started_at)) == ("0              2.00s", "+2.00s        +4.00s")


@pytest.mark.parametrize(("width", "bar"), [(198, 99), (158, 79), (120, 31), (78, 20), (50, 0)])
def test_the_waterfall_takes_half_of_a_wide_screen(width: int, bar: int) -> None:
    shared = zones(width)
    assert (shared.bar, shared.label + shared.bar + shared.figures) == (bar, width)


@pytest.mark.parametrize(("width", "pinned", "pins"), [(78, 1, 1), (78, 3, 1), (198, 3, 3), (50, 1, 0)])
def test_pinned_values_leave_room_for_the_tree(width: int, pinned: int, pins: int) -> None:
    shared = zones(width, pinned)
    assert shared.pins == pins
    assert shared.label >= 26
