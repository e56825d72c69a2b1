"""The context of a work-horse that RQ 2 spawns: a plain worker in a new interpreter, without a hook of this package.

In the job's function RQ knows the job. In callbacks it does not, so the worker leaves the context in the environment.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from sagatrace.context import TraceContext

__all__ = ["context_of_spawned_horse", "export_context", "withdraw_context"]

_NAME: Final = "SAGATRACE_WORK_HORSE"


def export_context(context: TraceContext) -> None:
    """Let the work-horses that this process spawns find the context."""
    os.environ[_NAME] = msgspec.json.encode((os.getpid(), context)).decode()


def withdraw_context() -> None:
    """Remove the context after the job has ended."""
    os.environ.pop(_NAME, None)


def context_of_spawned_horse() -> TraceContext | None:
    """Return the context that a worker left for this very process; None in any other.

    Programs that a job starts inherit the environment as well. Their parent is not the worker.
    """
    text = os.environ.get(_NAME)
    if text is None:
        return None
    worker, context = msgspec.json.decode(text, type=tuple[int, TraceContext])
    return context if worker == os.getppid() else None
