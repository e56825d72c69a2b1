"""The explicit API: spans, compensations, contexts, and that tracing never breaks the traced work."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from sagatrace import TraceContext, TraceEvent, Tracer, context_from_meta, trace_meta
from sagatrace.error_text import MAX_ERROR, MAX_STACK, error_data
from sagatrace.faults import Harmless
from sagatrace.saga import Saga
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace


class FailingStore(MemoryStore):
    """A store that raises the given error, the first `times` times."""

    def __init__(self, error: Exception, times: int = 10**9) -> None:
        super().__init__()
        self.error, self.times = error, times

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        if self.times > 0:
            self.times -= 1
            raise self.error
        return super().append(events, replace)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def tracer(store: MemoryStore) -> Tracer:
    return Tracer(store)


def stored(store: MemoryStore, trace_id: str = "T") -> list[TraceEvent]:
    return sorted(store.fetch_trace(trace_id).events, key=lambda event: (event.micros, event.id))


TOP = TraceContext("T")


def test_a_span_records_its_start_and_its_end_under_its_parent(tracer: Tracer, store: MemoryStore) -> None:
    with (
        tracer.span("workflow:loan", TOP, data={"loan_id": "L1"}, tags=["demo"]) as loan,
        tracer.span("stage:credit", loan, compensation="release_credit") as credit,
    ):
        credit.record(score=700)
    events = stored(store)
    assert [event.event_type for event in events] == [
        "workflow:loan:started",
        "stage:credit:started",
        "stage:credit:completed",
        "workflow:loan:completed",
    ]
    assert [event.parent_span_id for event in events] == [None, loan.span_id, loan.span_id, None]
    assert {event.span_id for event in events} == {loan.span_id, credit.span_id}
    assert [event.status for event in events] == [None, None, "success", "success"]
    assert [event.data for event in events] == [
        {"loan_id": "L1"},
        {"compensation": "release_credit"},
        {"score": 700},
        {},
    ]
    assert events[0].tags == ("demo",)


def test_a_failing_span_records_the_error_and_lets_it_pass(tracer: Tracer, store: MemoryStore) -> None:
    with pytest.raises(ValueError, match="too low"), tracer.span("stage:credit", TOP):
        raise ValueError("too low")
    end = stored(store)[-1]
    assert (end.event_type, end.status) == ("stage:credit:failed", "failed")
    assert end.data["error"] == "too low"
    assert end.data["error_type"] == "ValueError"
    assert "test_tracer.py" in end.data["stack"]


def test_a_compensation_names_its_step_and_has_the_declared_name(tracer: Tracer, store: MemoryStore) -> None:
    with tracer.span("stage:credit", TOP, compensation="release_credit") as credit:
        pass
    with tracer.compensation(original=credit, parent=TOP, reason="funding failed"):
        pass
    with pytest.raises(OSError, match="gone"), tracer.compensation(original="S9", parent=TOP):
        raise OSError("gone")
    events = stored(store)[2:]
    assert [event.event_type for event in events] == [
        "release_credit:compensating",
        "release_credit:compensated",
        "saga:compensating",
        "saga:compensation_failed",
    ]
    assert events[0].data == {"original_span_id": credit.span_id, "reason": "funding failed"}
    assert events[2].data == {"original_span_id": "S9"}
    assert events[0].tags == ("compensation",)


async def test_spans_work_in_coroutines_and_record_a_cancellation(tracer: Tracer, store: MemoryStore) -> None:
    entered = asyncio.Event()

    async def step() -> None:
        async with tracer.span("stage:slow", TOP):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(step())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with tracer.compensation(original="S1", parent=TOP):
        pass
    assert [event.event_type for event in stored(store)] == [
        "stage:slow:started",
        "stage:slow:canceled",
        "saga:compensating",
        "saga:compensated",
    ]


def test_a_generator_that_is_closed_early_is_not_the_cause_of_a_failure(tracer: Tracer, store: MemoryStore) -> None:
    def rows(saga: Saga) -> Iterator[int]:
        with tracer.span("stage:read", saga):
            yield 1
            yield 2

    def job() -> None:
        with tracer.saga("order", TOP) as saga:
            for row in rows(saga):
                raise ValueError(f"row {row} is refused")

    with pytest.raises(ValueError, match="row 1"):
        job()
    gc.collect()
    events = stored(store)
    assert "stage:read:canceled" in [event.event_type for event in events]
    trace = build_trace(TOP.trace_id, events, now=wall_clock())
    assert trace.cause is not None
    assert (trace.cause.name, trace.cause.error) == ("workflow:order", "row 1 is refused")


def test_an_instant_is_a_span_of_its_own(tracer: Tracer, store: MemoryStore) -> None:
    one = tracer.emit("ai:decision", TraceContext("T", "S1"), status="success", data={"decision": "approved"})
    two = tracer.emit("ai:decision", TraceContext("T", "S1"))
    assert one is not None
    assert two is not None
    assert one.span_id != two.span_id
    assert [event.parent_span_id for event in stored(store)] == ["S1", "S1"]


def test_a_fault_of_the_store_never_reaches_the_work_and_is_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracer = Tracer(FailingStore(OSError("disk full")))
    with caplog.at_level(logging.ERROR, "sagatrace"):
        for _ in range(3):
            with tracer.span("stage:credit", TOP):
                pass
        assert tracer.emit("x", TraceContext("")) is None
    assert tracer.lost == {"event lost: OSError": 6, "event lost: EventError": 1}
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "sagatrace: event lost: OSError: disk full",
        "sagatrace: event lost: EventError: trace_id '': Expected `str` of length >= 1",
    ]


def test_an_exception_of_a_log_handler_never_reaches_the_work() -> None:
    def refuse(_record: logging.LogRecord) -> NoReturn:
        raise LookupError("a log that cannot be written")

    tracer, log = Tracer(FailingStore(OSError("disk full"))), logging.getLogger("sagatrace")
    log.addFilter(refuse)
    try:
        with tracer.span("stage:credit", TOP):
            pass
        with Harmless():
            raise LookupError("a fault in a hook")
    finally:
        log.removeFilter(refuse)
    assert tracer.lost == {"event lost: OSError": 2}


class Wordless(OSError):  # noqa: N818 - it is one of the user's
    """An error of which nothing can be read."""

    def __str__(self) -> NoReturn:
        raise LookupError("no words")

    @property
    def errno(self) -> NoReturn:  # type: ignore[override]
        raise LookupError("no number")


def test_a_fault_that_cannot_be_formatted_never_reaches_the_work() -> None:
    oddly_noted = ValueError("x")
    oddly_noted.__notes__ = None  # type: ignore[assignment]
    for error in (Wordless(), oddly_noted):
        tracer = Tracer(FailingStore(error))
        assert tracer.emit("x", TOP) is None
        assert tracer.lost == {f"event lost: {type(error).__name__}": 1}


def test_a_wrong_setting_loses_the_events_and_not_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGATRACE_STORE", "nonsense")
    tracer = Tracer()
    with tracer.span("stage:credit", TOP):
        pass
    assert tracer.lost == {"event lost: StoreUrlError": 2}


def test_the_job_timeout_passes_and_the_interrupted_event_is_stored() -> None:
    """RQ raises its timeout at any point of the job. Swallowing it would disable the timeout."""
    store = FailingStore(JobTimeoutException("Task exceeded maximum timeout value"), times=1)
    tracer = Tracer(store)
    with pytest.raises(JobTimeoutException):
        tracer.emit("ai:decision", TOP)
    assert [event.event_type for event in stored(store)] == ["ai:decision"]
    assert tracer.lost == {}


class Hangs:
    """A value whose `repr` asks a server, like a lazy query."""

    def __repr__(self) -> str:
        threading.Event().wait()
        return ""


def hang(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    return {event_type: repr(Hangs()), **data}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("redact", [None, hang])
def test_the_job_timeout_ends_data_that_hangs(redact: Any) -> None:
    """The event is kept without its data: foreign code would hang again, without a timeout to end it."""
    store = MemoryStore()
    tracer = Tracer(store, redact=redact)
    with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(1, JobTimeoutException):
        tracer.emit("x:started", TOP, data={"value": Hangs()})
    assert [event.data for event in stored(store)] == [{"data_withheld": "JobTimeoutException"}]


class HangingError(Exception):
    def __str__(self) -> str:
        return repr(Hangs())


@pytest.mark.timeout(60)
def test_the_job_timeout_ends_an_error_that_hangs() -> None:
    with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(1, JobTimeoutException):
        error_data(HangingError())


def test_a_failing_store_does_not_replace_the_job_timeout() -> None:
    """A store error instead would look like the job's error, and a job that handles errors would never end."""

    class StuckStore(MemoryStore):
        def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
            self.append = self._locked  # type: ignore[method-assign]
            raise JobTimeoutException("Task exceeded maximum timeout value")

        def _locked(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
            raise OSError("database is locked")

    tracer = Tracer(StuckStore())
    with pytest.raises(JobTimeoutException):
        tracer.emit("ai:decision", TOP)
    assert tracer.lost == {"event lost: OSError": 1}


def test_redaction_sees_the_data_before_it_is_stored_and_fails_closed(store: MemoryStore) -> None:
    def redact(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
        if event_type == "broken:started":
            raise KeyError("x")
        return {key: "***" if key == "iban" else value for key, value in data.items()}

    tracer = Tracer(store, redact=redact)
    tracer.emit("x:started", TOP, data={"iban": "DE00", "amount": 5})
    tracer.emit("broken:started", TOP, data={"iban": "DE00"})
    assert [event.data for event in stored(store)] == [
        {"iban": "***", "amount": 5},
        {"redaction_failed": "KeyError"},
    ]
    assert tracer.lost == {"data withheld, redaction failed: KeyError": 1}


def test_a_redaction_and_a_value_that_end_the_process_are_foreign_code_that_fails(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending:
        def __repr__(self) -> str:
            sys.exit(3)

    (tmp_path / "ending_module.py").write_text("import sys\n\nsys.exit('no settings')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SAGATRACE_REDACT", "ending_module:redact")
    assert Tracer(store).emit("ai:decision", TOP, data={"note": 1})
    monkeypatch.delenv("SAGATRACE_REDACT")
    assert Tracer(store, redact=lambda *_: sys.exit(2)).emit("ai:decision", TOP, data={"note": 1})
    assert Tracer(store).emit("ai:decision", TOP, data={"note": Ending()})
    assert [event.data for event in stored(store)] == [
        {"redaction_failed": "SettingsError"},
        {"redaction_failed": "SystemExit"},
        {
            "note": "test_a_redaction_and_a_value_that_end_the_process_are_foreign_code_that_fails.<locals>.Ending: "
            "<repr failed: SystemExit>"
        },
    ]


def test_long_errors_are_cut_and_marked() -> None:
    def deep(levels: int) -> None:
        if levels == 0:
            raise ValueError("x" * 10_000)
        deep(levels - 1)

    with pytest.raises(ValueError, match="x") as caught:
        deep(3)
    data = error_data(caught.value)
    assert data["error"].endswith("… [cut, 10000 characters]")
    assert len(data["error"]) < MAX_ERROR + 50
    assert len(data["stack"]) < MAX_STACK + 50


def test_the_context_travels_in_a_job_s_meta_as_plain_json() -> None:
    for context in (TraceContext("T"), TraceContext("T", "S1"), TraceContext.new("loan-L123")):
        meta = JSONSerializer.loads(JSONSerializer.dumps(trace_meta(context)))
        assert context_from_meta(meta) == context
        assert json.dumps(meta)
    for other in (None, {}, {"sagatrace": 5}, {"sagatrace": {}}, {"sagatrace": {"trace_id": 7}}):
        assert context_from_meta(other) is None
    assert TraceContext.new().trace_id != TraceContext.new().trace_id
