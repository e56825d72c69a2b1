"""The work to judge a trace grows with its size, not with its square: else a trace of weeks would stop the app."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from notation import LATER, events_of

from sagatrace.event import TraceEvent
from sagatrace_tui.model import build_trace


def runs_with_children(count: int) -> list[TraceEvent]:
    """Return a job of a schedule whose every run enqueues another job."""
    lines = [f"nightly {n}..{n}.9 job\n  report{n} {n}.1..{n}.5 job" for n in range(count)]
    return events_of("\n".join(lines))


def undone_runs(count: int) -> list[TraceEvent]:
    """Return a job that ran often, and was undone as often."""
    runs = [f"charge {n}..{n}.5 job" for n in range(count)]
    return events_of("\n".join([*runs, *(f"refund{n} {count + n}..{count + n}.5 ~charge" for n in range(count))]))


def replaced_stage(count: int) -> list[TraceEvent]:
    """Return a stage that failed and was replaced, with the same steps in both."""
    lines = [f"loan 0..{3 * count}", f"  first 1..{count + 2} failed named=book"]
    lines += [f"    a{n} {n + 1}..{n + 1}.5 named=step{n} +undo" for n in range(count)]
    lines += [f"  second {count + 3}..{2 * count + 5} named=book"]
    lines += [f"    b{n} {count + 4 + n}..{count + 4 + n}.5 named=step{n} +undo" for n in range(count)]
    return events_of("\n".join(lines))


def many_sagas(count: int) -> list[TraceEvent]:
    """Return the sagas that a schedule starts in one trace: `meta=trace_meta("nightly")`."""
    return events_of("\n".join(f"night{n} {n}..{n}.9\n  step{n} {n}.1..{n}.5 +undo" for n in range(count)))


def failed_items(count: int) -> list[TraceEvent]:
    """Return a job that succeeded although many of its items failed."""
    items = [f"  item{n} {n + 1}..{n + 1}.5 failed !empty" for n in range(count)]
    return events_of("\n".join([f"import 0..{count + 2} job", *items]))


def tries_of_one_step(count: int) -> list[TraceEvent]:
    """Return a saga that failed after a step was tried often, each time as another span, and then succeeded."""
    tries = [f"  try{n} {n + 1}..{n + 1}.5 failed named=ship" for n in range(count)]
    last = f"  last {count + 1}..{count + 2} named=ship"
    return events_of("\n".join([f"loan 0..{count + 3} failed !other", *tries, last]))


def lines_run(events: list[TraceEvent]) -> int:
    """Return the number of lines of code that run to judge a trace. It does not depend on the machine."""
    count, before = 0, sys.gettrace()

    def counted(frame: FrameType, event: str, value: Any) -> Any:
        nonlocal count
        count += 1
        return counted

    sys.settrace(counted)
    try:
        build_trace("T", events, now=LATER)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "shape", [runs_with_children, undone_runs, replaced_stage, many_sagas, failed_items, tries_of_one_step]
)
def test_a_trace_twice_as_large_takes_about_twice_the_work(shape: Callable[[int], list[TraceEvent]]) -> None:
    small, large = shape(100), shape(200)
    build_trace("T", small, now=LATER)  # fill the caches of event types
    assert lines_run(large) < 2.5 * lines_run(small)
