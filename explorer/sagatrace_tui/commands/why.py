"""`sagatrace why`: why a trace failed, what was undone and what still stands, without a screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Final

import click

from sagatrace_tui.commands.outcome import fetched, folded, one_line_errors, opened_store, store_option, trace_argument
from sagatrace_tui.labels import inert
from sagatrace_tui.model import Verdict
from sagatrace_tui.model.report import explain, hand_over
from sagatrace_tui.model.undisturbed import undisturbed

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
    "Exit status: 0 succeeded · 2 wrong usage · 3 running or compensating · 4 failed or rolled back · "
    "5 something still stands, or was undone though it succeeded · 6 unknown · 7 no such trace · 1 anything else."
)


@click.command("why", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@trace_argument()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead, with stable keys.")
@store_option
@one_line_errors
def why(trace_id: str, as_json: bool, store_url: str | None) -> None:
    """Why a trace failed, what was undone, and what still stands: ready to paste into an incident channel."""
    with opened_store(store_url) as store, undisturbed():
        trace = folded(fetched(store, trace_id))
    if as_json:
        # Escaped to ASCII: nothing a job wrote reaches a terminal as more than its code.
        click.echo(json.dumps(explain(trace), indent=2))
    else:
        click.echo(hand_over(trace, inert), nl=False)
    sys.exit(EXIT_STATUSES[trace.verdict])
