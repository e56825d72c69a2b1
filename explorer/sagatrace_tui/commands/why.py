"""`sagatrace why`: why a trace failed, what was undone and what still stands, without a screen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Final

import click

from sagatrace.errors import SagatraceError
from sagatrace.settings import Settings, masked
from sagatrace.stores import FetchedTrace, open_store
from sagatrace_tui.labels import inert
from sagatrace_tui.model import Verdict, build_trace, reading_anomalies
from sagatrace_tui.model.explain import explain, hand_over

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
_ELSE: Final = 1
_NO_SUCH_TRACE: Final = 7
_EPILOG: Final = (
    "Exit status: 0 succeeded · 2 wrong usage · 3 running or compensating · 4 failed or rolled back · "
    "5 something still stands, or was undone though it succeeded · 6 unknown · 7 no such trace · 1 anything else."
)


@click.command("why", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("trace_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead, with stable keys.")
@click.option(
    "--store",
    "store_url",
    metavar="URL",
    help="Where events are kept, e.g. sqlite:///traces.db  [default: $SAGATRACE_STORE, or a file of your own]",
)
def why(trace_id: str, as_json: bool, store_url: str | None) -> None:
    """Why a trace failed, what was undone, and what still stands: ready to paste into an incident channel."""
    try:
        found = _fetched(trace_id, store_url)
    except SagatraceError as error:
        click.echo(f"sagatrace: {inert(masked(str(error)))}", err=True)
        sys.exit(_ELSE)
    if not found.events and not found.malformed:
        shown = inert(trace_id, 255)
        click.echo(f"sagatrace: no trace {shown!r} in this store: `sagatrace list` shows the newest", err=True)
        sys.exit(_NO_SUCH_TRACE)
    anomalies = reading_anomalies((bad.document_id, bad.fault) for bad in found.malformed)
    trace = build_trace(found.trace_id, found.events, now=time.time_ns() // 1000, anomalies=anomalies)
    if as_json:
        # Escaped to ASCII: nothing a job wrote reaches a terminal as more than its code.
        click.echo(json.dumps(explain(trace), indent=2))
    else:
        click.echo(hand_over(trace, inert), nl=False)
    sys.exit(EXIT_STATUSES[trace.verdict])


def _fetched(trace_id: str, store_url: str | None) -> FetchedTrace:
    settings = Settings.from_env()
    store = open_store(store_url or settings.store, read_only=True, max_wait=settings.max_wait)
    try:
        return store.fetch_trace(trace_id)
    finally:
        store.close()
