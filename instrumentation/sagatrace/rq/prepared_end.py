"""Prepare the end of a job before its work-horse is forked, so that the work-horse only writes it.

A forked process pays for each memory page that it touches first. Making an event there takes 3 % of an empty job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from sagatrace.errors import OutboxFullError
from sagatrace.event import TraceEvent, json_of
from sagatrace.interruptions import Tolerated
from sagatrace.outbox import Outbox, line_of
from sagatrace.tracer import Tracer

__all__ = ["prepared_end"]


def prepared_end(
    tracer: Tracer, start: TraceEvent, event_id: str, data: Mapping[str, Any]
) -> Callable[[str], bool] | None:
    """Prepare the completion of a job that started, except its time. Return None if only `Tracer.emit` can record it.

    Call the result with the time. It returns whether it stored the event. If not, record the end by `emit`.
    """
    destination = tracer.destination
    outbox = destination.opened
    if not isinstance(outbox, Outbox) or type(tracer).emit is not Tracer.emit:
        return None
    end = replace(start, id=event_id, event_type="job:completed", status="success", raw_data=json_of(data))
    event = destination.sampled(tracer._redacted(end))  # noqa: SLF001
    if event is None:
        return None  # not sampled: `emit` records the end if the trace has failed meanwhile
    # The first match is the field: the data come later, and quotes in an id are escaped.
    before, _, after = line_of(event, replace=True).partition(f'"timestamp":"{event.timestamp}"'.encode())

    def keep(at: str) -> bool:
        with Tolerated(OSError, OutboxFullError):
            outbox.write(b'%b"timestamp":"%b"%b' % (before, at.encode(), after), [event])
            return True
        return False

    return keep
