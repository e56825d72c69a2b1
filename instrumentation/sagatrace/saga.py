"""Sagas: steps with compensations, undone in reverse order when the saga fails. Optional.

    with tracer.saga("order", trace) as saga:
        saga.call("charge", charge, order, undo=refund)
        with saga.step("ship", undo=partial(cancel, order)):
            ship(order)

An exception in the block undoes all steps that completed, each in a compensation span. Then the exception leaves the
block unchanged. A failed compensation is recorded, and the next one is still tried. With `async with saga` and `async
with saga.step(…)` the undo functions may be coroutine functions. A saga does not retry, persist or resume.

A step can run as an RQ job: `saga.run(queue, charge, order, undo=refund)`. Its undo then runs as an RQ job as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sagatrace.context import open_undos
from sagatrace.error_text import error_data, members_of
from sagatrace.errors import SagatraceError
from sagatrace.faults import log_fault
from sagatrace.interruptions import must_pass

if TYPE_CHECKING:
    from rq import Queue
    from rq.job import Job

    from sagatrace.context import TraceRef
    from sagatrace.span import Span
    from sagatrace.tracer import Tracer

__all__ = ["Saga", "Step", "StepError", "name_of"]

_R = TypeVar("_R")
_Due = tuple["Span | None", Callable[..., Any]]  # a step and its undo; for None the undo is called with the reason


class StepError(SagatraceError):
    """A step that ran as an RQ job failed, or did not succeed in time. `job` is the RQ job."""

    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job


class Saga:
    """One saga, made by `Tracer.saga`. Pass it as the `TraceRef` of the work inside it.

    While an undo runs, new work under the saga is placed below the compensation.
    """

    def __init__(self, tracer: Tracer, name: str, parent: TraceRef | str | None, data: Mapping[str, Any]) -> None:
        self.span = tracer.span(f"workflow:{name}", parent, data={"workflow_id": name, **data})
        self.trace_id, self.tracer = self.span.trace_id, tracer
        self.to_undo: list[_Due] = []
        self._reason: str | None = None  # why the saga fails, if it fails without an exception
        self._is_async = False

    @property
    def span_id(self) -> str:
        """The span that new work belongs under."""
        undos = (undo.span_id for undo in open_undos() if undo.undoes_below == self.span.span_id)
        return next(undos, self.span.span_id)

    def step(self, name: str, *, undo: Callable[[], Any] | None = None) -> Step:
        """Return a step. Enter it by `with` or `async with`, which return its `Span`.

        Args:
            name: The step's name. The span is named `step:NAME`.
            undo: A function that undoes the step. Called without arguments if the step completed and the saga fails.
        """
        declared = None if undo is None else name_of(undo)
        return Step(self.tracer.span(f"step:{name}", self.span, compensation=declared), self.to_undo, undo)

    def call(
        self,
        name: str,
        function: Callable[..., _R],
        /,
        *args: Any,
        undo: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> _R:
        """Call the function as a step and return its result.

        Args:
            name: The step's name.
            function: The function to call. Its exceptions pass.
            *args: Arguments of the function.
            undo: A function that undoes the step. Called with the same arguments.
            **kwargs: Keyword arguments of the function.

        Raises:
            TypeError: The function is a coroutine or generator function: its work would begin after the step. Or a
                step with an undo returned a future or an RQ job. Use `step` or `run` instead.
        """
        step = self.step(name)
        if undo is not None:
            step.declare(name_of(undo), lambda: undo(*args, **kwargs))
        with step:
            return _finished(function(*args, **kwargs), may_go_on=undo is None)

    def run(
        self,
        queue: Queue,
        function: Callable[..., _R],
        /,
        *args: Any,
        undo: Callable[..., Any] | None = None,
        timeout: float = 30,
        **options: Any,
    ) -> _R:
        """Run the function as an RQ job that is a step. Wait for the job and return its result.

        If the saga fails, the undo function runs as a job of the same queue, with the same arguments. The saga waits
        `timeout` seconds for the undo as well. If the step is still running then, its undo depends on the step: RQ runs
        the undo after the step succeeds. Run the saga outside of the queue's only worker: while a worker waits for a
        job, it cannot run the job.

        Args:
            queue: The queue of the step. A plain queue is traced for this step.
            function: The function of the step.
            *args: Arguments of the function.
            undo: A function that undoes the step. Called if the step succeeded, or if its outcome is not known in time.
            timeout: Seconds to wait for the step, and again for its undo.
            **options: Keyword arguments of the function, and options of `queue.enqueue` such as `retry`.

        Raises:
            StepError: The job failed, or gave no result in time. A job whose work-horse was killed or timed out counts
                as failed and is not undone. If it has an undo, the trace shows the step as possibly still standing.
            ValueError: `result_ttl=0` or `failure_ttl=0`: RQ must keep the result of the job.
            TypeError: The queue enqueues the job only after a database transaction.
        """
        from sagatrace.rq.steps import run_step  # only where it is used

        result: _R = run_step(self, queue, function, args, undo=undo, timeout=timeout, options=options)
        return result

    def fail(self, reason: str) -> None:
        """Mark the saga as failed, for this reason. At the end of its block the completed steps are undone."""
        self.span.fail(reason)
        self._reason = str(reason)  # also None: the steps are undone

    def rolled_back(self, reason: str) -> None:
        """Undo the completed steps now, for this reason. The saga closes as failed at the end of its block.

        In `async with saga` the steps are undone at the end of the block, as with `fail`.
        """
        self.fail(reason)
        if not self._is_async:
            self._undo_all(None)

    def __enter__(self) -> Self:
        self.span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._undo_all(error)
        finally:
            self.span.__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        self._is_async = True
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for undoing, undo in self._undoing(error):
                with undoing:
                    result = undo()
                    _finished(await result if inspect.isawaitable(result) else result)
        finally:
            self.span.__exit__(kind, error, trace)

    def _undo_all(self, error: BaseException | None) -> None:
        for undoing, undo in self._undoing(error):
            with undoing:
                _finished(undo())

    def _undoing(self, error: BaseException | None) -> Iterator[tuple[_Tried, Callable[[], Any]]]:
        """Yield the undos of a failed saga in reverse order of the steps, each with the span to run it in."""
        reason = self._reason if error is None else _reason_of(error)
        while reason is not None and self.to_undo:
            step, undo = self.to_undo.pop()
            if step is None:
                yield _Tried(None), partial(undo, reason)
            else:
                yield _Tried(self.tracer.compensation(original=step, parent=self.span, reason=reason)), undo


class Step:
    """One step of a saga. Its undo runs only if the step completed and the saga fails."""

    def __init__(self, span: Span, to_undo: list[_Due], undo: Callable[[], Any] | None) -> None:
        self.span, self._to_undo, self._undo = span, to_undo, undo

    def declare(self, name: str, undo: Callable[[], Any]) -> None:
        """Set the undo of the step and its name. Call it before the step begins."""
        self.span.declare(name)
        self._undo = undo

    def __enter__(self) -> Span:
        return self.span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._undo is not None and not self.span.has_failed:
            self._to_undo.append((self.span, self._undo))
        self.span.__exit__(kind, error, trace)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class _Tried:
    """Swallow the exception of a failed undo, so that the next step is undone. Record it in the span or the log."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def __enter__(self) -> None:
        if self._span is not None:
            self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        is_kept = error is not None and issubclass(type(error), Exception) and not _passes(error)
        if self._span is not None:
            self._span.__exit__(kind, error, trace)
        elif is_kept:
            log_fault("sagatrace: one compensation is not known to have succeeded, the saga continues: %s", error)
        return is_kept


