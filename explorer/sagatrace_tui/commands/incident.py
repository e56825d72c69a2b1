"""`sagatrace list`, `groups` and `standing`: many traces as text, JSON Lines or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import click

from sagatrace.stores import EventStore
from sagatrace_tui.commands.outcome import now_micros, one_line_errors, opened_store, store_option
from sagatrace_tui.commands.query import (
    chosen_keys,
    query_argument,
    query_of,
    require_no_groups,
    window_of_environment,
)
from sagatrace_tui.incident.failure_groups import FailureGroup, failure_groups, histogram
from sagatrace_tui.incident.query import Query
from sagatrace_tui.incident.standing_steps import standing_steps
from sagatrace_tui.incident.trace_row import StandingStep, TraceRow, reason_text
from sagatrace_tui.labels import bars, clock, duration, inert, plural, saga_name, short, verdict_words, when
from sagatrace_tui.model.text import iso

__all__ = ["groups", "list_traces", "standing"]

_LIST: Final = "{:<28}{:<38}{:<26}{:<22}{:>8}{:>7}{:>10}  {}"
_GROUPS: Final = "{:>6} {:>9}  {:<4} {:<10} {:<10} {:<12}  {:<24} {}"
_BARS: Final = 12
_MOST: Final = 10_000
"""Traces read of a window at most."""
_STOPS: Final = "Exit status: 0 nothing stands · 5 at least one step does · 2 wrong usage · 1 anything else."
_JSON_HELP: Final = "One JSON object in each line instead, with stable keys."


@click.command("list")
@query_argument
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many traces.")
@click.option("--json", "as_json", is_flag=True, help=_JSON_HELP)
@store_option
@one_line_errors
def list_traces(words: tuple[str, ...], limit: int, as_json: bool, store_url: str | None) -> None:
    """List the newest traces that QUERY finds, latest activity first, and why each failed.

    QUERY is that of the app, as in `sagatrace list status:failed since:10m`. Put one that begins with a minus after --.
    """
    query = query_of(words)
    require_no_groups(query)
    with opened_store(store_url) as store:
        rows = _read(store, query, limit)
        first = next(rows, None)
        if first is None:
            which = "that match" if words else "yet"
            click.echo(f"sagatrace: no traces in {inert(store.label)} {which}", err=True)
            return
        if not as_json:
            click.echo(_LIST.format("VERDICT", "TRACE", "NAME", "LAST", "TOOK", "SPANS", "FAILURES", "WHY"))
        for row in islice(chain([first], rows), limit):
            click.echo(json.dumps(_list_object(row)) if as_json else _list_line(row))


@click.command()
@query_argument
@click.option("--by", metavar="KEY", help="Group by the values of this key of data, and not by saga, step and error.")
@click.option("--json", "as_json", is_flag=True, help=_JSON_HELP)
@store_option
@one_line_errors
def groups(words: tuple[str, ...], by: str | None, as_json: bool, store_url: str | None) -> None:
    """List failures by kind: traces of one saga that failed at one step with one error, whatever its values.

    Reads the last 24 hours, or SAGATRACE_WINDOW, unless QUERY has a `since:`. A kind is new if none failed so before
    the last quarter of that time. What the failed event has in `data.group` decides instead of its error.
    """
    query = query_of(words)
    by = by or query.by
    with opened_store(store_url) as store:
        rows = _window(store, query, [by] if by else ())
        found = [one for one in failure_groups(rows, by=bool(by)) if one.is_new or not query.new]
    now = now_micros()
    began = min((row.started_at for row in rows if row.started_at is not None), default=now)
    if not as_json:
        if not found:
            click.echo(f"no failures in {plural(len(rows), 'trace')}")
            return
        click.echo(_GROUPS.format("TRACES", "STANDING", "", "FIRST", "LAST", "OVER TIME", "SAGA", "FAILED AT"))
    for group in found:
        counts = histogram(group, began, now, _BARS)
        click.echo(json.dumps(_group_object(group)) if as_json else _group_line(group, counts, now))


@click.command(epilog=_STOPS)
@query_argument
@click.option("--keys", metavar="KEY,…", help="Business keys of data to show, as order_id; remembered for next time.")
@click.option("--json", "as_json", is_flag=True, help=_JSON_HELP)
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values instead, for a spreadsheet.")
@store_option
@one_line_errors
def standing(words: tuple[str, ...], keys: str | None, as_json: bool, as_csv: bool, store_url: str | None) -> None:
    """List every step that still stands in any trace, the one that has stood the longest first.

    Reads the last 24 hours, or SAGATRACE_WINDOW, unless QUERY has a `since:`: `sagatrace standing since:7d`.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of one list: give one of them")
    query, shown = query_of(words), chosen_keys(keys)
    require_no_groups(query)
    with opened_store(store_url) as store:
        rows = _window(store, query, shown)
    found = standing_steps(rows)
    if as_csv:
        _write_csv(found, shown)
    elif as_json:
        for step in found:
            click.echo(json.dumps(_standing_object(step, shown)))
    elif not found:
        click.echo(f"nothing stands in {plural(len(rows), 'trace')}")
    else:
        for line in _table(_standing_cells(found, shown, now_micros())):
            click.echo(line)
    sys.exit(5 if found else 0)


