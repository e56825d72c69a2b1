"""The sentence of a trace: the cause is red, and the standing steps are bold."""

from __future__ import annotations

import pytest

from sagas import NOW, event, failed, running, succeeded, trace_of
from sagatrace.event import TraceEvent
from sagatrace_tui.theme import TONES
from sagatrace_tui.widgets.sentence_parts import sentence_parts
from sagatrace_tui.widgets.trace_header import _sentence

CAUSE = "failed at transfer_funds (InsufficientFunds: balance 1200 < 25000)"
STANDING = "1 of 1 step still standing (stage:credit)"


def missing(error: str) -> list[TraceEvent]:
    return [
        event("t", "wf", "workflow:loan:started", 0),
        event("t", "a", "stage:hold:started", 1, "wf", data={"compensation": "release"}),
        event("t", "a", "stage:hold:completed", 2, "wf"),
        event("t", "b", "stage:pay:failed", 3, "wf", data={"error": error}),
        event("t", "wf", "workflow:loan:failed", 4),
    ]


def test_the_parts_of_a_failed_trace() -> None:
    parts = [part for part in sentence_parts(trace_of(failed("t"))) if part[0]]
    assert parts == [(CAUSE, "cause"), (" · rollback incomplete: ", ""), (STANDING, "standing")]


def test_an_error_that_speaks_of_standing_steps_is_a_part_of_the_cause() -> None:
    error = "1 of 2 steps still standing (not ours)"
    parts = [part for part in sentence_parts(trace_of(missing(error))) if part[0]]
    assert parts == [
        (f"failed at stage:pay ({error})", "cause"),
        (" · rollback missing: ", ""),
        ("1 of 1 step still standing (stage:hold)", "standing"),
        (", and no compensation began", ""),
    ]


@pytest.mark.parametrize("events", [succeeded("t"), running("t"), failed("t"), failed("t")[:12], missing("a.b.c · d")])
def test_the_parts_are_the_sentence(events: list[TraceEvent]) -> None:
    trace = trace_of(events)
    assert "".join(text for text, _ in sentence_parts(trace)) == trace.summary


def test_in_few_lines_the_cause_is_cut_and_what_stands_stays() -> None:
    trace = trace_of(missing("the gateway answered with status 503 and gave up, " * 5))
    said = " ".join(line.plain for line in _sentence(trace, 78, 2))
    assert said.startswith("failed at stage:pay (the gateway answered with")
    assert said.endswith("… · rollback missing: 1 of 1 step still standing (stage:hold), and no compensation began")


@pytest.mark.parametrize("width", [30, 44, 60, 200])
def test_the_styles_keep_to_their_words_on_every_line(width: int) -> None:
    trace = trace_of(failed("t"), NOW)
    said: dict[str, list[str]] = {}
    for line in _sentence(trace, width, 9):
        for span in line.spans:
            said.setdefault(str(span.style), []).append(line.plain[span.start : span.end])
    assert " ".join(said[TONES["bad"]]) == CAUSE
    assert " ".join(said[f"{TONES['plain']} bold"]) == STANDING