def _reason_of(error: BaseException) -> str:
    """Return an error's type and message, bounded: the reason why the steps are undone."""
    known = error_data(error)
    return ": ".join(filter(None, (known["error_type"], known["error"])))


def _passes(error: BaseException) -> bool:
    """Return whether the error, or one in its group, is meant for the job."""
    return must_pass(error) or any(map(_passes, members_of(error)))


def _finished(result: _R, *, may_go_on: bool = False) -> _R:
    """Return the result of a function. Raises TypeError if its work has not begun, or may continue elsewhere."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("a coroutine function was called without await: use `async with saga` and saga.step(…)")
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError("a generator function was called, and nothing of it has run: loop over it in a function")
    kinds = set() if may_go_on else {f"{kind.__module__}.{kind.__name__}" for kind in type(result).__mro__}
    if "rq.job.Job" in kinds:
        raise TypeError("the function enqueued a job, which may still run: use saga.run(queue, function, …)")
    if "concurrent.futures._base.Future" in kinds:
        raise TypeError("the function returned a future, whose work may go on: return its result() instead")
    return result


def name_of(undo: Callable[..., Any] | str) -> str:
    """Return the name of a function that undoes a step."""
    if isinstance(undo, str):  # RQ accepts the path of a function as well
        return undo.rpartition(".")[2]
    return str(getattr(undo, "__name__", None) or getattr(getattr(undo, "func", None), "__name__", None) or "undo")
