"""Any exception of a job passes unchanged, even if its class raises when it is read."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from sagatrace import TraceContext, Tracer
from sagatrace.faults import log_fault
from sagatrace.stores.memory import MemoryStore

TOP = TraceContext("T")


class ApiError(Exception):
    """An exception that keeps its values in a payload, which may be missing."""

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["payload"][name]


class HostileError(Exception):
    """An exception that raises at each access."""

    def __str__(self) -> NoReturn:
        raise LookupError("no text")

    __repr__ = __str__

    @property
    def __notes__(self) -> NoReturn:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise LookupError("no notes")

    @property
    def __cause__(self) -> NoReturn:  # type: ignore[override]
        raise LookupError("no cause")

    @property
    def __context__(self) -> NoReturn:  # type: ignore[override]
        raise LookupError("no context")

    @property
    def __traceback__(self) -> NoReturn:  # type: ignore[override]
        raise LookupError("no traceback")


class LeavingError(Exception):
    """An exception that ends the process when it is formatted."""

    def __str__(self) -> NoReturn:
        raise SystemExit(3)


class _Nameless(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__qualname__":
            raise LookupError("no name")
        return super().__getattribute__(name)


class NamelessError(Exception, metaclass=_Nameless):
    """An exception of a class without a name."""


class OddError(Exception):
    """An exception that is neither true nor false, and has no length and no class."""

    def __bool__(self) -> NoReturn:
        raise LookupError("no truth")

    def __len__(self) -> NoReturn:
        raise LookupError("no length")

    @property
    def __class__(self) -> NoReturn:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        raise LookupError("no class")


class ClosedGroup(ExceptionGroup[Exception]):
    """A group that hides its members."""

    @property
    def exceptions(self) -> NoReturn:
        raise LookupError("no members")


def syntax_error() -> SyntaxError:
    error = SyntaxError("bad")
    error.text, error.lineno, error.offset = b"abc", 1, 1  # type: ignore[assignment]
    return error


def noted(note: object) -> Exception:
    error = ValueError("noted")
    error.__notes__ = note  # type: ignore[assignment]
    return error


def cyclic() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


ZOO: dict[str, Callable[[], BaseException]] = {
    "plain": lambda: ValueError("too low"),
    "getattr": ApiError,
    "hostile": HostileError,
    "leaving": LeavingError,
    "nameless": NamelessError,
    "odd": OddError,
    "closed group": lambda: ClosedGroup("many", [OddError()]),
    "syntax": syntax_error,
    "notes of a number": lambda: noted(7),
    "notes of numbers": lambda: noted([1, object()]),
    "surrogate": lambda: ValueError("half \ud800 a pair"),
    "cyclic": cyclic,
    "group": lambda: ExceptionGroup("many", [ApiError(), HostileError("x"), syntax_error()]),
    "5 MB": lambda: ValueError("x" * 5_000_000),
    "exit": lambda: SystemExit(1),
    "interrupt": KeyboardInterrupt,
}


@pytest.mark.parametrize("name", ZOO)
def test_an_exception_passes_a_span_unchanged(name: str) -> None:
    store, error = MemoryStore(), ZOO[name]()
    tracer = Tracer(store)
    caught: BaseException | None = None
    try:
        with tracer.span("stage:pay", TOP):
            raise error  # noqa: TRY301 - within the span
    except BaseException as found:  # noqa: BLE001 - any exception
        caught = found
    assert caught is error
    start, end = store.fetch_trace("T").events
    assert (start.event_type, end.event_type) == ("stage:pay:started", "stage:pay:failed")
    named = name != "nameless"
    assert end.data["error_type"] == (type(error).__qualname__ if named else "<no type: LookupError>")
    assert len(end.data["error"]) < 5_000
    assert tracer.lost == {}


@pytest.mark.parametrize("name", ZOO)
def test_an_exception_behind_another_changes_nothing(name: str) -> None:
    tracer = Tracer(MemoryStore())
    for attribute in ("__cause__", "__context__"):
        error = ValueError("in front")
        setattr(error, attribute, ZOO[name]())
        caught: BaseException | None = None
        try:
            with tracer.span("stage:pay", TOP):
                raise error  # noqa: TRY301 - within the span
        except BaseException as found:  # noqa: BLE001 - any exception
            caught = found
        assert caught is error
    assert tracer.lost == {}


@pytest.mark.parametrize("name", [name for name in ZOO if isinstance(ZOO[name](), Exception)])
def test_an_exception_of_an_undo_keeps_no_other_step_from_being_undone(name: str) -> None:
    tracer, undone, error = Tracer(MemoryStore()), list[str](), ZOO[name]()

    def fails(_: str) -> NoReturn:
        raise ZOO[name]()

    caught: BaseException | None = None
    try:
        with tracer.saga("order", "T") as saga:
            saga.call("charge", str, "charge", undo=undone.append)
            saga.call("reserve", str, "reserve", undo=fails)
            raise error  # noqa: TRY301 - within the saga
    except BaseException as found:  # noqa: BLE001 - any exception
        caught = found
    assert caught is error
    assert undone == ["charge"]


@pytest.mark.parametrize("name", ZOO)
def test_a_span_over_hours_fails_with_any_exception(name: str) -> None:
    store = MemoryStore()
    tracer = Tracer(store)
    tracer.resume(tracer.begin("workflow:order", "T")).fail(ZOO[name]())
    assert store.fetch_trace("T").events[-1].event_type == "workflow:order:failed"
    assert tracer.lost == {}


@pytest.mark.parametrize("name", ZOO)
def test_a_log_line_about_any_exception_is_written(name: str, caplog: pytest.LogCaptureFixture) -> None:
    log_fault("sagatrace: a hook failed: %s", HostileError(), error=ZOO[name]())
    (record,) = caplog.records
    assert record.getMessage() == "sagatrace: a hook failed: <no text: LookupError>"
    assert record.exc_text


def test_the_event_names_the_parts_that_could_not_be_formatted() -> None:
    store = MemoryStore()
    with pytest.raises(HostileError), Tracer(store).span("stage:pay", TOP):
        raise HostileError
    end = store.fetch_trace("T").events[-1]
    assert end.data["error"] == "<no message: LookupError>"
    assert "LookupError" in end.data["stack"] or "HostileError" in end.data["stack"]


def test_an_exception_that_hides_its_traceback_passes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> NoReturn:
        raise KeyError("__notes__")

    store, error = MemoryStore(), ValueError("too low")
    monkeypatch.setattr(traceback, "format_exception", broken)
    with pytest.raises(ValueError, match="too low") as caught, Tracer(store).span("stage:pay", TOP):
        raise error
    assert caught.value is error
    assert store.fetch_trace("T").events[-1].data["stack"] == "<no traceback: KeyError>"


def test_a_recursion_error_passes_unchanged_and_lost_events_are_counted() -> None:
    """Near the recursion limit no event can be recorded. The job's own error still passes."""
    store = MemoryStore()
    tracer = Tracer(store)
    first: list[BaseException] = []

    def descend() -> None:
        with tracer.span("stage:deeper", TOP):
            try:
                descend()
            except RecursionError as error:
                if not first:
                    first.append(error)
                raise

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        with pytest.raises(RecursionError) as caught:
            descend()
    finally:
        sys.setrecursionlimit(limit)
    assert caught.value is first[0]
    ends = [one for one in store.fetch_trace("T").events if one.event_type.endswith(":failed")]
    assert ends


@pytest.mark.parametrize("place", [None, "T"])
def test_none_and_a_text_are_valid_contexts(place: str | None) -> None:
    store = MemoryStore()
    tracer = Tracer(store)
    with tracer.span("stage:pay", place) as pay, tracer.compensation(original=pay, parent=place):
        tracer.emit("ai:decision", place)
    assert pay.trace_id == "T" if place else len(pay.trace_id) == 36
    if place is None:
        assert tracer.lost == {"no trace context here, so the event is in a trace of its own": 3}
