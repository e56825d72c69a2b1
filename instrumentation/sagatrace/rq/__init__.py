"""RQ workers that trace every job they run: `rq worker -w sagatrace.rq.Worker`.

One job is one span, whose id is the job's; its attempts are events of that span. A job finds its place in a trace in
`job.meta` (`queue.enqueue(f, meta=trace_meta(context))`, or `TracedQueue`); one without starts a trace of its own.

The worker records the start before it forks (`hooks`). The work-horse records the end; the worker does if the
work-horse could not (`parent`), or a reconciler if the worker could not either (`reconciler`). RQ runs its jobs as
without tracing. A fault in here is counted in `Tracer.lost` or `sagatrace.faults` and logged once.

With a worker class of your own, write `class MyWorker(TracedWorkerMixin, rq.Worker)`, or derive it from `SpawnWorker`
here. A `tracer` in it, as `Tracer(redact=...)`, records all events of the worker. Works with RQ from 2.12 to 3. In 3,
but not in 2.x, the work-horse of a SpawnWorker records its job itself.

Events go into the outbox (`sagatrace.outbox`). A shipper, a process that the worker starts beside itself, delivers them
to the store. No job waits for it.
"""

from __future__ import annotations

import os
from typing import Any

import rq
from rq.job import Job
from rq.worker import HerokuWorker as _HerokuWorker
from rq.worker import RandomWorker as _RandomWorker
from rq.worker import RoundRobinWorker as _RoundRobinWorker

from sagatrace.context import Execution, enter_execution
from sagatrace.rq.job_place import current_trace, trace_of
from sagatrace.rq.parent import TracedWorkerMixin

__all__ = [
    "HerokuWorker",
    "RandomWorker",
    "RoundRobinWorker",
    "SimpleWorker",
    "SpawnWorker",
    "TracedWorkerMixin",
    "Worker",
    "current_trace",
    "trace_of",
]


class Worker(TracedWorkerMixin, rq.Worker):
    """RQ's forking worker, traced."""


class SimpleWorker(TracedWorkerMixin, rq.SimpleWorker):
    """RQ's worker that runs jobs in its own process, traced."""


class SpawnWorker(TracedWorkerMixin, rq.SpawnWorker):
    """RQ's worker that runs each job in a new interpreter, traced."""

    def prepare_job_execution(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Note the job's place before it can overwrite its meta: a work-horse like this has inherited nothing."""
        with self._harmless:
            inside = self._recorder.places.of(job).inside
            enter_execution(Execution(os.environ.get("RQ_EXECUTION_ID"), job.id, inside))
        super().prepare_job_execution(job, *args, **kwargs)


class HerokuWorker(TracedWorkerMixin, _HerokuWorker):
    """RQ's forking worker for Heroku's way to shut down, traced."""


class RoundRobinWorker(TracedWorkerMixin, _RoundRobinWorker):
    """RQ's forking worker that takes from its queues in turn, traced."""


class RandomWorker(TracedWorkerMixin, _RandomWorker):
    """RQ's forking worker that takes from its queues at random, traced."""
