"""Sagas: steps with compensations, undone in reverse order when the saga fails. Optional.

    with tracer.saga("order", trace) as saga:
        saga.call("charge", charge, order, undo=refund)
        with saga.step("ship", undo=partial(cancel, order)):
            ship(order)

An exception in the block undoes all steps that completed, each in a compensation span, and passes on as itself. A
compensation that fails is recorded and keeps no other from being tried. With `async with saga` and `async with
saga.step(…)` the undo functions may be coroutine functions. A saga does not retry, persist or resume.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sagatrace.errors import must_pass

if TYPE_CHECKING:
    from sagatrace.context import TraceRef
    from sagatrace.tracer import Span, Tracer

__all__ = ["Saga", "Step"]

_R = TypeVar("_R")


class Saga:
    """One saga: a `TraceRef` to hand on to the work inside it. Made by `Tracer.saga`."""

    def __init__(self, tracer: Tracer, name: str, parent: TraceRef | str | None, data: Mapping[str, Any]) -> None:
        self.span = tracer.span(f"workflow:{name}", parent, data={"workflow_id": name, **data})
        self.trace_id, self.span_id = self.span.trace_id, self.span.span_id
        self._tracer = tracer
        self._to_undo: list[tuple[Span, Callable[[], Any]]] = []
        self._reason: str | None = None  # why it fails, if it does so without an exception

    def step(self, name: str, *, undo: Callable[[], Any] | None = None) -> Step:
        """Return a step, to be entered by `with` or `async with`.

        Args:
            name: Its name; the span is `step:NAME`.
            undo: Undoes the step. Called without arguments if the step completed and the saga fails.
        """
        declared = None if undo is None else _name_of(undo)
        return Step(self._tracer.span(f"step:{name}", self.span, compensation=declared), self._to_undo, undo)

    def call(
        self, name: str, function: Callable[..., _R], *args: Any, undo: Callable[..., Any] | None = None, **kwargs: Any
    ) -> _R:
        """Call the function as a step and return its result. `undo` gets the same arguments.

        Raises TypeError for a coroutine function, whose work would begin only after the step: use `step` for it.
        """
        step = self.step(name)
        if undo is not None:
            step.declare(_name_of(undo), lambda: undo(*args, **kwargs))
        with step:
            return _finished(function(*args, **kwargs))

    def fail(self, reason: str) -> None:
        """Let the saga fail at the end of its block without an exception; then the completed steps are undone."""
        self.span.fail(reason)
        self._reason = reason

    def __enter__(self) -> Self:
        self.span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for undoing, undo in self._undoing(error):
                with undoing:
                    _finished(undo())
        finally:
            self.span.__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for undoing, undo in self._undoing(error):
                with undoing:
                    result = undo()
                    if inspect.isawaitable(result):
                        await result
        finally:
            self.span.__exit__(kind, error, trace)

    def _undoing(self, error: BaseException | None) -> Iterator[tuple[_Tried, Callable[[], Any]]]:
        """Yield the completed steps of a saga that failed, in reverse order, each with the span to undo it in."""
        reason = self._reason if error is None else type(error).__name__
        while reason is not None and self._to_undo:
            step, undo = self._to_undo.pop()
            yield _Tried(self._tracer.compensation(original=step, parent=self.span, reason=reason)), undo


class Step:
    """One step of a saga. Its compensation is due once it completed."""

    def __init__(
        self, span: Span, to_undo: list[tuple[Span, Callable[[], Any]]], undo: Callable[[], Any] | None
    ) -> None:
        self.span, self._to_undo, self._undo = span, to_undo, undo

    def declare(self, name: str, undo: Callable[[], Any]) -> None:
        """Declare what undoes the step, before it begins."""
        self.span.declare(name)
        self._undo = undo

    def __enter__(self) -> Span:
        return self.span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._undo is not None:
            self._to_undo.append((self.span, self._undo))
        self.span.__exit__(kind, error, trace)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class _Tried:
    """A compensation span that keeps the exception of a failed undo to itself: the next step is to be undone."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._span.__exit__(kind, error, trace)
        return isinstance(error, Exception) and not must_pass(error)


def _finished(result: _R) -> _R:
    """Return the result of a function that has run. Raises TypeError for an awaitable, whose work is not done."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("a coroutine function was called without await: use `async with saga` and saga.step(…)")
    return result


def _name_of(undo: Callable[..., Any]) -> str:
    return str(getattr(undo, "__name__", None) or getattr(getattr(undo, "func", None), "__name__", None) or "undo")
