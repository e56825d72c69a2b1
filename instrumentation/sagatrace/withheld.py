"""The event of a call that was interrupted while it read the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagatrace.context import TraceContext
from sagatrace.event import TraceEvent, new_event
from sagatrace.redaction import structural

__all__ = ["withheld_event"]


def withheld_event(
    made: Mapping[str, Any], place: TraceContext, data: Mapping[str, Any], interrupt: BaseException
) -> TraceEvent:
    """Return the event with only the structural values of its data: the objects of a job could hang again."""
    withheld = {"data_withheld": type(interrupt).__name__, **structural(data)}
    return new_event(trace_id=place.trace_id, parent_span_id=place.span_id, data=withheld, **made)
