"""A pytest plugin for tests of your own sagas. Its fixture needs no import.

    from sagatrace_tui.testing import assert_rolled_back

    def test_a_refused_card_is_undone(sagatrace_traces):
        buy("4711")
        trace = sagatrace_traces["order-4711"]
        assert_rolled_back(trace)
        assert trace.still_standing == ()

With the fixture, each test has its own store. Tracers of the process that take their store from the environment record
into it. So do workers that the test starts. A failed assertion prints the answer of `sagatrace why`.

Tests without the fixture record no events, unless the environment names a store.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

if TYPE_CHECKING:
    from sagatrace import EventStore, TraceEvent
    from sagatrace_tui.model import Trace, Verdict

__all__ = ["Traces", "assert_rolled_back", "assert_succeeded", "assert_verdict", "sagatrace_traces"]

# Settings of the developer that would send events elsewhere, or drop events.
_SET_ASIDE = ("SAGATRACE", "SAGATRACE_OUTBOX", "SAGATRACE_SAMPLE", "SAGATRACE_MIRROR", "SAGATRACE_REDIS_URL")


def pytest_configure(config: pytest.Config) -> None:
    """Switch recording off if no setting names a store, so that tests do not write to the developer's store."""
    if not os.environ.get("SAGATRACE_STORE"):
        os.environ["SAGATRACE_STORE"] = "off"
        config.add_cleanup(_forget_store)


def _forget_store() -> None:
    os.environ.pop("SAGATRACE_STORE", None)


class Traces:
    """The traces that a test recorded, by id. `url` is the URL of the store, for other processes."""

    def __init__(self, store: EventStore, url: str) -> None:
        self._store, self.url = store, url

    def __getitem__(self, trace_id: str) -> Trace:
        """Return a trace as it is now. Raises AssertionError, with the recorded ids, if the trace is missing."""
        from sagatrace_tui.model import build_trace

        events = self._store.fetch_trace(trace_id).events
        if not events:
            raise AssertionError(f"no trace {trace_id!r} was recorded; recorded are: {', '.join(self.ids()) or 'none'}")
        return build_trace(trace_id, events, now=time.time_ns() // 1000)

    def ids(self) -> list[str]:
        """Return the ids of the recorded traces, the newest first."""
        from sagatrace.stores import Search

        return [hit.trace_id for hit in self._store.search(Search())]


@pytest.fixture
def sagatrace_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    """Record into a new store for this test, and return its traces."""
    from sagatrace import open_store
    from sagatrace.destination import Destination

    url = f"sqlite:///{tmp_path}/sagatrace.db"
    store, keep = open_store(url), Destination.keep

    def keep_here(self: Destination, event: TraceEvent, replace: bool) -> None:
        # A module's tracer may still hold the store of an earlier test.
        if self.by_environment:
            store.append([event], replace=replace)
        else:
            keep(self, event, replace)

    monkeypatch.setenv("SAGATRACE_STORE", url)
    for name in _SET_ASIDE:
        monkeypatch.delenv(name, raising=False)
    # A worker's shipper would try to reach the host of a fake Redis.
    monkeypatch.setenv("SAGATRACE_RECONCILE", "off")
    monkeypatch.setattr(Destination, "keep", keep_here)
    store.append([])
    yield Traces(store, url)
    store.close()


def assert_verdict(trace: Trace, verdict: Verdict) -> None:
    """Assert the verdict of a trace, such as `rolled_back`. A failure prints the incident summary.

    Raises:
        AssertionError: The verdict is another one.
        ValueError: There is no such verdict.
    """
    __tracebackhide__ = True  # so that pytest shows the line of the test
    from sagatrace_tui.model.answers import Verdict

    if verdict not in (verdicts := get_args(Verdict)):
        raise ValueError(f"unknown verdict {verdict!r}, use one of {', '.join(verdicts)}")
    if trace.verdict != verdict:
        raise AssertionError(_with_summary(f"{trace.verdict}, not {verdict}", trace))


def assert_succeeded(trace: Trace) -> None:
    """Assert that the saga succeeded and nothing was undone."""
    __tracebackhide__ = True
    assert_verdict(trace, "succeeded")


def assert_rolled_back(trace: Trace, *, without_undo: Collection[str] = ()) -> None:
    """Assert that the saga failed and every completed step was undone.

    Args:
        trace: The trace.
        without_undo: The names of the steps that need no undo. Another step without an undo fails the test, if it
            completed or its outcome is unknown.

    Raises:
        AssertionError: A step was not undone, or declares no undo. The message holds the incident summary.
    """
    __tracebackhide__ = True
    from sagatrace_tui.views.undeclared import undeclared_steps

    assert_verdict(trace, "rolled_back")
    names = [span.name for span in undeclared_steps(trace)]
    short = {name: {name, name.rpartition(":")[2], name.rpartition(".")[2]} for name in names}
    forgotten = [name for name in names if short[name].isdisjoint(without_undo)]
    if forgotten:
        raise AssertionError(_with_summary(f"no undo is declared for: {', '.join(forgotten)}", trace))


def _with_summary(fault: str, trace: Trace) -> str:
    from sagatrace_tui.incident.summary import incident_summary
    from sagatrace_tui.labels import inert

    return f"{fault}\n\n{incident_summary(trace, inert)}"
