"""The time window of commands about many traces, and its traces."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from sagatrace.errors import SettingsError
from sagatrace.stores import EventStore
from sagatrace_tui.commands.outcome import now_micros
from sagatrace_tui.incident.query import Query, parse_length
from sagatrace_tui.labels import inert
from sagatrace_tui.model.text import clock

if TYPE_CHECKING:
    from sagatrace_tui.incident.trace_row import TraceRow

__all__ = ["of_new_kinds", "rows_of_window", "say_no_match", "time_read", "window_of_environment"]

_DAY: Final = "24h"


def window_of_environment() -> int:
    """Return the length of the window in microseconds, from SAGATRACE_WINDOW.

    Raises:
        SettingsError: the setting is not a length of time.
    """
    text = os.environ.get("SAGATRACE_WINDOW", "").strip() or _DAY
    length = parse_length(text)
    if length is None:
        raise SettingsError(f"SAGATRACE_WINDOW={text!r} is not a length of time: write 30m, 24h or 7d")
    return length


def time_read(query: Query) -> tuple[int, int]:
    """Return the start and end of the time that `rows_of_window` reads, in microseconds since 1970.

    Raises:
        click.UsageError: the time of the query is empty.
    """
    now = now_micros()
    began = now - window_of_environment() if query.since is None else query.since.at(now)
    ended = now if query.until is None else min(now, query.until.at(now))
    if began >= ended:
        raise click.UsageError(
            f"no time is between {clock(began)} and {clock(ended)}: since: must be before until: and before now"
        )
    return began, ended


def rows_of_window(store: EventStore, query: Query, keys: Sequence[str] = ()) -> Iterator[TraceRow]:
    """Yield the traces that match the query, latest activity first. Without `since:`, read only the window.

    Args:
        store: the store.
        query: the query.
        keys: the business keys of the rows.

    Raises:
        click.UsageError: the time of the query is empty.
        StoreError: the store cannot be read.
    """
    from sagatrace_tui.live.window import read_rows  # slow to import; other commands do not need it

    time_read(query)
    yield from read_rows(store, query, now_micros(), window=window_of_environment(), keys=keys)


def say_no_match(store: EventStore) -> None:
    """Say on stderr that no trace matches the query. Otherwise a query for nothing would read as an all-clear."""
    click.echo(f"sagatrace: no traces in {inert(store.label)} that match", err=True)


def of_new_kinds(rows: Iterable[TraceRow], query: Query) -> Iterator[TraceRow]:
    """Yield the rows. If the query has the word `new`, yield only traces with a new kind of failure."""
    if query.new:
        from sagatrace_tui.incident.failure_groups import began_at, failure_groups  # the app does not need it

        listed = list(rows)
        began, now = time_read(query)
        kinds = failure_groups(listed, began_at(listed, began), now)
        kept = {row.trace_id for one in kinds if one.is_new for row in one.rows}
        rows = (row for row in listed if row.trace_id in kept)
    yield from rows
