"""`sagatrace why`: print why a trace failed, what was undone and what still stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import click

from sagatrace_tui.collector import CollectorPaused
from sagatrace_tui.commands.outcome import (
    ending_with,
    fetched,
    folded,
    one_line_errors,
    opened_store,
    store_option,
    trace_argument,
)
from sagatrace_tui.incident.report import json_schema, report
from sagatrace_tui.incident.summary import MARKDOWN, SLACK, incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import Verdict

__all__ = ["EXIT_STATUSES", "why"]

EXIT_STATUSES: Final[Mapping[Verdict, int]] = {
    "succeeded": 0,
    "running": 3,
    "compensating": 3,
    "failed": 4,
    "rolled_back": 4,
    "rollback_incomplete": 5,
    "rollback_missing": 5,
    "succeeded_but_compensated": 5,
    "unknown": 6,
}
_EPILOG: Final = (
    "Exit status: 0 succeeded · 2 wrong usage or setting · 3 running or compensating · 4 failed or rolled back · "
    "5 a step still stands, or a success was compensated · 6 unknown · 7 no such trace · 1 any other error."
)


@click.command("why", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@trace_argument(required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with stable keys.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of that object.")
@click.option("--slack", is_flag=True, help="Print the text in Slack's markup.")
@store_option
@one_line_errors
def why(trace_id: str | None, as_json: bool, schema: bool, slack: bool, store_url: str | None) -> None:
    """Print why a trace failed, what was undone and what still stands.

    The text is ready to paste into an incident channel.
    """
    if slack and as_json:
        raise click.UsageError("--json and --slack exclude each other")
    if schema:
        click.echo(json_schema(), nl=False)
        return
    if trace_id is None:
        raise click.UsageError("Missing argument 'TRACE_ID'.")
    with opened_store(store_url) as store, CollectorPaused():
        trace = folded(fetched(store, trace_id))
    with ending_with(EXIT_STATUSES[trace.verdict]):
        if as_json:
            # Escaped to ASCII, so that no value from a job controls the terminal.
            click.echo(json.dumps(report(trace), indent=2))
        else:
            click.echo(incident_summary(trace, inert, SLACK if slack else MARKDOWN), nl=False)
