"""The search for the last good run of a saga: its result, and the number of traces that it reads."""

from __future__ import annotations

from typing import Any

import pytest

from sagas import NOW, UnreliableStore, event, failed, interrupted, repeated, running, succeeded, trace_of
from sagatrace.event import TraceEvent
from sagatrace_tui.live.good_run import MOST, GoodRun, last_good_run
from sagatrace_tui.live.partition import GivenUpError


def good_run_of(trace_id: str, *events: list[TraceEvent]) -> tuple[GoodRun, UnreliableStore]:
    store = UnreliableStore(one for some in events for one in some)
    own = [one for some in events for one in some if one.trace_id == trace_id]
    return last_good_run(store, trace_of(own), NOW), store


def found(good: GoodRun) -> str | None:
    return good.trace.trace_id if good.trace is not None else None


def job(trace_id: str, phase: str, at: float, name: str = "shop.report", **end: Any) -> list[TraceEvent]:
    """A job that is a trace by itself. Its worker records its name only with its start."""
    return [
        event(trace_id, "j", "job:started", at, data={"job_name": name}),
        event(trace_id, "j", f"job:{phase}", at + 1, data=end),
    ]


def named(trace_id: str, phase: str, at: float, name: str) -> list[TraceEvent]:
    """A workflow that is known only by its id."""
    data = {"workflow_id": name}
    return [event(trace_id, "w", "workflow:started", at, data=data), event(trace_id, "w", f"workflow:{phase}", at + 1)]


def in_job(trace_id: str, phase: str, at: float) -> list[TraceEvent]:
    """A job that runs a saga."""
    saga = "workflow:loan"
    return [
        event(trace_id, "j", "job:started", at, data={"job_name": "shop.approve"}),
        event(trace_id, "w", f"{saga}:started", at + 0.1, "j"),
        event(trace_id, "w", f"{saga}:{phase}", at + 0.9, "j"),
        event(trace_id, "j", f"job:{phase}", at + 1),
    ]


def test_the_good_run_is_the_newest_that_ended_before_the_failed_one() -> None:
    good, _ = good_run_of("bad", succeeded("old", 0), succeeded("new", 10), failed("bad", 20), succeeded("after", 40))
    assert (found(good), good.looked_at) == ("new", 1)


def test_without_an_earlier_one_the_good_run_is_a_later_one() -> None:
    good, _ = good_run_of("bad", failed("bad", 20), succeeded("after", 40))
    assert found(good) == "after"


def test_the_good_run_of_a_good_trace_is_an_earlier_one() -> None:
    good, _ = good_run_of("new", succeeded("old", 0), succeeded("new", 10))
    assert found(good) == "old"


def test_a_compensated_success_is_not_a_good_run() -> None:
    undone = [
        *succeeded("undone", 10),
        event("undone", "u", "undo:compensating", 10.3, "wf", data={"original_span_id": "val"}),
        event("undone", "u", "undo:compensated", 10.4, "wf"),
    ]
    good, _ = good_run_of("bad", succeeded("old", 0), undone, failed("bad", 20))
    assert (found(good), good.looked_at) == ("old", 2)


@pytest.mark.parametrize("phase", ["failed", "progress"])
def test_a_job_is_known_by_its_name(phase: str) -> None:
    good, _ = good_run_of("bad", job("a", "completed", 0), job("b", "completed", 5, "shop.mail"), job("bad", phase, 9))
    assert found(good) == "a"


def test_a_job_that_has_only_started_is_known_by_its_name() -> None:
    good, _ = good_run_of("it", job("a", "completed", 0), job("it", "completed", 9)[:1])
    assert found(good) == "a"


def test_a_job_that_runs_a_saga_is_known_by_the_saga() -> None:
    good, store = good_run_of("bad", in_job("a", "completed", 0), in_job("x", "failed", 5), in_job("bad", "failed", 9))
    assert (found(good), good.looked_at, store.fetches) == ("a", 1, ["a"])


def test_a_workflow_may_be_known_by_its_id_alone() -> None:
    runs = named("a", "completed", 0, "loan"), named("b", "completed", 5, "mail"), named("bad", "failed", 9, "loan")
    good, _ = good_run_of("bad", *runs)
    assert (found(good), good.looked_at) == ("a", 1)


@pytest.mark.parametrize("make", [running, interrupted, repeated])
def test_a_store_without_a_good_run_gives_none(make: Any) -> None:
    good, _ = good_run_of("it", make("it"), failed("other", 3))
    assert found(good) is None
    assert good.none_found.endswith(f"no succeeded run of {trace_of(make('it')).name} in this store")


def test_at_most_fifty_traces_are_read_and_the_result_says_so() -> None:
    jobs = [job(f"t{n:02}", "failed", n / 10) for n in range(MOST + 20)]
    good, store = good_run_of("bad", job("first", "completed", -9), *jobs, job("bad", "failed", 20))
    assert found(good) is None
    assert good.none_found == "no succeeded run of report among the newest 50"
    assert len(store.fetches) == len(set(store.fetches)) == MOST
    assert store.searches == 1


def test_a_cancelled_search_ends_before_the_next_read() -> None:
    store = UnreliableStore([*succeeded("old", 0), *failed("bad", 20)])

    def refuse(_arrived: int) -> None:
        raise GivenUpError

    with pytest.raises(GivenUpError):
        last_good_run(store, trace_of(failed("bad", 20)), NOW, refuse)
    assert (store.searches, store.fetches) == (0, [])