def _read(
    store: EventStore, query: Query, most: int = 0, keys: Sequence[str] = (), window: int | None = None
) -> Iterator[TraceRow]:
    from sagatrace_tui.live import read_rows  # not for every other command's start

    return read_rows(store, query, now_micros(), window=window, keys=keys, most=most)


def _window(store: EventStore, query: Query, keys: Sequence[str]) -> list[TraceRow]:
    rows = list(islice(_read(store, query, 0, keys, window_of_environment()), _MOST + 1))
    if len(rows) > _MOST:
        click.echo(f"sagatrace: only the newest {_MOST:,} traces were read: since: with less time reads all", err=True)
    return rows[:_MOST]


def _list_line(row: TraceRow) -> str:
    # The id is what one copies into the next command: never cut.
    return _LIST.format(
        verdict_words(row.verdict or "unknown"),
        inert(row.trace_id) + " ",
        short(saga_name(row.name), 25),
        clock(row.latest),
        duration(row.duration),
        row.span_count,
        row.error_count,
        inert(reason_text(row)),
    ).rstrip()


def _list_object(row: TraceRow) -> dict[str, Any]:
    failure = row.failure
    return {
        "trace_id": row.trace_id,
        "verdict": row.verdict,
        "name": row.name,
        "started_at": iso(row.started_at),
        "last_at": iso(row.latest),
        "duration_ms": None if row.duration is None else row.duration / 1000,
        "span_count": row.span_count,
        "failure_count": row.error_count,
        "cause": None
        if failure is None
        else {
            "span_id": failure.span_id,
            "name": failure.step,
            "error": failure.error or None,
            "error_type": failure.error_type or None,
            "at": iso(failure.at),
        },
        "standing": len(row.standing),
        "steps": row.steps,
        "summary": row.summary,
    }


def _group_line(group: FailureGroup, counts: Sequence[int], now: int) -> str:
    failure = group.example
    shown = f"{failure.step} {failure.text}".rstrip()
    shown = f"{group.label} · {shown}" if group.label else shown
    return (
        _GROUPS.format(
            len(group.rows),
            group.standing or "·",
            "new" if group.is_new else "",
            when(group.first_at, now),
            when(group.last_at, now),
            bars(counts),
            short(saga_name(group.saga), 24),
            inert(shown),
        )
        + f"  [{inert(group.rows[0].trace_id)}]"
    )


def _group_object(group: FailureGroup) -> dict[str, Any]:
    failure = group.example
    return {
        "saga": group.saga,
        "step": failure.step,
        "error_type": failure.error_type or None,
        "error": failure.error or None,
        "shape": failure.shape or None,
        "group": group.label or None,
        "count": len(group.rows),
        "standing": group.standing,
        "standing_in": group.standing_in,
        "first_at": iso(group.first_at),
        "last_at": iso(group.last_at),
        "new": group.is_new,
        "trace_ids": [row.trace_id for row in group.rows],
    }


def _standing_object(step: StandingStep, keys: Sequence[str]) -> dict[str, Any]:
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


def _standing_cells(steps: Iterable[StandingStep], keys: Sequence[str], now: int) -> Iterator[list[str]]:
    yield ["SINCE", "STEP", "WOULD BE UNDONE BY", "SAGA", "TRACE", *(inert(key, 40).upper() for key in keys), "REASON"]
    for step in steps:
        unsure = "" if step.certain else " (uncertain: it may have had no effect)"
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
    """Yield rows as lines with aligned columns; the last column is as long as it is."""
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
    """Return a value that a spreadsheet takes as text and a terminal does not act on."""
    shown = inert(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown
