"""Jobs for the worker tests, each with another end. Every job emits an event first, and one while it ends."""

from __future__ import annotations

import base64
import os
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rq import get_current_job
from rq.job import Job

from sagatrace import TraceContext, TraceEvent, Tracer
from sagatrace.rq import Worker, current_trace

tracer = Tracer()


class OwnSerializer:
    """A serializer of the user for job data."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return base64.b85encode(pickle.dumps(value))

    @staticmethod
    def loads(data: bytes) -> Any:
        return pickle.loads(base64.b85decode(data))  # noqa: S301 - the tests' own


def _emit(name: str) -> None:
    trace = current_trace()
    assert trace is not None
    tracer.emit(name, trace)


def succeeds(number: int) -> int:
    with tracer.span("stage:double", current_trace() or TraceContext("none")):
        return number * 2


def names_modules() -> list[str]:
    """Return the modules imported in the process that runs the job."""
    return sorted(name for name in sys.modules if name.startswith("sagatrace"))


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


def writes_no_more() -> str:
    """Take the right to write to any file from this process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return "well"


def uses_all_descriptors(undone: str) -> None:
    """Fail in a step for want of a descriptor. The undo of the step before frees them."""
    used: list[int] = []
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def charge() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))

    def ship() -> None:
        while True:
            used.append(os.dup(0))

    def refund() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        Path(undone).touch()

    with tracer.saga("order", current_trace()) as saga:
        saga.call("charge", charge, undo=refund)
        saga.call("ship", ship)


def is_killed() -> None:
    _emit("job:last-words")
    os.kill(os.getpid(), signal.SIGKILL)


def emits_for_ever() -> None:
    """Spend all time inside tracing, so that the timeout is raised there."""
    while True:
        _emit("ai:decision")


def records_elsewhere(store_url: str) -> None:
    """Start a program with its own store."""
    program = "from sagatrace import Tracer; Tracer().emit('ai:decision', 'T')"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "SAGATRACE_STORE": store_url}, check=True)


def clobbers_its_meta() -> None:
    job = get_current_job()
    assert job is not None
    job.meta = {"own": 1}
    job.save_meta()
    _emit("ai:decision")
    raise ValueError("after that")


def _redact(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    return {name: "***" if name == "error" else value for name, value in data.items() if name != "stack"}


class FrankWorker(Worker):
    """A worker that records the arguments and results of jobs, and no details of their errors."""

    tracer = Tracer(redact=_redact)

    def job_data(self, job: Job, phase: str) -> dict[str, Any]:
        return {"arguments": job.args} if phase == "started" else {"result": job.return_value()}


class _StampingTracer(Tracer):
    def emit(self, *args: Any, **options: Any) -> TraceEvent | None:
        return super().emit(*args, **{**options, "data": {**(options["data"] or {}), "stamp": "own"}})


class StampingWorker(Worker):
    """A worker whose tracer adds data to every event."""

    tracer = _StampingTracer()
