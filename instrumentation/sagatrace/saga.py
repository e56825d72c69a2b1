"""Sagas: steps with compensations, undone in reverse order when the saga fails. Optional.

    with tracer.saga("order", trace) as saga:
        saga.call("charge", charge, order, undo=refund)
        with saga.step("ship", undo=partial(cancel, order)):
            ship(order)

An exception in the block undoes all steps that completed, each in a compensation span. Then the exception passes on,
unchanged. A failed compensation is recorded, and the next one is still tried. With `async with saga` and `async with
saga.step(…)` the undo functions may be coroutine functions. A saga does not retry, persist or resume.

A step can be an RQ job, and so is its undo then: `saga.run(queue, charge, order, undo=refund)`.
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
_Due = tuple["Span | None", Callable[..., Any]]  # a step and its undo; None: the undo finds its step, given the reason


class StepError(SagatraceError):
    """A step that ran as an RQ job did not succeed, or not in time. `job` is the job; see its events."""

    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job


class Saga:
    """One saga: a `TraceRef` to pass on to the work inside it. Made by `Tracer.saga`.

    Work that gets it in an undo belongs below the compensation.
    """

    def __init__(self, tracer: Tracer, name: str, parent: TraceRef | str | None, data: Mapping[str, Any]) -> None:
        self.span = tracer.span(f"workflow:{name}", parent, data={"workflow_id": name, **data})
        self.trace_id, self.tracer = self.span.trace_id, tracer
        self.to_undo: list[_Due] = []
        self._reason: str | None = None  # why it fails, if it does so without an exception
        self._is_async = False

    @property
    def span_id(self) -> str:
        """The span that new work belongs under."""
        undos = (undo.span_id for undo in open_undos() if undo.undoes_below == self.span.span_id)
        return next(undos, self.span.span_id)

    def step(self, name: str, *, undo: Callable[[], Any] | None = None) -> Step:
        """Return a step. Enter it by `with` or `async with`.

        Args:
            name: Its name; the span is `step:NAME`.
            undo: Undoes the step. Called without arguments if the step completed and the saga fails.
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
        """Call the function as a step and return its result. `undo` gets the same arguments.

        Raises TypeError for a coroutine or generator function, as its work would begin after the step. Raises it as
        well for a future or an RQ job as the result of a step with an undo. Use `step` or `run` instead.
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
        """Run the function as a step that is an RQ job, wait for it, and return its result.

        If the saga fails, the undo function runs as a job of the same queue with the same arguments. The saga waits for
        it as long. If the step has not ended by then, its undo depends on it: RQ runs the undo once the step succeeded.
        The saga itself must run elsewhere: a worker that waits for a job cannot run it.

        Args:
            queue: The queue of the step, a `TracedQueue` at best.
            function: The step.
            *args: Its arguments.
            undo: Undoes the step. It is due if the step succeeded, or if its outcome is not known in time.
            timeout: Seconds to wait for the step, and for its undo.
            **options: Further arguments, and options of RQ such as `retry`, as `queue.enqueue` takes them. RQ must keep
                the result of the job: `result_ttl=0` and `failure_ttl=0` raise ValueError.

        Raises StepError if the job failed, or gave no result in time. A job whose work-horse was killed or timed out
        counts as failed and is not undone; if it has an undo, the trace shows it as still standing, but not certain.
        """
        from sagatrace.rq.steps import run_step  # only where it is used

        result: _R = run_step(self, queue, function, args, undo=undo, timeout=timeout, options=options)
        return result

    def fail(self, reason: str) -> None:
        """Let the saga fail at the end of its block without an exception; then the completed steps are undone."""
        self.span.fail(reason)
        self._reason = str(reason)  # also None: the steps are undone

    def rolled_back(self, reason: str) -> None:
        """Undo the completed steps now, without an exception. The saga closes as failed at the end of its block.

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
        """Yield the completed steps of a saga that failed, in reverse order, each with the span to undo it in."""
        reason = self._reason if error is None else _reason_of(error)
        while reason is not None and self.to_undo:
            step, undo = self.to_undo.pop()
            if step is None:
                yield _Tried(None), partial(undo, reason)
            else:
                yield _Tried(self.tracer.compensation(original=step, parent=self.span, reason=reason)), undo


class Step:
    """One step of a saga. Its compensation is due once it completed."""

    def __init__(self, span: Span, to_undo: list[_Due], undo: Callable[[], Any] | None) -> None:
        self.span, self._to_undo, self._undo = span, to_undo, undo

    def declare(self, name: str, undo: Callable[[], Any]) -> None:
        """Declare the undo of the step, before it begins."""
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
    """Swallow the exception of a failed undo, so that the next step is undone. A span or the log records it."""

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
    """Return the result of a function. Raises TypeError if its work is yet to begin, or may go on elsewhere."""
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
