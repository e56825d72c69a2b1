"""`sagatrace show`: a trace as text."""

from __future__ import annotations

from collections.abc import Iterator

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
from sagatrace_tui.labels import clock, duration, inert, plural, span_line, verdict_words, when
from sagatrace_tui.model import Trace

__all__ = ["show", "tree_lines"]


@click.command()
@trace_argument()
@store_option
@one_line_errors
def show(trace_id: str, store_url: str | None) -> None:
    """Print a trace as a tree of its spans."""
    with opened_store(store_url) as store:
        found = fetched(store, trace_id)
    now = now_micros()
    trace = folded(found, now)
    click.echo(f"{inert(trace.name, 200)} · {inert(trace.trace_id)} · {verdict_words(trace.verdict)}")
    click.echo(inert(trace.summary, 600))
    click.echo(
        f"started {clock(trace.started_at)} ({when(trace.started_at, now)}) · took {duration(trace.duration)} · "
        f"{plural(len(trace.spans), 'span')} · {plural(trace.event_count, 'event')} · {trace.error_count} failed"
    )
    click.echo()
    for line in tree_lines(trace):
        click.echo(line)
    if trace.anomalies:
        click.echo("\nAnomalies:")
        for anomaly in trace.anomalies:
            click.echo(f"  ! {anomaly.kind}: {inert(anomaly.detail, 400)}")


def tree_lines(trace: Trace) -> Iterator[str]:
    """The trace's spans, a line each, with the lines of the tree drawn before them."""
    # For each depth on the way down: whether more siblings follow there.
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
        label = f"{line}  [{inert(span_id, 80)}]"
        yield f"{lines}{branch}{label}"
