"""Links to OpenTelemetry, if the program uses it. This module takes the API from `sys.modules` and never imports it.

Events carry OpenTelemetry's current trace id in `data.otel_trace_id`. Jobs carry `traceparent` in their meta. In a job,
`TraceContextTextMapPropagator().extract(job.meta)` reads it.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, Final

from sagatrace.faults import log_fault
from sagatrace.interruptions import must_pass

__all__ = ["faults", "traceparent", "with_otel_trace_id"]

faults: Final[Counter[str]] = Counter()
"""Number of faults of OpenTelemetry's API, by the type of the error."""


def with_otel_trace_id(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data with the trace id of the current OpenTelemetry span added, if there is one."""
    current = _current()
    return data if current is None else {"otel_trace_id": f"{current.trace_id:032x}", **data}


def traceparent() -> dict[str, str]:
    """Return the W3C `traceparent` of the current OpenTelemetry span for a job's meta; empty if there is no span."""
    current = _current()
    if current is None:
        return {}
    return {"traceparent": f"00-{current.trace_id:032x}-{current.span_id:016x}-{int(current.trace_flags):02x}"}


def _current() -> Any:
    """Return the context of the current OpenTelemetry span; None without a span and after a fault."""
    try:
        context: Any = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
        return context if context.is_valid else None
    except Exception as error:
        if must_pass(error):
            raise
        faults[name := type(error).__name__] += 1
        if faults[name] == 1:
            log_fault("sagatrace: no OpenTelemetry span is known (further faults are counted in otel.faults): %s", name)
        return None
