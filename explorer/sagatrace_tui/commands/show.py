"""`sagatrace show`: print a trace as a tree or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from sagatrace_tui.commands.outcome import (
    fetched,
    folded,
    now_micros,
    one_line_errors,
    opened_store,
    store_option,
    trace_argument,
)
from sagatrace_tui.incident.report import report
from sagatrace_tui.labels import clock, duration, inert, plural, span_line, verdict_words, when
from sagatrace_tui.model import Standing, Trace
from sagatrace_tui.model.text import iso
from sagatrace_tui.views.landmarks import error_counts

__all__ = ["show", "tree_lines"]


@click.command()
@trace_argument()
@click.option("--json", "as_json", is_flag=True, help="Print the JSON object of `why --json`, with the spans.")
@store_option
@one_line_errors
def show(trace_id: str, as_json: bool, store_url: str | None) -> None:
    """Print a trace as a tree of its spans."""
    with opened_store(store_url) as store:
        found = fetched(store, trace_id)
    now = now_micros()
    trace = folded(found, now)
    if as_json:
        # Escaped to ASCII, so that no value from a job controls the terminal.
        click.echo(json.dumps(report(trace) | {"spans": list(_spans(trace))}, indent=2))
        return
    click.echo(f"{inert(trace.name, 200)} · {inert(trace.trace_id)} · {verdict_words(trace.verdict)}")
    click.echo(inert(trace.summary, 600))
    click.echo(
        f"started {clock(trace.started_at)} ({when(trace.started_at, now)}) · "
        f"{'running for' if trace.status == 'running' else 'took'} {duration(trace.elapsed(now))} · "
        f"{plural(len(trace.spans), 'span')} · {plural(trace.event_count, 'event')} · {_errors(trace)}"
    )
    click.echo()
    for line in tree_lines(trace):
        click.echo(line)
    if trace.anomalies:
        click.echo("\nAnomalies:")
        for anomaly in trace.anomalies:
            click.echo(f"  ! {anomaly.kind}: {inert(anomaly.detail, 400)}")


def _errors(trace: Trace) -> str:
    """Return the numbers of errors and consequences, as the app does."""
    errors, consequences = error_counts(trace)
    return plural(errors, "error") + (f" (+{plural(consequences, 'consequence')})" if consequences else "")


def _spans(trace: Trace) -> Iterator[dict[str, Any]]:
    """Yield the spans as JSON objects in the order of the tree."""
    for _, span_id in trace.walk():
        span = trace.spans.get(span_id)
        if span is not None:  # a missing parent is not a span
            yield {
                "span_id": span.span_id,
                "parent_span_id": span.parent_id,
                "name": span.name,
                "kind": span.kind,
                "status": span.status,
                "enqueued_at": iso(span.enqueued_at),
                "started_at": iso(span.started_at),
                "ended_at": iso(span.ended_at),
                "attempts": len(span.attempts),
                "error": span.error,
                "error_type": span.error_type,
            }


def tree_lines(trace: Trace) -> Iterator[str]:
    """Yield an indented line for each span. It marks the cause, failed undos and standing steps."""
    standing = {one.span_id: _state(one) for one in trace.still_standing}
    # For each depth above the current span: whether more siblings follow.
    follows: list[bool] = []
    top = (*trace.roots, *trace.missing_parents)
    remaining = [len(top)]
    for depth, span_id in trace.walk():
        del remaining[depth + 1 :], follows[depth:]
        remaining[depth] -= 1
        follows.append(remaining[depth] > 0)
        remaining.append(len(trace.children.get(span_id, ())))
        lines = "".join("│  " if more else "   " for more in follows[1:-1])
        branch = ("├─ " if follows[-1] else "└─ ") if depth else ""
        span = trace.spans.get(span_id)
        line = "? missing parent"
        if span is not None:
            line = span_line(span, ended=trace.status != "running", runs=len(trace.runs_of(span_id)))
        is_cause = trace.cause is not None and span_id == trace.cause.span_id
        undo_failed = trace.roles.get(span_id) == "compensation"
        words = "◆ CAUSE" if is_cause else "", "✘ undo failed" if undo_failed else "", standing.get(span_id, "")
        marks = [text for text in words if text]
        yield "  ".join([f"{lines}{branch}{line}", *marks, f"[{inert(span_id, 80)}]"])


def _state(step: Standing) -> str:
    """Return the words of the app for a standing step."""
    if step.being_undone:
        return "↺ being undone"
    return "↺ waits to be undone" if step.awaited else "⚠ still standing"
