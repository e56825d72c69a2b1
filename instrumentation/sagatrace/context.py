"""The place in a trace where code runs. Pass it on explicitly, as an argument or in a job's meta."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from functools import cache, wraps
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
    """A place in a trace: a TraceContext or a span."""

    @property
    def trace_id(self) -> str:
        """The id of the trace."""
        ...

    @property
    def span_id(self) -> str | None:
        """The id of the span that new work belongs under; None at the top of the trace."""
        ...


class TraceContext(msgspec.Struct, frozen=True):
    """A place in a trace.

    Attributes:
        trace_id: The id of the trace.
        span_id: The id of the span that new work belongs under. With None new work is a root of the trace.
    """

    trace_id: str
    span_id: str | None = None

    @classmethod
    def new(cls, trace_id: str | None = None) -> TraceContext:
        """Return the top of a trace. `trace_id` may be your own workflow id; the default is a new random id."""
        return cls(trace_id or new_id())


class Execution(NamedTuple):
    """The RQ execution that runs here, its job, and the place of the work inside the job."""

    id: str | None = None
    job_id: str | None = None
    inside: TraceContext | None = None


class OpenSpan:
    """A span that can be entered.

    Attributes:
        undoes_below: The id of the parent span if this span is a compensation, else None.
        execution: The RQ execution in which the span was entered.
        is_open: Whether the span was entered and has not ended.
    """

    trace_id: str
    span_id: str
    undoes_below: str | None = None
    execution = Execution()
    is_open = False


class _Entered(NamedTuple):
    """One entry into a span, and the entry around it. Entering a span twice makes two entries."""

    span: OpenSpan
    around: _Entered | None


_P = ParamSpec("_P")
_R = TypeVar("_R")
_innermost: Final[ContextVar[_Entered | None]] = ContextVar("innermost", default=None)
_here: Final[ContextVar[Execution | None]] = ContextVar("execution", default=None)
_in_process = Execution()  # for the threads of a job: a new thread has an empty context


def trace_meta(
    context: TraceRef | str | None,
    *,
    compensation: str | None = None,
    undoes: TraceRef | Job | str | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return the meta that carries the context into a job: `queue.enqueue(f, meta=trace_meta(context))`.

    It holds plain strings only, so that every RQ serializer can write it. If the program uses OpenTelemetry, the meta
    holds `traceparent` as well.

    Args:
        context: The place of the job. A text is a trace id. With None the job starts its own trace, and the missing
            context is logged once per process.
        compensation: The name of the job's compensation, if the job is a step of a saga.
        undoes: The step or job that this job undoes, or its span id, if this job is a compensation.
        reason: Why this job undoes the step.
    """
    carried: dict[str, str] = {}
    if context is None:
        if not is_switched_off():
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


@cache
def _warn_of_no_context() -> None:
    """Log once per process that a job gets no context."""
    log_fault("sagatrace: no trace context here, so the job starts a trace of its own (logged once)")


def span_id_of(step: TraceRef | Job | str) -> str:
    """Return the span id of a step, given as its span, its RQ job or its span id."""
    return step if isinstance(step, str) else str(getattr(step, "span_id", None) or getattr(step, "id", ""))


def context_from_meta(meta: Mapping[str, Any] | None) -> TraceContext | None:
    """Return the context a job was enqueued with; None if its meta holds none, or another value under `META_KEY`.

    If the meta marks a failed trace, this process records all further events of the trace.
    """
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


def enter_execution(execution: Execution) -> Execution:
    """Set the execution that runs in this context and process. Return the one around it, to enter afterwards."""
    global _in_process
    around, _in_process = _here.get() or _in_process, execution
    _here.set(execution)
    return around


def current_execution() -> Execution:
    """Return the execution that runs here, also in callbacks and threads of a job; outside of a job an empty one."""
    execution = _here.get() or _in_process
    if execution.id is None and (found := _id_of_spawned_horse()):
        return execution._replace(id=found)
    return execution


def enter_span(span: OpenSpan) -> None:
    """Record that the span is open in this context. Set `is_open` to False when it ends, perhaps in another context."""
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
    """Return the innermost open span of the job that runs here. If no span is open, return the job's context."""
    return next(_open_spans(), None) or current_execution().inside


def open_undos() -> Iterator[OpenSpan]:
    """Yield the compensations that run here, the innermost first."""
    return (span for span in _open_spans() if span.undoes_below is not None)


def _open_spans() -> Iterator[OpenSpan]:
    """Yield the open spans of the job that runs here, the innermost first."""
    here, entered = current_execution(), _innermost.get()
    while entered is not None:
        span = entered.span
        # In a thread of a work-horse that RQ 2 spawned, `here` is empty.
        if span.is_open and (span.execution == here or (span.execution.inside is None and here == Execution())):
            yield span
        entered = entered.around


def bound(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function, bound to the current context, for a call in any thread."""
    context = copy_context()

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return context.copy().run(function, *args, **kwargs)  # a copy: two threads cannot enter one context

    return call


def _id_of_spawned_horse() -> str | None:
    """Return the id that RQ left in the environment of a spawned work-horse.

    RQ 2 spawns a plain worker, which runs no hook of this package. The job that runs here must belong to the worker
    named in the environment. Programs that a job starts inherit the environment too, and may outlive the execution.
    """
    execution_id, rq = os.environ.get("RQ_EXECUTION_ID"), sys.modules.get("rq")
    if not execution_id or rq is None:
        return None
    job = rq.get_current_job()
    return execution_id if job is not None and job.worker_name == os.environ.get("RQ_WORKER_ID") else None
