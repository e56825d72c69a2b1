"""`sagatrace standing`: list the steps that still stand, as text, JSON Lines or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import click

from sagatrace_tui.commands.outcome import ending_with, now_micros, one_line_errors, opened_store, store_option
from sagatrace_tui.commands.query import (
    chosen_keys,
    query_argument,
    query_of,
    require_no_groups,
)
from sagatrace_tui.commands.window import of_new_kinds, rows_of_window, say_no_match
from sagatrace_tui.incident.standing_steps import standing_steps
from sagatrace_tui.incident.trace_row import StandingStep, TraceRow
from sagatrace_tui.labels import inert, plural, saga_name, short, when
from sagatrace_tui.model.text import iso

__all__ = ["standing"]

_EPILOG: Final = (
    "Exit status: 0 nothing stands · 5 at least one step stands · 2 wrong usage or setting · 1 any other error, "
    "for example unreadable documents."
)
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@click.command(epilog=_EPILOG)
@query_argument
@click.option("--keys", metavar="KEY,…", help="Business keys to show, like order_id. Saved for next time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in each line, with stable keys.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values for a spreadsheet.")
@store_option
@one_line_errors
def standing(words: tuple[str, ...], keys: str | None, as_json: bool, as_csv: bool, store_url: str | None) -> None:
    """List every step that still stands in any trace.

    The step that has stood the longest comes first. Reads all traces of the last 24 hours, or SAGATRACE_WINDOW, unless
    QUERY has a `since:`, like `sagatrace standing since:7d`.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    query, shown = query_of(words), chosen_keys(keys)
    require_no_groups(query)
    rows: list[TraceRow] = []
    traces = unreadable = 0
    with opened_store(store_url) as store:
        for row in of_new_kinds(rows_of_window(store, query, shown), query):
            traces, unreadable = traces + 1, unreadable + row.unreadable
            if row.standing:
                rows.append(row)
        if words and not traces:
            say_no_match(store)
    if unreadable:
        which = f"{plural(unreadable, 'document')} of these traces cannot be read"
        click.echo(f"sagatrace: {which}: more steps may stand than are listed", err=True)
    found = standing_steps(rows)
    with ending_with(5 if found else 1 if unreadable else 0):
        if as_csv:
            _write_csv(found, shown)
        elif as_json:
            for step in found:
                click.echo(json.dumps(_object(step, shown)))
        elif not found:
            click.echo(f"nothing stands in {plural(traces, 'trace')}")
        else:
            for line in _table(_cells(found, shown, now_micros())):
                click.echo(line)


def _object(step: StandingStep, keys: Sequence[str]) -> dict[str, Any]:
    return {
        "trace_id": step.trace_id,
        "saga": step.saga,
        "span_id": step.span_id,
        "step": step.step,
        "compensation": step.compensation or None,
        "since": iso(step.since),
        "certain": step.certain,
        "code": step.code,
        "reason": step.reason,
        "keys": dict(zip(keys, step.values, strict=True)),
    }


def _cells(steps: Iterable[StandingStep], keys: Sequence[str], now: int) -> Iterator[list[str]]:
    yield ["SINCE", "STEP", "UNDO", "SAGA", "TRACE", *(inert(key, 40).upper() for key in keys), "REASON"]
    for step in steps:
        unsure = "" if step.certain else " (uncertain: it may have taken effect)"
        yield [
            when(step.since, now),
            inert(step.step, 60),
            inert(step.compensation, 60) or "—",
            short(saga_name(step.saga), 40),
            inert(step.trace_id),
            *(inert(value, 60) or "—" for value in step.values),
            f"{inert(step.reason, 200)}{unsure}",
        ]


def _table(rows: Iterable[list[str]]) -> Iterator[str]:
    """Yield rows as lines with aligned columns. No value is cut."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()


def _write_csv(steps: Iterable[StandingStep], keys: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns: list[tuple[str, Callable[[StandingStep], object]]] = [
        ("since", lambda step: iso(step.since) or ""),
        ("step", lambda step: step.step),
        ("compensation", lambda step: step.compensation),
        ("saga", lambda step: step.saga),
        ("trace_id", lambda step: step.trace_id),
        ("span_id", lambda step: step.span_id),
        ("certain", lambda step: "yes" if step.certain else "no"),
        ("code", lambda step: step.code),
        ("reason", lambda step: step.reason),
    ]
    writer.writerow([*(name for name, _ in columns), *map(_cell, keys)])
    for step in steps:
        writer.writerow([*(_cell(str(read(step))) for _, read in columns), *map(_cell, step.values)])


def _cell(text: str) -> str:
    """Return a value safe for spreadsheets (never a formula) and terminals."""
    shown = inert(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
