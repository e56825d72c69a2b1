"""Pauses of the garbage collector overlap, because several threads read and build traces."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from sagatrace_tui.collector import CollectorPaused, pause_collector, resume_collector


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_the_first_frame_does_not_start_the_collector_while_a_trace_is_read() -> None:
    pause_collector()  # the app starts
    with CollectorPaused():  # it reads a trace
        resume_collector()  # the first frame is drawn
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with CollectorPaused():
        pass
    assert not gc.isenabled()


def test_to_end_a_pause_that_never_began_does_nothing() -> None:
    resume_collector()
    with CollectorPaused():
        assert not gc.isenabled()
    assert gc.isenabled()
