"""A pytest plugin: whoever asks RQ for one of its worker classes gets ours. For RQ's own test suite."""

from __future__ import annotations

import rq
import rq.worker
import rq.worker_pool

import sagatrace.rq

NAMES = ("Worker", "SimpleWorker", "SpawnWorker", "HerokuWorker", "RoundRobinWorker", "RandomWorker")

for module in (rq, rq.worker, rq.worker_pool):
    for name in NAMES:
        if hasattr(module, name):
            setattr(module, name, getattr(sagatrace.rq, name))
