"""The outcome of a step or an undo that is not plain: a timeout behind its error, or work that is not done yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from redis import Redis
from rq.job import Job
from rq.timeouts import JobTimeoutException

from sagatrace import MemoryStore, Tracer
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def read(store: MemoryStore, trace_id: str = "order-7") -> Trace:
    return build_trace(trace_id, store.fetch_trace(trace_id).events, now=wall_clock())


def refusal() -> None:
    raise ValueError("refused")


def no_answer() -> None:
    raise TimeoutError("no answer")


def wrapped_timeout() -> None:
    try:
        no_answer()
    except TimeoutError as error:
        raise ValueError("the bank refused") from error


def replaced_timeout() -> None:
    try:
        no_answer()
    except TimeoutError:
        raise ValueError("the bank refused")  # noqa: B904 - as people write it


def hidden_timeout() -> None:
    try:
        no_answer()
    except TimeoutError:
        raise ValueError("the bank is known to have refused") from None


def grouped_timeout() -> None:
    raise ExceptionGroup("two calls", [ValueError("x"), ExceptionGroup("more", [TimeoutError("no answer")])])


def grouped_errors() -> None:
    raise ExceptionGroup("two calls", [ValueError("x"), ValueError("y")])


def interrupted_group() -> None:
    raise BaseExceptionGroup("two calls", [KeyboardInterrupt()])


def closed() -> None:
    raise GeneratorExit


@pytest.mark.parametrize(
    ("pay", "is_clean"),
    [
        (refusal, True),
        (hidden_timeout, True),
        (grouped_errors, True),
        (wrapped_timeout, False),
        (replaced_timeout, False),
        (grouped_timeout, False),
        (interrupted_group, False),
        (closed, False),
    ],
)
@pytest.mark.parametrize("is_redacted", [False, True], ids=["", "redacted"])
def test_a_timeout_behind_the_error_of_a_step_leaves_its_outcome_unknown(
    store: MemoryStore, pay: Callable[[], None], is_clean: bool, is_redacted: bool
) -> None:
    def job() -> None:
        tracer = Tracer(store, redact=(lambda _kind, _data: {}) if is_redacted else None)
        with tracer.saga("order", "order-7") as saga:
            saga.call("charge", bool, undo=bool)
            saga.call("pay", pay, undo=bool)

    with pytest.raises(BaseException):  # noqa: B017, PT011 - one of many kinds
        job()
    trace = read(store)
    assert trace.verdict == ("rolled_back" if is_clean else "rollback_incomplete")
    assert [(one.name, one.certain) for one in trace.still_standing] == ([] if is_clean else [("step:pay", False)])


def test_an_error_that_is_handled_around_a_saga_is_not_behind_its_error(store: MemoryStore) -> None:
    try:
        no_answer()
    except TimeoutError:
        with pytest.raises(ValueError, match="refused"), Tracer(store).saga("order", "order-7") as saga:
            saga.call("pay", refusal, undo=bool)
    assert read(store).verdict == "failed"


def test_a_timeout_in_a_group_ends_the_undoing(store: MemoryStore) -> None:
    """A task group wraps the job's timeout."""

    def late() -> None:
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", [JobTimeoutException("too late")])])

    def job() -> None:
        with Tracer(store).saga("order", "order-7") as saga:
            saga.call("charge", bool, undo=bool)
            saga.call("reserve", bool, undo=late)
            raise ValueError("no luck")

    with pytest.raises(ExceptionGroup):
        job()
    assert [one.name for one in read(store).still_standing] == ["step:charge", "step:reserve"]


def generator() -> Any:
    yield


async def asynchronous_generator() -> Any:
    yield


def future() -> Any:
    return Future()


def job_of_rq() -> Any:
    return Job(connection=Redis())


@pytest.mark.parametrize("undo", [generator, asynchronous_generator, future, job_of_rq])
@pytest.mark.parametrize("is_async", [False, True], ids=["", "async"])
async def test_an_undo_whose_work_is_not_done_fails(store: MemoryStore, undo: Any, is_async: bool) -> None:
    async def asynchronously() -> None:
        async with Tracer(store).saga("order", "order-7") as saga:
            async with saga.step("charge", undo=undo):
                pass
            refusal()

    async def plainly() -> None:
        with Tracer(store).saga("order", "order-7") as saga:
            saga.call("charge", bool, undo=undo)
            refusal()

    with pytest.raises(ValueError, match="refused"):
        await (asynchronously() if is_async else plainly())
    assert read(store).verdict == "rollback_incomplete"


@pytest.mark.parametrize("step", [generator, asynchronous_generator, future, job_of_rq])
def test_a_step_whose_work_is_not_done_fails(store: MemoryStore, step: Any) -> None:
    with pytest.raises(TypeError), Tracer(store).saga("order", "order-7") as saga:
        saga.call("charge", step, undo=bool)
    assert read(store).verdict == "failed"


@pytest.mark.parametrize("step", [future, job_of_rq])
def test_a_step_without_an_undo_may_start_work_that_goes_on(store: MemoryStore, step: Any) -> None:
    with Tracer(store).saga("order", "order-7") as saga:
        assert saga.call("mail", step) is not None
    assert read(store).verdict == "succeeded"
