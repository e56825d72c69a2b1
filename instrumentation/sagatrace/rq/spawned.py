"""The context of a work-horse that RQ 2 spawns. It is a plain worker in a new interpreter, without a hook of ours.

In the job's function RQ knows the job. In callbacks it does not, so the worker passes the context by the environment.
"""

from __future__ import annotations

import os

import msgspec

from sagatrace.context import TraceContext
from sagatrace.rq.job_place import WORK_HORSE

__all__ = ["context_of_spawned_horse", "export_context"]


def export_context(context: TraceContext) -> None:
    """Put the context into the environment of the work-horses that this process spawns."""
    os.environ[WORK_HORSE] = msgspec.json.encode((os.getpid(), context)).decode()


def context_of_spawned_horse() -> TraceContext | None:
    """Return the context that a worker passed to this process; None in any other process.

    Programs that a job starts inherit the environment as well. Their parent is not the worker.
    """
    text = os.environ.get(WORK_HORSE)
    if text is None:
        return None
    worker, context = msgspec.json.decode(text, type=tuple[int, TraceContext])
    return context if worker == os.getppid() else None
