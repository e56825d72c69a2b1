"""`sagatrace diff`: compare a trace with the last good run of the same saga, or with a chosen trace."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import click

from sagatrace_tui.collector import CollectorPaused
from sagatrace_tui.commands.completion import trace_ids
from sagatrace_tui.commands.outcome import (
    Exit,
    fetched,
    folded,
    now_micros,
    one_line_errors,
    opened_store,
    store_option,
    trace_argument,
)
from sagatrace_tui.incident.comparison import compare
from sagatrace_tui.incident.comparison_text import Words, comparison_report
from sagatrace_tui.incident.differences import Comparison, Run
from sagatrace_tui.labels import clock, duration, inert, plural, verdict_words
from sagatrace_tui.live.good_run import last_good_run

__all__ = ["diff"]

_MAX_LINES: Final = 20  # lines of one kind; the JSON has all differences
_EPILOG: Final = "Exit status: 0 compared · 1 no succeeded run found · 2 wrong usage or setting · 7 no such trace."


@click.command("diff", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@trace_argument()
@click.argument("other_id", metavar="[OTHER]", required=False, shell_complete=trace_ids)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with stable keys instead.")
@store_option
@one_line_errors
def diff(trace_id: str, other_id: str | None, as_json: bool, store_url: str | None) -> None:
    """Compare a trace with the last good run of the same saga.

    With OTHER, compare it with that trace. Shows steps that are missing, new, slower or faster, different outcomes,
    errors and attempts, and the steps that would have run next.
    """
    now = now_micros()
    with opened_store(store_url) as store, CollectorPaused():
        trace = folded(fetched(store, trace_id), now)
        if other_id is not None:
            other = folded(fetched(store, other_id), now)
        else:
            good = last_good_run(store, trace, now)
            if good.trace is None:
                click.echo(f"sagatrace: {inert(good.none_found, 500)}: name the trace to compare with", err=True)
                sys.exit(Exit.FAILED)
            other = good.trace
        comparison = compare(trace, other)
    if as_json:
        # Escaped to ASCII, so that no value from a job controls the terminal.
        click.echo(json.dumps(comparison_report(comparison), indent=2))
        return
    for line in _lines(comparison, "good run" if other_id is None else "other"):
        click.echo(line)


def _lines(comparison: Comparison, other_title: str) -> Iterator[str]:
    words = Words(inert, duration)
    yield _run("this trace", comparison.here)
    yield _run(other_title, comparison.there)
    yield ""
    for kind, group in groupby(comparison.differences, key=lambda one: one.kind):
        alike = list(group)
        for one in alike[:_MAX_LINES]:
            there, here = words.sides(one)
            parts = [*([here] if one.here is not None else []), *([f"there {there}"] if one.there is not None else [])]
            yield f"{kind.value:<9} {words.step(one)}: {' · '.join(parts)}"
        if len(alike) > _MAX_LINES:
            yield f"{kind.value:<9} and {len(alike) - _MAX_LINES:,} more (--json has them all)"
    notes = list(words.notes(comparison))
    if not comparison.differences and not notes:
        yield f"No difference in {plural(comparison.in_both, 'step')}."
    if comparison.differences and notes:
        yield ""
    yield from (f"{title}: {text}" for title, text in notes)


def _run(title: str, run: Run) -> str:
    took = f"{'running for' if run.is_running else 'took'} {duration(run.elapsed(now_micros()))}"
    facts = f"{took} · {plural(run.span_count, 'span')} · started {clock(run.started_at)}"
    return f"{title:<11} {verdict_words(run.verdict)} · {inert(run.trace_id)} · {inert(run.name, 200)} · {facts}"
