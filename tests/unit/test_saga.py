"""Sagas: steps are undone in reverse order, and the verdict is right."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException

from sagatrace import MemoryStore, Saga, TraceContext, Tracer
from sagatrace.context import Execution, enter_execution
from sagatrace.logs import TraceFilter
from sagatrace.rq import current_trace
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace


class Shop:
    """Records its calls, and refuses the chosen ones."""

    def __init__(self, *refused: str) -> None:
        self.calls: list[str] = []
        self.refused = refused

    def do(self, what: str) -> str:
        self.calls.append(what)
        if what in self.refused:
            raise ValueError(f"{what} was refused")
        return what

    def charge(self, amount: int) -> int:
        self.do("charge")
        return amount

    def refund(self, amount: int) -> None:
        self.do(f"refund {amount}")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def read(store: MemoryStore, trace_id: str = "order-7") -> Trace:
    return build_trace(trace_id, store.fetch_trace(trace_id).events, now=wall_clock())


def buy(store: MemoryStore, shop: Shop) -> int:
    with Tracer(store).saga("order", "order-7", data={"customer": 5}) as saga:
        charged = saga.call("charge", shop.charge, 40, undo=shop.refund)
        with saga.step("reserve", undo=partial(shop.do, "release")):
            shop.do("reserve")
        saga.call("mail", shop.do, "mail")
        saga.call("ship", shop.do, "ship", undo=shop.do)
        return charged


def test_a_successful_saga_has_only_its_steps(store: MemoryStore) -> None:
    shop = Shop()
    assert buy(store, shop) == 40
    assert shop.calls == ["charge", "reserve", "mail", "ship"]
    trace = read(store)
    assert (trace.verdict, trace.name) == ("succeeded", "order")
    assert [trace.spans[one].name for one in trace.children[trace.roots[0]]] == [
        "step:charge",
        "step:reserve",
        "step:mail",
        "step:ship",
    ]
    assert trace.spans[trace.roots[0]].data == {"workflow_id": "order", "customer": 5}


def test_a_failed_saga_is_undone_in_reverse_order_and_its_exception_passes(store: MemoryStore) -> None:
    shop = Shop("ship")
    with pytest.raises(ValueError, match="ship was refused"):
        buy(store, shop)
    assert shop.calls == ["charge", "reserve", "mail", "ship", "release", "refund 40"]
    trace = read(store)
    assert trace.verdict == "rolled_back"
    assert trace.cause is not None
    assert trace.cause.name == "step:ship"
    assert [(row.original_name, row.outcome) for row in trace.compensations] == [
        ("step:reserve", "compensated"),
        ("step:charge", "compensated"),
    ]
    assert [row.name for row in trace.compensations] == ["do", "refund"]


def test_after_a_failed_undo_the_next_one_is_tried(store: MemoryStore) -> None:
    shop = Shop("ship", "release")
    with pytest.raises(ValueError, match="ship was refused"):
        buy(store, shop)
    assert shop.calls[-2:] == ["release", "refund 40"]
    trace = read(store)
    assert trace.verdict == "rollback_incomplete"
    assert [one.name for one in trace.still_standing] == ["step:reserve"]


@pytest.mark.parametrize("place", [lambda saga: saga, lambda _: current_trace()], ids=["saga", "current_trace"])
def test_work_of_an_undo_belongs_to_its_compensation_and_is_never_the_cause(
    store: MemoryStore, place: Callable[[Saga], TraceContext]
) -> None:
    tracer = Tracer(store)

    def refund() -> None:
        with tracer.span("call:validate", place(saga)):
            pass
        with tracer.span("call:bank", place(saga)):
            raise ConnectionError("the bank did not answer")

    saga = tracer.saga("order", "order-7")
    with saga:
        with saga.step("charge", undo=refund):
            pass
        saga.fail("sold out")
    trace = read(store)
    assert (trace.verdict, trace.cause and trace.cause.name) == ("rollback_incomplete", "workflow:order")
    (row,) = trace.compensations
    parents = {span.name: span.parent_id for span in trace.spans.values()}
    assert (parents["call:validate"], parents["call:bank"]) == (row.span_id, row.span_id)
    assert (saga.span_id, trace.anomalies) == (saga.span.span_id, ())


def test_a_saga_fails_without_an_exception(store: MemoryStore) -> None:
    shop = Shop()
    with Tracer(store).saga("order", "order-7") as saga:
        saga.call("charge", shop.charge, 40, undo=shop.refund)
        saga.fail("the customer withdrew")
        assert shop.calls == ["charge"]
    assert shop.calls == ["charge", "refund 40"]
    trace = read(store)
    assert trace.verdict == "rolled_back"
    assert trace.summary == "failed at workflow:order (the customer withdrew) · rolled back: 1 step undone"


def test_a_saga_is_undone_in_the_middle_of_its_block(store: MemoryStore) -> None:
    shop = Shop()
    with Tracer(store).saga("order", "order-7") as saga:
        saga.call("charge", shop.charge, 40, undo=shop.refund)
        saga.rolled_back("the customer withdrew")
        assert shop.calls == ["charge", "refund 40"]
    assert shop.calls == ["charge", "refund 40"]
    trace = read(store)
    assert trace.verdict == "rolled_back"
    assert trace.summary == "failed at workflow:order (the customer withdrew) · rolled back: 1 step undone"
    assert [row.reason for row in trace.compensations] == ["the customer withdrew"]


def test_the_reason_of_a_compensation_is_the_error_and_is_redacted(store: MemoryStore) -> None:
    def redact(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
        return {name: str(value).replace("4111", "****") for name, value in data.items()}

    def order() -> None:
        with Tracer(store, redact=redact).saga("order", "order-7") as saga:
            saga.call("charge", str, undo=str)
            raise RuntimeError("card 4111 refused" + "!" * 9000)

    with pytest.raises(RuntimeError):
        order()
    (row,) = read(store).compensations
    assert row.reason is not None
    assert row.reason.startswith("RuntimeError: card **** refused!!!")
    assert row.reason.endswith("… [cut, 9017 characters]")


def test_an_error_without_a_readable_message_is_a_reason_too(store: MemoryStore) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise LookupError

    def order() -> None:
        with Tracer(store).saga("order", "order-7") as saga:
            saga.call("charge", str, undo=str)
            raise MuteError

    with pytest.raises(MuteError):
        order()
    assert [row.reason for row in read(store).compensations] == [f"{MuteError.__qualname__}: <no message: LookupError>"]
    assert read(store).verdict == "rolled_back"


def test_a_span_fails_without_an_exception(store: MemoryStore) -> None:
    with Tracer(store).span("step:pay", "order-7") as pay:
        pay.fail("card refused")
    assert read(store).verdict == "failed"


def test_the_job_s_timeout_ends_the_undoing(store: MemoryStore) -> None:
    """The timeout is meant for the job: further undos would disable it."""

    def late() -> None:
        raise JobTimeoutException("too late")

    shop = Shop()

    def job() -> None:
        with Tracer(store).saga("order", "order-7") as saga:
            saga.call("charge", shop.charge, 40, undo=shop.refund)
            with saga.step("reserve", undo=late):
                pass
            raise ValueError("no luck")

    with pytest.raises(JobTimeoutException):
        job()
    assert shop.calls == ["charge"]
    trace = read(store)
    assert trace.verdict == "rollback_incomplete"
    assert [one.name for one in trace.still_standing] == ["step:charge", "step:reserve"]


async def test_a_saga_of_coroutines(store: MemoryStore) -> None:
    calls: list[str] = []

    async def undo(what: str) -> None:
        calls.append(f"undo {what}")

    async def job() -> None:
        async with Tracer(store).saga("order", "order-7") as saga:
            for what in ("charge", "reserve"):
                async with saga.step(what, undo=partial(undo, what)):
                    calls.append(what)
            raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        await job()
    assert calls == ["charge", "reserve", "undo reserve", "undo charge"]
    assert read(store).verdict == "rolled_back"


@pytest.mark.parametrize("fail", [Saga.fail, Saga.rolled_back])
async def test_a_saga_of_coroutines_fails_without_an_exception(
    store: MemoryStore, fail: Callable[[Saga, str], None]
) -> None:
    calls: list[str] = []

    async def undo() -> None:
        calls.append("undo")

    async with Tracer(store).saga("order", "order-7") as saga:
        async with saga.step("charge", undo=undo):
            pass
        fail(saga, "the customer withdrew")
    assert calls == ["undo"]
    assert read(store).verdict == "rolled_back"


def test_an_undo_that_is_not_awaited_fails(store: MemoryStore) -> None:
    """It is not awaited in a plain `with`: the step still stands."""

    async def undo() -> None:
        raise AssertionError

    with Tracer(store).saga("order", "order-7") as saga:
        with saga.step("charge", undo=undo):
            pass
        saga.fail("the customer withdrew")
    trace = read(store)
    assert trace.verdict == "rollback_incomplete"
    assert [one.name for one in trace.still_standing] == ["step:charge"]


def test_call_refuses_a_coroutine_function(store: MemoryStore) -> None:
    async def charge() -> None:
        raise AssertionError

    with pytest.raises(TypeError, match="use `async with saga`"), Tracer(store).saga("order", "order-7") as saga:
        _ = saga.call("charge", charge)
    assert read(store).verdict == "failed"


def test_log_records_have_the_ids_of_the_job(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("shop")
    logger.addFilter(TraceFilter())
    with caplog.at_level(logging.INFO, "shop"):
        logger.info("outside")
        enter_execution(Execution("x1", "j1", TraceContext("T", "j1")))
        logger.info("inside")
        enter_execution(Execution())
    assert [(record.trace_id, record.span_id) for record in caplog.records] == [("", ""), ("T", "j1")]  # type: ignore[attr-defined]


def test_a_step_and_its_undo_may_take_arguments_of_any_name(store: MemoryStore) -> None:
    calls: list[dict[str, Any]] = []

    def create(**values: str) -> None:
        calls.append(values)

    given = {"name": "Ada", "function": "f", "self": "s"}
    with Tracer(store).saga("order", "order-7") as saga:
        saga.call("create", create, undo=create, **given)
        saga.fail("withdrawn")
    assert calls == [given, given]


def test_a_step_that_fails_without_an_exception_is_not_undone(store: MemoryStore) -> None:
    shop = Shop()
    with Tracer(store).saga("order", "order-7") as saga:
        with saga.step("pay", undo=partial(shop.do, "refund")) as pay:
            pay.fail("card refused")
        saga.fail("not paid")
    assert (shop.calls, read(store).verdict) == ([], "failed")


def test_a_saga_that_fails_for_no_reason_is_undone(store: MemoryStore) -> None:
    shop = Shop()
    with Tracer(store).saga("order", "order-7") as saga:
        saga.call("charge", shop.charge, 40, undo=shop.refund)
        saga.fail(None)  # type: ignore[arg-type]
    assert (shop.calls, read(store).verdict) == (["charge", "refund 40"], "rolled_back")


def test_a_step_or_saga_that_is_entered_again_does_not_hang(store: MemoryStore) -> None:
    saga = Tracer(store).saga("order", "order-7")
    step, other = saga.step("charge", undo=bool), saga.step("ship")
    with saga:
        with step:
            pass
        with step, step:
            pass
        step.__enter__()
        other.__enter__()
        step.__exit__(None, None, None)
        step.__enter__()  # around the other one, and inside it
        other.__exit__(None, None, None)
        step.__exit__(None, None, None)
        with saga.step("mail"):
            pass
    with pytest.raises(ValueError, match="refused"), saga:
        raise ValueError("refused")
    assert read(store).verdict not in ("succeeded", "rolled_back")
