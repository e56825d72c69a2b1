"""The answers of a trace as one JSON object with stable keys: `sagatrace why --json`."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from sagatrace_tui.incident.standing_facts import standing_facts
from sagatrace_tui.model import Span, Trace
from sagatrace_tui.model.standing import reason_of
from sagatrace_tui.model.text import iso

__all__ = ["error_of", "error_type_of", "json_schema", "report"]


def report(trace: Trace) -> dict[str, Any]:
    """Return the answers. Times are ISO 8601 in UTC, durations milliseconds. `json_schema` describes the object."""
    cause, spans = trace.cause, trace.spans
    return {
        **_row(trace, "trace_id", "verdict", "summary", "started_at", "ended_at"),
        "duration_ms": None if trace.duration is None else trace.duration / 1000,
        "event_count": trace.event_count,
        "span_count": len(spans),
        "cause": None if cause is None else {**_failure(cause), "at": iso(cause.over_at)},
        "failure_path": [_row(spans[one], "span_id", "name") for one in trace.failure_path],
        "errors": [{**_failure(spans[one]), "role": trace.roles[one]} for one in trace.failures],
        "compensations": [
            _row(one, "original_span_id", "original_name", "span_id", "outcome", "error", "error_type")
            | _row(one, "started_at", "ended_at")
            for one in trace.compensations
        ],
        "still_standing": [
            _row(one, "span_id", "name", "code", "certain")
            | {"reason": reason_of(one, ended=trace.ended)}
            | _row(facts, "compensation", "error", "error_type", "data")
            for one, facts in zip(trace.still_standing, standing_facts(trace), strict=True)
        ],
        "never_ran": [_row(one, "span_id", "name", "dependency_id", "dependency_name") for one in trace.never_ran],
        "anomalies": [_row(one, "kind", "detail") | {"span_ids": list(one.span_ids)} for one in trace.anomalies],
    }


def json_schema() -> str:
    """Return the JSON Schema of the report, as JSON text."""
    return files("sagatrace_tui.incident").joinpath("report.schema.json").read_text(encoding="utf-8")


def error_of(span: Span) -> str | None:
    """Return the error of a span, else that of its last failed attempt, else the reason for its end."""
    # A compensation's reason explains its step's undo, not its own end.
    return span.error or span.attempt_error or (None if span.kind == "compensation" else span.reason)


def error_type_of(span: Span) -> str | None:
    """Return the type of the error that `error_of` returns, or the only known fact about it."""
    return span.error_type or (None if span.error else span.attempt_error_type)


def _failure(span: Span) -> dict[str, Any]:
    return _row(span, "span_id", "name") | {"error_type": error_type_of(span), "error": error_of(span)}


def _row(of: object, *names: str) -> dict[str, Any]:
    """Return these attributes by name. Attributes that end in `_at` become ISO 8601."""
    values = {name: getattr(of, name) for name in names}
    return {name: iso(value) if name.endswith("_at") else value for name, value in values.items()}
