"""The span of the explicit API. It records the start and the end of the work in a `with` block."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from sagatrace.context import OpenSpan, TraceRef, current_execution, enter_span
from sagatrace.error_text import causes_of
from sagatrace.ids import new_id

if TYPE_CHECKING:
    from sagatrace.tracer import Tracer

__all__ = ["Span"]

_PHASES: Final[Mapping[str, tuple[str, str, str]]] = {
    "step": ("started", "completed", "failed"),
    "compensation": ("compensating", "compensated", "compensation_failed"),
}


class Span(OpenSpan):
    """A span, made by `Tracer.span` or `Tracer.compensation`. Pass it as the `TraceRef` of the work inside it.

    It begins and ends with a `with` or `async with` block. An exception ends it as failed. Two exceptions end it
    as canceled: `asyncio.CancelledError`, and the `GeneratorExit` of a generator that is closed. The exception passes.
    """

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        parent: TraceRef | str | None,
        kind: Literal["step", "compensation"],
        data: Mapping[str, Any],
        tags: Iterable[str] | None,
    ) -> None:
        self._tracer, self._data, self._tags, self._phases = tracer, data, tags, _PHASES[kind]
        self._parent = tracer._place(parent)  # noqa: SLF001 - the tracer makes the span
        self._outcome: dict[str, Any] = {}
        self.has_failed = False  # by `fail`
        self.name = name
        self.compensation: str | None = data.get("compensation")
        self.trace_id, self.span_id = self._parent.trace_id, new_id()
        if kind == "compensation":
            self.undoes_below = self._parent.span_id or ""

    def record(self, **data: Any) -> None:
        """Add values to the event that closes this span."""
        self._outcome.update(data)

    def declare(self, compensation: str) -> None:
        """Declare the name of the work that would undo the step. Call it before the step is entered."""
        self.compensation = compensation
        self._data = {**self._data, "compensation": compensation}

    def fail(self, reason: str) -> None:
        """Mark the span as failed, for this reason. It closes as failed without an exception."""
        self._outcome["error"] = reason
        self.has_failed = True

    def __enter__(self) -> Self:
        self._around, self.execution = id(sys.exception()), current_execution()
        execution = self.execution.id  # if the process dies, the span ends with its execution
        self._emit(self._phases[0], data={**self._data, "execution": execution} if execution else self._data)
        enter_span(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False
        try:
            if error is None and not self.has_failed:
                self._emit(self._phases[1], status="success", data=self._outcome)
            elif kind is not None and issubclass(kind, (asyncio.CancelledError, GeneratorExit)):
                self._emit("canceled", data=self._outcome)
            else:
                data = {**self._outcome, **causes_of(error, self._around)}
                self._emit(self._phases[2], status="failed", data=data, error=error)
        except RecursionError:  # the job's stack is exhausted: a call of `_count` would fail too
            lost = self._tracer.lost
            lost["event lost: RecursionError"] = lost.get("event lost: RecursionError", 0) + 1

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _emit(self, phase: str, **given: Any) -> None:
        self._tracer.emit(f"{self.name}:{phase}", self._parent, span_id=self.span_id, tags=self._tags, **given)
