"""Jobs for the worker tests: each ends in a way of its own. Every one emits an event first, and one while it ends."""

from __future__ import annotations

import os
import signal

from rq import get_current_job

from sagatrace import TraceContext, Tracer
from sagatrace.rq import current_trace

tracer = Tracer()


def _emit(name: str) -> None:
    trace = current_trace()
    assert trace is not None
    tracer.emit(name, trace)


def succeeds(number: int) -> int:
    with tracer.span("stage:double", current_trace() or TraceContext("none")):
        return number * 2


def fails() -> None:
    _emit("job:last-words")
    raise ValueError("no luck")


def fails_once() -> str:
    job = get_current_job()
    if job is not None and job.retries_left:
        raise ConnectionError("busy")
    return "in the end"


def exits(status: int) -> None:
    _emit("job:last-words")
    os._exit(status)


def is_killed() -> None:
    _emit("job:last-words")
    os.kill(os.getpid(), signal.SIGKILL)


def emits_for_ever() -> None:
    """Spends its whole time inside tracing, so that the timeout strikes there."""
    while True:
        _emit("ai:decision")


def clobbers_its_meta() -> None:
    job = get_current_job()
    assert job is not None
    job.meta = {"own": 1}
    job.save_meta()
    raise ValueError("after that")
