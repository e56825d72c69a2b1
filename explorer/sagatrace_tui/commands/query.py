"""The query argument of commands, with the syntax of the app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from platformdirs import user_state_path

from sagatrace_tui.commands.outcome import as_stored
from sagatrace_tui.incident.query import Query, QueryError
from sagatrace_tui.labels import inert
from sagatrace_tui.query_history import QueryHistory, SavedQueries

__all__ = [
    "chosen_keys",
    "query_argument",
    "query_of",
    "require_event_query",
    "require_no_groups",
    "saved_queries",
]


def query_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument `QUERY...`, passed as `words`."""
    return click.argument("words", nargs=-1, metavar="[QUERY]...")(command)


def query_of(words: tuple[str, ...]) -> Query:
    """Return the query. Save it if it ends in a name.

    Raises:
        click.UsageError: the query is wrong. The error names the faulty part.
    """
    text = as_stored(" ".join(words))
    try:
        saved = saved_queries()
        query, expanded, name = saved.parse(text)
    except QueryError as error:
        faulty = inert(text[error.start : error.end], 80)
        raise click.UsageError(f"in {faulty!r} of the query: {inert(str(error), 400)}") from None
    if name:
        saved.put(name, expanded)
        saved.save()
    return query


def require_event_query(query: Query, now: int) -> None:
    """Check that single events can answer the query.

    Args:
        query: the query of a command that prints events as they arrive.
        now: the start of the command, in microseconds since 1970.

    Raises:
        click.UsageError: the query is about whole traces, groups or the past.
    """
    require_no_groups(query)
    whole = [f"{'-' if one.is_negated else ''}{one.key}:" for one in query.conditions] + ["new"] * query.new
    if whole:
        raise click.UsageError(
            f"tail cannot wait for {whole[0]} as it asks about a whole trace. tail prints each event as it arrives. "
            "Use `sagatrace list`."
        )
    if query.word:
        raise click.UsageError(
            f"{inert(query.word, 80)!r} beside a condition may be an id or a name: write trace:{inert(query.word, 80)}"
        )
    if query.until is not None and query.until.at(now) <= now:
        raise click.UsageError("tail prints events from now on, so until: must be in the future")


def require_no_groups(query: Query) -> None:
    """Raise click.UsageError if the query groups failures, which only `sagatrace groups` lists."""
    if query.by:
        raise click.UsageError("by: groups failures by a key of data. Use `sagatrace groups`.")


def saved_queries() -> SavedQueries:
    """Return the saved queries of this user."""
    return SavedQueries(user_state_path("sagatrace") / "saved-queries")


def chosen_keys(given: str | None = None) -> tuple[str, ...]:
    """Return the business keys to show: the given keys, which are saved, or else the saved keys."""
    chosen = QueryHistory(user_state_path("sagatrace") / "standing-keys")
    if given is not None:
        chosen.add(given or ",")
    keys = given if given is not None else next(iter(chosen.queries), "")
    return tuple(key.strip() for key in keys.split(",") if key.strip())
