"""An exception that a job's own signal handler raises passes through every call, and costs no event."""

from __future__ import annotations

import functools
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from pathlib import Path
from types import FrameType, MethodType, ModuleType
from typing import Any, NoReturn

import pytest

from faults import stored
from sagatrace import TraceContext, TraceEvent, Tracer, direct
from sagatrace.errors import EventError
from sagatrace.event import new_event
from sagatrace.files import is_regular
from sagatrace.ids import new_id
from sagatrace.interruptions import interruption, must_pass
from sagatrace.outbox import Outbox
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores.memory import MemoryStore
from sagatrace.stores.sqlite import SqliteStore
from sagatrace.stores.sqlite_file import identity_of, is_special

TOP = TraceContext("T")


class MyTimeoutError(Exception):
    """An exception of the job."""


CLASSES: list[type[Exception]] = [
    MyTimeoutError,
    TimeoutError,
    OSError,
    FileNotFoundError,
    PermissionError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    MemoryError,
    UnicodeError,
    StopIteration,
]


class Alarm:
    """A handler that is an object, as in some timeout libraries. It counts its alarms."""

    def __init__(self, kind: type[Exception]) -> None:
        self.error = kind("of the job")
        self.strikes = 0

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        self.strikes += 1
        raise self.error

    def method(self, *arguments: Any) -> None:
        """Be a handler that passes its arguments on."""
        self(*arguments)

    def until_it_passes(
        self, work: Callable[[], object], handler: Callable[..., object], seconds: float
    ) -> BaseException:
        """Repeat the work until an alarm ends it, and return the exception."""
        signal.signal(signal.SIGVTALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.05)
            while True:
                copy_context().run(work)  # an alarm at the end of a span may leave it open there
        except BaseException as error:  # noqa: BLE001 - any exception of the handler
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            return error


@pytest.fixture
def alarms() -> Iterator[None]:
    before = signal.getsignal(signal.SIGVTALRM)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def span(tracer: Tracer) -> None:
    with tracer.span("stage:pay", TOP), tracer.compensation(original="S", parent=TOP):
        pass


CALLS: dict[str, Callable[[Tracer], object]] = {
    "emit": lambda tracer: tracer.emit("ai:decision", TOP, data={"a": 1}),
    "span": span,
    "error": lambda tracer: tracer.emit("x:failed", TOP, error=ValueError("x")),
    "odd data": lambda tracer: tracer.emit("ai:decision", TOP, data={"a": object(), "b": "\ud800", "c": [1]}),
}


@pytest.mark.usefixtures("alarms")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("redact", [None, lambda _, data: dict(data)], ids=["plain", "redacted"])
@pytest.mark.parametrize("call", CALLS)
def test_the_exception_passes_through_every_call(tmp_path: Path, call: str, redact: Any) -> None:
    """At random moments. The standard library swallows a few itself, mostly while it formats a traceback."""
    chance, rounds, strikes = random.Random(call), 60, 0
    for number in range(rounds):
        alarm, tracer = Alarm(CLASSES[number % len(CLASSES)]), Tracer(Outbox(tmp_path / "outbox"), redact=redact)
        handler = chance.choice([alarm, alarm.method, functools.partial(Alarm.__call__, alarm)])
        passed = alarm.until_it_passes(functools.partial(CALLS[call], tracer), handler, chance.uniform(0.0002, 0.01))
        assert passed is alarm.error
        assert tracer.lost == {}
        strikes += alarm.strikes
    assert strikes <= rounds + 6


@pytest.mark.usefixtures("alarms")
def test_the_exception_of_a_handler_that_deletes_its_arguments_passes() -> None:
    def handler(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise MyTimeoutError

    signal.signal(signal.SIGVTALRM, handler)
    with pytest.raises(MyTimeoutError):
        Tracer(StruckStore()).emit("ai:decision", TOP)


@pytest.mark.usefixtures("alarms")
def test_the_exception_passes_during_a_direct_write_to_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "file" / "outbox"))
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    tracer, alarm = Tracer(), Alarm(TimeoutError)
    assert alarm.until_it_passes(lambda: tracer.emit("ai:decision", TOP), alarm, 0.01) is alarm.error
    tracer.close()


