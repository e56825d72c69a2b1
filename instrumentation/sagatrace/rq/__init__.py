"""RQ workers that trace every job they run: `rq worker -w sagatrace.rq.Worker`.

One job is one span with the job's id. Its attempts are events of that span. The job's place in a trace is in
`job.meta`: pass `meta=trace_meta(context)` to `enqueue`, or use `TracedQueue`. A job without it starts a new trace.

The worker records the start of a job before it forks (`hooks`). The work-horse records the end. If the work-horse could
not, the worker records the end (`parent`). If the worker could not either, a reconciler does (`reconciler`). RQ runs
jobs as it does without tracing. A fault of tracing is counted in `Tracer.lost` or `sagatrace.faults` and logged once.

To trace your own worker class, write `class MyWorker(TracedWorkerMixin, rq.Worker)`, or derive it from this module's
`SpawnWorker`. Set its class attribute `tracer`, such as `Tracer(redact=...)`, to record the worker's events with it. RQ
2.12 to 3 is supported. With RQ 3 the work-horse of a SpawnWorker records its job. With RQ 2 its worker does.

Events go into the outbox (`sagatrace.outbox`). The worker starts a shipper process, which delivers the events to the
store. No job waits for the shipper.
"""

from __future__ import annotations

import rq
from rq.worker import HerokuWorker as _HerokuWorker
from rq.worker import RandomWorker as _RandomWorker
from rq.worker import RoundRobinWorker as _RoundRobinWorker

from sagatrace.rq.job_place import current_trace, trace_of
from sagatrace.rq.parent import SpawningMixin, TracedWorkerMixin

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


class SpawnWorker(SpawningMixin, rq.SpawnWorker):
    """RQ's worker that runs each job in a new interpreter, traced."""


class HerokuWorker(TracedWorkerMixin, _HerokuWorker):
    """RQ's forking worker with Heroku's shutdown procedure, traced."""


class RoundRobinWorker(TracedWorkerMixin, _RoundRobinWorker):
    """RQ's forking worker that takes jobs from its queues in turn, traced."""


class RandomWorker(TracedWorkerMixin, _RandomWorker):
    """RQ's forking worker that takes jobs from its queues at random, traced."""
