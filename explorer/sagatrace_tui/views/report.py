"""The answers of a trace as one JSON object with stable keys: `sagatrace why --json`."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from sagatrace_tui.model import Compensation, Span, Trace
from sagatrace_tui.model.reasons import reason_of
from sagatrace_tui.model.text import iso

__all__ = ["error_of", "json_schema", "report"]


def report(trace: Trace) -> dict[str, Any]:
    """Return the answers; times as ISO 8601 in UTC, durations in milliseconds. `json_schema` describes the object."""
    cause = trace.cause
    spans = trace.spans
    return {
        "trace_id": trace.trace_id,
        "verdict": trace.verdict,
        "summary": trace.summary,
        "started_at": iso(trace.started_at),
        "ended_at": iso(trace.ended_at),
        "duration_ms": None if trace.duration is None else trace.duration / 1000,
        "event_count": trace.event_count,
        "span_count": len(spans),
        "cause": None if cause is None else {**_failure(cause), "at": iso(cause.over_at)},
        "failure_path": [{"span_id": one, "name": spans[one].name} for one in trace.failure_path],
        "errors": [{**_failure(spans[one]), "role": trace.roles[one]} for one in trace.failures],
        "compensations": [_compensation(row) for row in trace.compensations],
        "still_standing": [
            {
                "span_id": one.span_id,
                "name": one.name,
                "reason": reason_of(one),
                "code": one.code.value,
                "certain": one.certain,
            }
            for one in trace.still_standing
        ],
        "never_ran": [
            {
                "span_id": one.span_id,
                "name": one.name,
                "dependency_id": one.dependency_id,
                "dependency_name": one.dependency_name,
            }
            for one in trace.never_ran
        ],
        "anomalies": [
            {"kind": one.kind, "span_ids": list(one.span_ids), "detail": one.detail} for one in trace.anomalies
        ],
    }


def json_schema() -> str:
    """Return the JSON Schema of the report, as JSON text."""
    return files("sagatrace_tui.views").joinpath("report.schema.json").read_text(encoding="utf-8")


def error_of(span: Span) -> str | None:
    """Return the error of a span, or of its last failed attempt; else the reason it ended for."""
    # The reason of a compensation is why its step was to be undone.
    return span.error or span.attempt_error or (None if span.kind == "compensation" else span.reason)


def _failure(span: Span) -> dict[str, Any]:
    return {"span_id": span.span_id, "name": span.name, "error": error_of(span), "error_type": span.error_type}


def _compensation(row: Compensation) -> dict[str, Any]:
    return {
        "original_span_id": row.original_span_id,
        "original_name": row.original_name,
        "span_id": row.span_id,
        "outcome": row.outcome,
        "error": row.error,
        "error_type": row.error_type,
        "started_at": iso(row.started_at),
        "ended_at": iso(row.ended_at),
    }