class StruckStore(MemoryStore):
    """A store that is interrupted by the alarm."""

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        signal.raise_signal(signal.SIGVTALRM)
        return super().append(events, replace)


@pytest.mark.usefixtures("alarms")
def test_the_job_s_exception_is_not_changed_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the store gets a note about the outbox. An alarm in the store is not such a fault."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "file" / "outbox"))
    monkeypatch.setattr(direct, "opened_store", lambda *_: StruckStore())
    alarm = Alarm(TimeoutError)
    signal.signal(signal.SIGVTALRM, alarm)
    with pytest.raises(TimeoutError) as caught:
        Tracer().emit("ai:decision", TOP)
    assert caught.value is alarm.error
    assert not hasattr(caught.value, "__notes__")


class WrappingStore(MemoryStore):
    """A store whose library wraps exceptions, like network libraries."""

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        if not vars(self).pop("struck", False):
            return super().append(events, replace)
        try:
            signal.raise_signal(signal.SIGVTALRM)
        except TimeoutError as error:
            raise ConnectionError("the connection broke") from error
        raise AssertionError

    struck = True


@pytest.mark.usefixtures("alarms")
def test_an_exception_that_a_library_wrapped_passes_unwrapped() -> None:
    store, alarm = WrappingStore(), Alarm(TimeoutError)
    vars(store)["struck"] = True
    signal.signal(signal.SIGVTALRM, alarm)
    tracer = Tracer(store)
    with pytest.raises(TimeoutError) as caught:
        tracer.emit("ai:decision", TOP)
    assert caught.value is alarm.error
    assert [event.event_type for event in store.fetch_trace("T").events] == ["ai:decision"]


@pytest.mark.usefixtures("alarms")
def test_an_alarm_that_the_job_handles_is_not_raised_again_by_a_later_fault() -> None:
    """A store that fails while a job handles its alarm loses only the event."""

    class BrokenStore(MemoryStore):
        def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
            raise OSError("disk full")

    tracer = Tracer(BrokenStore())
    signal.signal(signal.SIGVTALRM, Alarm(TimeoutError))
    try:
        signal.raise_signal(signal.SIGVTALRM)
    except TimeoutError:
        assert tracer.emit("stage:pay:failed", TOP) is None
    assert tracer.lost == {"event lost: OSError": 1}


@pytest.mark.usefixtures("alarms")
@pytest.mark.parametrize("look", [is_regular, is_special, identity_of])
def test_the_exception_passes_during_a_look_at_a_file(look: Callable[[Path], object], monkeypatch: Any) -> None:
    """It is not mistaken for a missing file."""
    signal.signal(signal.SIGVTALRM, Alarm(FileNotFoundError))
    monkeypatch.setattr(os, "stat", lambda *_, **__: signal.raise_signal(signal.SIGVTALRM))
    with pytest.raises(FileNotFoundError, match="of the job"):
        look(Path("file"))


@pytest.mark.usefixtures("alarms")
def test_a_span_whose_block_is_not_entered_for_an_alarm_is_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGVTALRM, Alarm(MyTimeoutError))

    class StruckVariable:
        def set(self, entered: object) -> None:
            signal.raise_signal(signal.SIGVTALRM)

        def get(self) -> None: ...

    monkeypatch.setattr("sagatrace.context._innermost", StruckVariable())
    undo = Tracer(MemoryStore()).compensation(original="S", parent=TOP)
    with pytest.raises(MyTimeoutError), undo:
        pass
    assert not undo.is_open


@pytest.mark.usefixtures("alarms")
def test_an_event_interrupted_before_it_has_an_id_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGVTALRM, Alarm(MyTimeoutError))
    store, ids = MemoryStore(), iter([lambda: signal.raise_signal(signal.SIGVTALRM), new_id, new_id])
    monkeypatch.setattr("sagatrace.event.new_id", lambda: next(ids)())
    with pytest.raises(MyTimeoutError):
        Tracer(store).emit("ai:decision", TOP)
    assert [event.event_type for event in store.fetch_trace("T").events] == ["ai:decision"]


