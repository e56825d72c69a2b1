"""Workers and queues whose tracing raises in the function that the environment variable FAULT names."""

from __future__ import annotations

import os
from typing import Any, Final, NoReturn

from rq.job import Job

from sagatrace.outbox import Outbox
from sagatrace.rq import SimpleWorker, Worker
from sagatrace.rq.hooks import RecordingMixin
from sagatrace.rq.job_place import JobPlaces
from sagatrace.rq.parent import TracedWorkerMixin
from sagatrace.rq.queue import TracedQueue
from sagatrace.rq.recorder import JobRecorder
from sagatrace.rq.shared_page import SharedPage
from sagatrace.shipper.launcher import ShipperKeeper
from sagatrace.tracer import Tracer


class Asking(Worker):
    """A worker that records more data than by default."""

    def job_data(self, job: Job, phase: str) -> dict[str, Any]:
        return {"asked": phase}


OWNERS: Final[tuple[type[Any], ...]] = (
    JobRecorder,
    JobPlaces,
    SharedPage,
    RecordingMixin,
    TracedWorkerMixin,
    Asking,
    ShipperKeeper,
    Tracer,
    TracedQueue,
    Outbox,
)


def _raise(*_: object, **__: object) -> NoReturn:
    raise MemoryError("a fault put there")


def break_at(place: str) -> None:
    """Let the function `Class.name` raise at each call."""
    owner, _, name = place.partition(".")
    (found,) = [known for known in OWNERS if known.__name__ == owner]
    assert name in vars(found), f"{place} is not there"
    setattr(found, name, property(_raise) if isinstance(vars(found)[name], property) else _raise)


if "FAULT" in os.environ:
    break_at(os.environ["FAULT"])

__all__ = ["Asking", "SimpleWorker", "Worker"]
