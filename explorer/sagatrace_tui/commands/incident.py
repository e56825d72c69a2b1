"""`sagatrace list` and `groups`: many traces as text or JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import click

from sagatrace.stores import EventStore
from sagatrace_tui.commands.outcome import now_micros, one_line_errors, opened_store, store_option
from sagatrace_tui.commands.query import (
    query_argument,
    query_of,
    require_no_groups,
)
from sagatrace_tui.commands.window import of_new_kinds, rows_of_window, say_no_match, time_read
from sagatrace_tui.incident.failure_groups import FailureGroup, bars, began_at, failure_groups, histogram
from sagatrace_tui.incident.query import Query
from sagatrace_tui.incident.trace_row import TraceRow, reason_text
from sagatrace_tui.labels import clock, duration, inert, plural, saga_name, short, verdict_words, when
from sagatrace_tui.model.text import iso

__all__ = ["groups", "list_traces"]

_LIST: Final = "{:<28}{:<26}{:<38}{:<22}{:>8}{:>7}{:>10}  {}"
_GROUPS: Final = "{:>6} {:>9}  {:<4} {:<10} {:<10} {:<12}  {:<24} {}"
_BARS: Final = 12
_JSON_HELP: Final = "Print one JSON object in each line, with stable keys."


@click.command("list")
@query_argument
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Traces to list.")
@click.option("--json", "as_json", is_flag=True, help=_JSON_HELP)
@store_option
@one_line_errors
def list_traces(words: tuple[str, ...], limit: int, as_json: bool, store_url: str | None) -> None:
    """List the newest traces that match QUERY, and why each failed.

    QUERY is a query as in the app, like `sagatrace list status:failed since:10m`. If it begins with a minus, write --
    before it.
    """
    query = query_of(words)
    require_no_groups(query)
    if query.since is not None:
        time_read(query)  # raises if it is empty
    with opened_store(store_url) as store:
        rows = of_new_kinds(rows_of_window(store, query), query) if query.new else _newest(store, query, limit)
        first = next(rows, None)
        if first is None:
            if words:
                say_no_match(store)
            else:
                click.echo(f"sagatrace: no traces in {inert(store.label)} yet", err=True)
            return
        if not as_json:
            click.echo(_LIST.format("VERDICT", "NAME", "TRACE", "LAST", "TOOK", "SPANS", "ERRORS", "WHY"))
        rows = chain([first], rows)
        for row in islice(rows, limit):
            click.echo(json.dumps(_list_object(row)) if as_json else _list_line(row))
        if next(rows, None) is not None:
            click.echo(f"sagatrace: only the newest {plural(limit, 'trace')}: -n lists more", err=True)


@click.command()
@query_argument
@click.option("--by", metavar="KEY", help="Group by the values of this data key instead of saga, step and error.")
@click.option("--json", "as_json", is_flag=True, help=_JSON_HELP)
@store_option
@one_line_errors
def groups(words: tuple[str, ...], by: str | None, as_json: bool, store_url: str | None) -> None:
    """List failures by kind.

    Traces of one saga that failed at the same step with the same error are one kind. Values in the error, such as ids,
    do not count.

    Reads the last 24 hours, or SAGATRACE_WINDOW, unless QUERY has a `since:`. A kind is new if its first failure is in
    the last quarter of that time. If the failed event has `data.group`, that value replaces the error.
    """
    query = query_of(words)
    by = by or query.by
    with opened_store(store_url) as store:
        rows = list(rows_of_window(store, query, [by] if by else ()))
        if words and not rows:
            say_no_match(store)
    began, ended = time_read(query)
    began = began_at(rows, began)
    kinds = failure_groups(rows, began, ended, by=bool(by))
    if by and kinds and not any(one.value for one in kinds):
        click.echo(f"sagatrace: no failed trace has a value for {inert(by, 80)!r} in its data", err=True)
    found = [one for one in kinds if one.is_new or not query.new]
    if not as_json:
        if not found:
            none, known = "new kinds of failure" if kinds else "failures", plural(len(kinds), "known kind")
            click.echo(f"no {none} in {plural(len(rows), 'trace')}" + (f" ({known})" if kinds else ""))
            return
        click.echo(_GROUPS.format("TRACES", "STANDING", "", "LAST", "FIRST", "OVER TIME", "SAGA", "FAILED AT"))
    for group in found:
        counts = histogram(group, began, ended, _BARS)
        click.echo(json.dumps(_group_object(group)) if as_json else _group_line(group, counts, now_micros()))


def _newest(store: EventStore, query: Query, limit: int) -> Iterator[TraceRow]:
    from sagatrace_tui.live.window import read_rows  # slow to import; other commands do not need it

    return read_rows(store, query, now_micros(), most=limit + 1)  # one more shows that the list is cut


def _list_line(row: TraceRow) -> str:
    # The id is never cut: readers copy it into the next command.
    return _LIST.format(
        verdict_words(row.verdict or "unknown"),
        short(saga_name(row.name), 25),
        inert(row.trace_id) + " ",
        clock(row.latest),
        duration(row.elapsed(now_micros())),
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
            when(group.last_at, now),
            when(group.first_at, now),
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
        "group": group.value or None,
        "count": len(group.rows),
        "standing": group.standing,
        "standing_in": group.standing_in,
        "first_at": iso(group.first_at),
        "last_at": iso(group.last_at),
        "new": group.is_new,
        "trace_ids": [row.trace_id for row in group.rows],
    }
