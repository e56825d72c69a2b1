"""The place in a trace where code runs: handed on explicitly, by argument or in a job's meta."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

import msgspec

from sagatrace.event import new_id

__all__ = [
    "META_KEY",
    "TraceContext",
    "TraceRef",
    "context_from_meta",
    "current_execution",
    "enter_execution",
    "trace_meta",
]

META_KEY: Final = "sagatrace"

_here: Final[ContextVar[str | None]] = ContextVar("execution", default=None)
_in_process: str | None = None  # for the threads of a job: a new thread has an empty context


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


def trace_meta(context: TraceRef) -> dict[str, Any]:
    """Return the meta that carries the context into a job: `queue.enqueue(f, meta=trace_meta(context))`.

    Plain strings only, so that every RQ serializer takes it.
    """
    carried = {"trace_id": context.trace_id}
    if context.span_id is not None:
        carried["parent_span_id"] = context.span_id
    return {META_KEY: carried}


def context_from_meta(meta: Mapping[str, Any] | None) -> TraceContext | None:
    """Return the context a job was enqueued with; None if it carries none, or something else under our key."""
    carried = (meta or {}).get(META_KEY)
    if not isinstance(carried, dict):
        return None
    trace_id, parent = carried.get("trace_id"), carried.get("parent_span_id")
    if not isinstance(trace_id, str) or not trace_id:
        return None
    return TraceContext(trace_id, parent if isinstance(parent, str) else None)


def enter_execution(execution_id: str | None) -> None:
    """Record which RQ execution runs from now on in this context, and in the process; at its end the one around it."""
    global _in_process
    _here.set(execution_id)
    _in_process = execution_id


def current_execution() -> str | None:
    """Return the id of the RQ execution that runs here; None outside of one."""
    return _here.get() or _in_process or _execution_of_spawned_horse()


def _execution_of_spawned_horse() -> str | None:
    """Return the id that RQ left in the environment of a spawned work-horse.

    RQ 2 spawns a plain worker, which runs no hook of this package. The job that runs here must be one of the worker
    in the environment: programs that a job starts inherit the environment as well, and may outlive the execution.
    """
    execution_id, rq = os.environ.get("RQ_EXECUTION_ID"), sys.modules.get("rq")
    if not execution_id or rq is None:
        return None
    job = rq.get_current_job()
    return execution_id if job is not None and job.worker_name == os.environ.get("RQ_WORKER_ID") else None
