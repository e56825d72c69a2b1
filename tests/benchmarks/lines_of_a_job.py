"""The lines of our code that an ordinary job runs: in its work-horse, and in the worker before and after it.

    python tests/benchmarks/lines_of_a_job.py

The job has one span, so it records four events. A line counts once, however often it runs. The worker runs two jobs,
and the second one is counted: the first one also opens the outbox.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import rq
from redis import Redis
from rq.job import Job

import sagatrace.rq
from sagatrace import Tracer

sys.path.insert(0, str(Path(__file__).parents[1]))
from servers import TcpRedis

OURS = str(Path(sagatrace.__file__).parent) + os.sep
tracer = Tracer()
ran: set[tuple[str, int]] = set()


def charge() -> None:
    """The job."""
    with tracer.span("step:charge", sagatrace.rq.current_trace(), compensation="refund") as span:
        span.record(amount=3.5)


def note(frame: FrameType, event: str, _: Any) -> Any:
    """Note each line of ours, as `sys.settrace` calls it."""
    if not frame.f_code.co_filename.startswith(OURS):
        return None
    if event == "line":
        ran.add((frame.f_code.co_filename, frame.f_lineno))
    return note


def report(where: str) -> None:
    """Print the number of lines, and those of each module."""
    sys.settrace(None)
    modules = Counter(name.removeprefix(OURS).removesuffix(".py") for name, _ in ran)
    print(f"{where:12}{len(ran):4} lines: " + " · ".join(f"{name} {count}" for name, count in sorted(modules.items())))
    sys.stdout.flush()
    ran.clear()


class Counted(sagatrace.rq.Worker):
    """A worker whose work-horses count their lines."""

    counts = False

    def main_work_horse(self, job: Job, queue: rq.Queue) -> NoReturn:
        """Run the job, and report the lines just before the process ends."""
        leave = os._exit

        def leave_after_report(status: int) -> None:
            report("work-horse")
            leave(status)

        ran.clear()
        if self.counts:
            os._exit = leave_after_report  # type: ignore[assignment]
        super().main_work_horse(job, queue)  # type: ignore[no-untyped-call]


def main() -> None:
    """Run two jobs, and report on the second."""
    with TcpRedis() as server, tempfile.TemporaryDirectory() as directory:
        os.environ["SAGATRACE_STORE"] = f"sqlite:///{directory}/traces.db"
        queue = rq.Queue("counted", connection=Redis.from_url(server.url))
        worker = Counted([queue], connection=queue.connection)
        worker.bootstrap(logging_level="ERROR")
        for worker.counts in (False, True):
            queue.enqueue(f"{Path(__file__).stem}.charge")
            taken: Any = worker.dequeue_job_and_maintain_ttl(None)
            sys.settrace(note if worker.counts else None)
            worker.execute_job(*taken)
        report("worker")
        worker.teardown()


if __name__ == "__main__":
    sys.modules[Path(__file__).stem] = sys.modules["__main__"]
    main()