@pytest.mark.usefixtures("alarms")
def test_a_module_that_is_removed_meanwhile_does_not_replace_the_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade removes the package under a process that runs."""
    signal.signal(signal.SIGVTALRM, Alarm(MyTimeoutError))
    monkeypatch.setitem(sys.modules, "sagatrace.withheld", None)
    tracer = Tracer(StruckStore())
    with pytest.raises(MyTimeoutError):
        tracer.emit("ai:decision", TOP)
    assert tracer.lost == {"event lost: ModuleNotFoundError": 1}


def test_an_error_of_the_package_does_not_pass() -> None:
    with pytest.raises(EventError, match="status 'z'") as caught:
        new_event(trace_id="x", span_id="S", event_type="y", status="z")  # type: ignore[arg-type]
    assert not must_pass(caught.value)
    assert interruption(caught.value, None) is None


@pytest.mark.usefixtures("alarms")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("directly", [False, True])
def test_an_event_interrupted_by_an_alarm_is_kept(tmp_path: Path, directly: bool) -> None:
    """In a loop of emits that alarms interrupt, no event but the last can be missing."""
    store = SqliteStore(tmp_path / "traces.db")
    tracer, last = Tracer(store if directly else Outbox(tmp_path / "outbox")), list[int]()

    def emit() -> None:
        tracer.emit("ai:decision", TOP, event_id=f"e{len(last)}-{next(turns)}")

    for _ in range(100):
        turns, alarm = iter(range(10**9)), Alarm(MyTimeoutError)
        assert alarm.until_it_passes(emit, alarm, 0.001) is alarm.error
        last.append(next(turns) - 2)
    assert tracer.lost == {}
    if not directly:
        shipper = Shipper(tmp_path / "outbox", store)
        assert shipper.run_once().fault is None
        shipper.close()
    store.close()
    ids = {event_id for _, event_id in stored(tmp_path / "traces.db")}
    assert {f"e{number}-{turn}" for number, end in enumerate(last) for turn in range(end + 1)} <= ids


def test_a_module_that_another_thread_imports_breaks_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rq.timeouts", ModuleType("rq.timeouts"))
    assert not must_pass(FileNotFoundError())


def without_arguments(*arguments: object) -> NoReturn:
    del arguments
    raise MyTimeoutError


def with_others(number: object, frame: object) -> NoReturn:
    number, frame = str(number), str(frame)
    raise MyTimeoutError(number, frame)


class WithoutArguments:
    """A handler that is an object, and deletes its arguments."""

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise MyTimeoutError


class WithoutCode:
    """An object that is called by code that is not Python's."""

    __call__ = print


FORMS: list[Callable[..., object]] = [
    without_arguments,
    with_others,
    WithoutArguments(),
    WithoutArguments().__call__,
    functools.partial(with_others),
    functools.partial(WithoutArguments()),
    functools.cache(with_others),
    MethodType(functools.partial(without_arguments), 1),
]


@pytest.mark.usefixtures("alarms")
@pytest.mark.parametrize("handler", FORMS, ids=range(len(FORMS)))
def test_the_exception_of_a_handler_of_any_form_passes(handler: Callable[..., object]) -> None:
    signal.signal(signal.SIGVTALRM, handler)
    with pytest.raises(MyTimeoutError):
        Tracer(StruckStore()).emit("ai:decision", TOP)


@pytest.mark.usefixtures("alarms")
@pytest.mark.parametrize("handler", [*FORMS, WithoutCode(), MethodType(print, 1), print, type], ids=range(12))
def test_a_fault_of_tracing_does_not_pass_whatever_the_handler(handler: Callable[..., object]) -> None:
    """Also if the code that raises has deleted an argument, or looks at the frame of its caller, as loggers do."""

    def redact(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
        del event_type, data
        return look()

    def look() -> NoReturn:
        caller = sys._getframe(1)
        raise ValueError(caller)

    signal.signal(signal.SIGVTALRM, handler)
    tracer = Tracer(MemoryStore(), redact=redact)
    assert tracer.emit("ai:decision", TOP) is not None
    assert tracer.lost == {"data withheld, redaction failed: ValueError": 1}
