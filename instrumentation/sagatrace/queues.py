"""The old address of `sagatrace.rq.queue`, kept for programs that import it."""

from sagatrace.rq.queue import TracedQueue, job

__all__ = ["TracedQueue", "job"]
