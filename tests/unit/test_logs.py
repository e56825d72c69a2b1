"""The ids on log records, also if spans end in another order or context."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from sagatrace import MemoryStore, TraceContext, Tracer
from sagatrace.context import Execution, enter_execution
from sagatrace.logs import TraceFilter


@pytest.fixture
def tracer() -> Tracer:
    return Tracer(MemoryStore())


@pytest.fixture
def in_a_job() -> Iterator[None]:
    enter_execution(Execution("x1", "j1", TraceContext("T", "j1")))
    yield
    enter_execution(Execution())


def ids() -> tuple[str, str]:
    record = logging.makeLogRecord({})
    assert TraceFilter().filter(record)
    return record.trace_id, record.span_id  # type: ignore[attr-defined]


def test_the_innermost_open_span_gives_the_ids(tracer: Tracer) -> None:
    assert ids() == ("", "")
    with tracer.span("stage:a", "T") as outer:
        with tracer.span("stage:b", TraceContext("U", "x")) as inner:
            assert ids() == ("U", inner.span_id)
        assert ids() == ("T", outer.span_id)
    assert ids() == ("", "")


@pytest.mark.usefixtures("in_a_job")
def test_spans_that_overlap_end_in_any_order(tracer: Tracer) -> None:
    first, second, third = (tracer.span(f"stage:{name}", "T") for name in "abc")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert ids() == ("T", second.span_id)
    third.__enter__()
    second.__exit__(None, None, None)
    assert ids() == ("T", third.span_id)
    third.__exit__(None, None, None)
    assert ids() == ("T", "j1")


def test_a_span_does_not_keep_a_closed_span_around_it(tracer: Tracer) -> None:
    """Otherwise a process would keep all its spans in memory."""
    with tracer.span("stage:a", "T") as first:
        pass
    with tracer.span("stage:b", "T") as second:
        closed = weakref.ref(first)
        del first
        gc.collect()
        assert closed() is None
        assert second.is_open


@pytest.mark.usefixtures("in_a_job")
def test_a_span_ends_in_another_context(tracer: Tracer) -> None:
    span = copy_context().run(tracer.span("stage:a", "T").__enter__)
    assert ids() == ("T", "j1")
    span.__exit__(None, None, None)
    with tracer.span("stage:b", "T") as outer:
        copy_context().run(outer.__exit__, None, None, None)
        assert ids() == ("T", "j1")
    assert ids() == ("T", "j1")


def test_a_span_that_is_never_left_stays_in_its_job(tracer: Tracer) -> None:
    enter_execution(Execution("left", "left", TraceContext("T", "left")))
    tracer.span("stage:a", "T").__enter__()
    enter_execution(Execution("x2", "j2", TraceContext("T", "j2")))
    assert ids() == ("T", "j2")
    enter_execution(Execution())
    assert ids() == ("", "")


@pytest.mark.usefixtures("in_a_job")
def test_a_bound_function_has_the_context_of_its_binding_in_several_threads_at_a_time(tracer: Tracer) -> None:
    together = threading.Barrier(2, timeout=120)

    def seen(number: int, *, more: int = 0) -> tuple[int, tuple[str, str]]:
        together.wait()
        return number + more, ids()

    with ThreadPoolExecutor(2) as threads, tracer.span("stage:a", "T") as span:
        bound = tracer.bind(seen)
        found = list(threads.map(bound, (1, 2)))
        not_bound = list(threads.map(seen, (1, 2)))
    assert (bound.__name__, found) == ("seen", [(1, ("T", span.span_id)), (2, ("T", span.span_id))])
    assert not_bound == [(1, ("T", "j1")), (2, ("T", "j1"))]
