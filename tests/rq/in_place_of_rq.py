"""A pytest plugin for RQ's own test suite: RQ's worker classes are replaced by the traced ones."""

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
