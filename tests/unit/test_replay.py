"""A replay: the trace as of each event, and the spans that the event changed."""

from __future__ import annotations

import gc
import random

import pytest

from sagas import event, failed, many_alike, repeated, trace_of
from sagatrace_tui.live.replay import Replay


def steps_of(replay: Replay) -> list[tuple[str, dict[str, str]]]:
    frames = [replay.frame(place) for place in range(1, replay.count + 1)]
    return [(frame.trace.verdict, dict(frame.changes)) for frame in frames]


def test_each_event_is_a_step_with_the_verdict_and_the_changes_of_its_moment() -> None:
    assert steps_of(Replay(trace_of(failed("t")))) == [
        ("running", {"wf": "+"}),
        ("running", {"cre": "+"}),
        ("running", {"crj": "+"}),
        ("running", {"crj": "~"}),
        ("running", {"crj": "~"}),
        ("running", {"crj": "~"}),
        ("running", {"crj": "~"}),  # recovered
        ("running", {"cre": "~"}),
        ("running", {"ai": "+"}),
        ("running", {"fun": "+"}),
        ("running", {"fuj": "+"}),
        ("running", {"fuj": "~", "cre": "~"}),  # the cause: credit waits to be undone
        ("running", {"fun": "~"}),  # its consequence
        ("compensating", {"und": "+", "cre": "~"}),
        ("compensating", {"und": "~", "cre": "~"}),
        ("rollback_incomplete", {"wf": "~"}),
    ]


def test_the_newest_moment_is_the_trace_and_no_moment_has_later_events() -> None:
    events = failed("t")
    replay = Replay(trace_of(events))
    assert (replay.place, replay.count) == (len(events), len(events))
    frame = replay.frame(len(events))
    assert frame.trace == trace_of(events)
    for place, one in enumerate(events, start=1):
        frame = replay.frame(place)
        assert frame.event == one
        assert (frame.trace.now, frame.trace.event_count) == (one.micros, place)


def test_events_of_one_timestamp_keep_one_order_however_they_came() -> None:
    events = [event("t", f"s{number}", "stage:x:started", 1.0, id=f"e{number}") for number in range(9)]
    for seed in range(5):
        mixed = random.Random(seed).sample(events, len(events))
        assert [one.id for one in Replay(trace_of(mixed)).events] == [f"e{number}" for number in range(9)]


def test_a_group_of_like_spans_is_marked_when_one_of_them_changes() -> None:
    frame = Replay(trace_of(many_alike("t", 9))).frame(17)
    (group,) = frame.outline.groups
    assert frame.changes == {"n7": "~", group: "~"}


def test_a_later_run_of_a_job_changes_that_run() -> None:
    frames = [Replay(trace_of(repeated("t"))).frame(place) for place in (2, 3, 4)]
    assert [frame.span_id for frame in frames] == ["nightly", "nightly#2", "nightly#2"]


@pytest.mark.parametrize(("to", "place", "moved"), [(3, 3, True), (0, 1, True), (99, 16, False), (16, 16, False)])
def test_a_position_stays_within_the_events(to: int, place: int, moved: bool) -> None:
    replay = Replay(trace_of(failed("t")))
    assert replay.go_to(to) is moved
    assert replay.place == place


def test_the_collector_does_not_stop_the_screen_while_a_moment_is_built() -> None:
    replay = Replay(trace_of(many_alike("t", 2_000)))
    passes: list[str] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        passes.append(phase)

    gc.callbacks.append(note)
    try:
        replay.frame(replay.count)
    finally:
        gc.callbacks.remove(note)
    assert passes.count("start") <= 1  # that of the return, after the pause
