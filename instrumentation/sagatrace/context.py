"""The place in a trace where code runs. It is passed on explicitly, as an argument or in a job's meta."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, Protocol, TypeVar

import msgspec

from sagatrace.faults import is_switched_off, log_fault
from sagatrace.ids import new_id

if TYPE_CHECKING:
    from rq.job import Job

__all__ = [
    "META_KEY",
    "Execution",
    "OpenSpan",
    "TraceContext",
    "TraceRef",
    "bound",
    "context_from_meta",
    "current_execution",
    "enter_execution",
    "enter_span",
    "innermost_span",
    "open_undos",
    "span_id_of",
    "trace_meta",
]

META_KEY: Final = "sagatrace"


class TraceRef(Protocol):
    """Anything that names a place in a trace: a TraceContext or an open span."""

    @property
    def trace_id(self) -> str:
        """The trace."""
        ...

    @property
    def span_id(self) -> str | None:
        """The span that new work belongs under; None at the top of the trace."""
        ...


class TraceContext(msgspec.Struct, frozen=True):
    """A trace, and the span that new work in it belongs under (None: the work is the root)."""

    trace_id: str
    span_id: str | None = None

    @classmethod
    def new(cls, trace_id: str | None = None) -> TraceContext:
        """Return the top of a new trace, named by your own workflow id if you give one."""
        return cls(trace_id or new_id())


class Execution(NamedTuple):
    """The RQ execution that runs here, its job, and the place of the work inside the job."""

    id: str | None = None
    job_id: str | None = None
    inside: TraceContext | None = None


class OpenSpan:
    """A span that can be entered: its execution, and whether it is open.

    `undoes_below` is the span around it if it is a compensation.
    """

    trace_id: str
    span_id: str
    undoes_below: str | None = None
    execution = Execution()
    is_open = False


class _Entered(NamedTuple):
    """One entry into a span, and the entry around it. A span that is entered again is another entry."""

    span: OpenSpan
    around: _Entered | None


_P = ParamSpec("_P")
_R = TypeVar("_R")
_innermost: Final[ContextVar[_Entered | None]] = ContextVar("innermost", default=None)
_here: Final[ContextVar[Execution | None]] = ContextVar("execution", default=None)
_has_warned = False  # of a job without a context
_in_process = Execution()  # for the threads of a job: a new thread has an empty context


def trace_meta(
    context: TraceRef | str | None,
    *,
    compensation: str | None = None,
    undoes: TraceRef | Job | str | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return the meta that carries the context into a job: `queue.enqueue(f, meta=trace_meta(context))`.

    Plain strings only, so that every RQ serializer takes it. Under OpenTelemetry it carries `traceparent` as well.

    Args:
        context: The place of the job; a text is a trace id. For None the job starts a trace of its own.
        compensation: The name of the job's compensation, if the job is a step of a saga.
        undoes: The step or job that the job undoes, or its span id, if the job is a compensation.
        reason: Why it undoes the step.
    """
    carried: dict[str, str] = {}
    if context is None:
        _warn_of_no_context()
    else:
        place = TraceContext(context) if isinstance(context, str) else context
        carried["trace_id"] = place.trace_id
        if place.span_id is not None:
            carried["parent_span_id"] = place.span_id
        sampling = sys.modules.get("sagatrace.sampling")
        if sampling is not None and sampling.has_failed(place.trace_id):
            carried["keep"] = "failed"  # the worker must record this trace as well from now on
    if compensation is not None:
        carried["compensation"] = compensation
    if undoes is not None:
        carried["original_span_id"] = span_id_of(undoes)
    if reason is not None:
        carried["reason"] = reason
    meta: dict[str, Any] = {META_KEY: carried} if carried else {}
    if "opentelemetry.trace" in sys.modules:
        from sagatrace.otel import traceparent  # only where the program uses it

        meta |= traceparent()
    return meta


def _warn_of_no_context() -> None:
    """Log once that a job gets no context."""
    global _has_warned
    if not (_has_warned or is_switched_off()):
        _has_warned = True
        log_fault("sagatrace: no trace context here, so the job starts a trace of its own (logged once)")


def span_id_of(step: TraceRef | Job | str) -> str:
    """Return the span id of a step, given as its span, its RQ job or its span id."""
    return step if isinstance(step, str) else str(getattr(step, "span_id", None) or getattr(step, "id", ""))


def context_from_meta(meta: Mapping[str, Any] | None) -> TraceContext | None:
    """Return the context a job was enqueued with; None if it carries none, or something else under our key."""
    carried = (meta or {}).get(META_KEY)
    if not isinstance(carried, dict):
        return None
    trace_id, parent = carried.get("trace_id"), carried.get("parent_span_id")
    if not isinstance(trace_id, str) or not trace_id:
        return None
    if "keep" in carried and os.environ.get("SAGATRACE_SAMPLE"):
        from sagatrace.sampling import keep

        keep(trace_id)
    return TraceContext(trace_id, parent if isinstance(parent, str) else None)


def enter_execution(execution: Execution) -> None:
    """Set the execution that runs from now on in this context and process. At its end, set the one around it."""
    global _in_process
    _in_process = execution
    _here.set(execution)


def current_execution() -> Execution:
    """Return the execution that runs here, also in callbacks and threads of a job; an empty one outside of a job."""
    execution = _here.get() or _in_process
    return execution if execution.id else execution._replace(id=_id_of_spawned_horse())


def enter_span(span: OpenSpan) -> None:
    """Record that the span is open in this context. `is_open` marks its end, which may come in another context."""
    around = _innermost.get()
    while around is not None and not around.span.is_open:
        around = around.around
    entered = _Entered(span, around)
    span.is_open = True
    try:
        _innermost.set(entered)
    except BaseException:  # an alarm of the job: the block, whose end would close the span, is not entered
        span.is_open = False
        raise


def innermost_span() -> TraceRef | None:
    """Return the innermost open span of the job that runs here; without one, the job's context."""
    return next(_open_spans(), None) or current_execution().inside


def open_undos() -> Iterator[OpenSpan]:
    """Yield the compensations that run here, the innermost first."""
    return (span for span in _open_spans() if span.undoes_below is not None)


def _open_spans() -> Iterator[OpenSpan]:
    """Yield the open spans of the job that runs here, the innermost first."""
    here, entered = current_execution(), _innermost.get()
    while entered is not None:
        if entered.span.is_open and _is_here(entered.span.execution, here):
            yield entered.span
        entered = entered.around


def _is_here(execution: Execution, here: Execution) -> bool:
    """Return whether a span of that execution counts here; a thread of RQ 2's spawned work-horse knows no job."""
    return execution == here or (execution.inside is None and here == Execution())


def bound(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function, bound to the current context, for a call in any thread."""
    context = copy_context()

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return context.copy().run(function, *args, **kwargs)  # a copy: two threads cannot be in one context

    return call


def _id_of_spawned_horse() -> str | None:
    """Return the id that RQ left in the environment of a spawned work-horse.

    RQ 2 spawns a plain worker, which runs no hook of this package. The job that runs here must be one of the worker
    in the environment: programs that a job starts inherit the environment as well, and may outlive the execution.
    """
    execution_id, rq = os.environ.get("RQ_EXECUTION_ID"), sys.modules.get("rq")
    if not execution_id or rq is None:
        return None
    job = rq.get_current_job()
    return execution_id if job is not None and job.worker_name == os.environ.get("RQ_WORKER_ID") else None
