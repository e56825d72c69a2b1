"""The facts that a person needs to undo a standing step: its undo, the error of the last try, and its own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sagatrace_tui.model import Compensation, Trace
from sagatrace_tui.model.event_data import EventData, Links

__all__ = ["StandingFacts", "standing_facts"]

_MOST: Final = 6  # values of one step
# Keys that the instrumentation writes. Other keys are the user's.
_OURS: Final = frozenset(one.name for part in (EventData, Links) for one in msgspec.structs.fields(part)) | {
    "data_unreadable", "enqueued_at", "group", "job_id", "otel_trace_id", "redis", "stack", "workflow_id",
}  # fmt: skip


class StandingFacts(msgspec.Struct, frozen=True):
    """The declared undo, the error of the last try to undo, and values by their keys. An unknown fact is None."""

    compensation: str | None
    error: str | None
    error_type: str | None
    data: Mapping[str, str | int | float]


def standing_facts(trace: Trace) -> list[StandingFacts]:
    """Return the facts of `trace.still_standing`, in the same order.

    The values are texts and numbers in the data of the step, and of the spans around it. Of two values with one key,
    the one nearest to the step counts.
    """
    last_try: dict[str, Compensation] = {row.original_span_id: row for row in trace.compensations}
    return [_facts(trace, one.span_id, last_try.get(one.span_id)) for one in trace.still_standing]


def _facts(trace: Trace, span_id: str, row: Compensation | None) -> StandingFacts:
    span = trace.spans.get(span_id)
    error, error_type = (None, None) if row is None else (row.error, row.error_type)
    data: dict[str, str | int | float] = {}
    for around in filter(trace.spans.__contains__, (span_id, *trace.ancestors_of(span_id))):
        for key, value in trace.spans[around].data.items():
            if len(data) < _MOST and key not in _OURS and isinstance(value, (str, int, float)):
                data.setdefault(key, value)
    return StandingFacts(None if span is None else span.compensation, error, error_type, data)
