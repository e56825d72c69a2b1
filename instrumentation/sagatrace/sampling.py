"""Sampling of whole traces. SAGATRACE_SAMPLE=0.1 records one trace in ten, and others from their first failure.

A hash of the trace id decides, so all processes make the same decision. A process records no event of a trace that is
not sampled, until an event reports a failure or an undo. The process records that event and all later ones of the
trace. These events hold the share in `data.sagatrace_sample`, as a mark that earlier events are missing. The meta of
jobs enqueued after the failure carries the mark, so their workers record them from the start. Other processes begin to
record the trace only after a failure of their own.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import msgspec

from sagatrace.event import TraceEvent, new_event
from sagatrace.phases import CLOSING_PHASES, split_event_type

__all__ = ["Sampler", "has_failed", "is_sampled", "keep"]

_SPACE: Final = 1 << 64
_KEPT: Final = 10_000  # failed traces that a process remembers; it forgets the oldest
_UNDOING: Final = ("compensating", "compensated")
_failed: Final[dict[str, None]] = {}


@lru_cache(maxsize=1024)
def is_sampled(trace_id: str, share: float) -> bool:
    """Return whether the trace is in the recorded share of all traces."""
    digest = sha256(trace_id.encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8]) < share * _SPACE


def keep(trace_id: str) -> None:
    """Note that the trace has failed. This process then records all further events of it."""
    _failed[trace_id] = None
    while len(_failed) > _KEPT:
        _failed.pop(next(iter(_failed)), None)


def has_failed(trace_id: str) -> bool:
    """Return whether this process knows that the trace failed although it is not sampled."""
    return trace_id in _failed


class Sampler:
    """Decide which events are recorded. `share` is the share of traces to record, above 0 and up to 1."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, event: TraceEvent) -> TraceEvent | None:
        """Return the event to record. Mark it if its trace is not sampled. Return None if it is not to be recorded."""
        if is_sampled(event.trace_id, self._share):
            return event
        if event.trace_id not in _failed:
            if not _is_failure(event):
                return None
            keep(event.trace_id)
        data = {**event.data, "sagatrace_sample": self._share}
        marked = new_event(trace_id=event.trace_id, span_id=event.span_id, event_type=event.event_type, data=data)
        return msgspec.structs.replace(event, raw_data=marked.raw_data)


def _is_failure(event: TraceEvent) -> bool:
    """Return whether the event reports a failure, an early end or an undo."""
    phase = split_event_type(event.event_type)[1]
    outcome: Any = event.status or CLOSING_PHASES.get(phase or "")
    return outcome in ("failed", "stopped", "canceled") or phase in _UNDOING or "original_span_id" in event.data
