"""The command line: `sagatrace` for text and pipes, `sagatrace-tui` for the app."""

from __future__ import annotations

import gc
import io
import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

import click
from platformdirs import user_state_path

from sagatrace.errors import SettingsError
from sagatrace.settings import Settings
from sagatrace.stores import EventStore, Search
from sagatrace_tui.commands import cost, doctor, init, reading, transfer
from sagatrace_tui.commands.outcome import Exit, no_such_trace, one_line_errors, opened_store, store_option
from sagatrace_tui.commands.ship import ship
from sagatrace_tui.commands.tail import tail
from sagatrace_tui.commands.why import why
from sagatrace_tui.labels import inert

if TYPE_CHECKING:
    from sagatrace_tui.demo import Demo

__all__ = ["main", "tui_main"]

_STATUSES = "Exit status: 0 done · 1 failed · 2 wrong usage · 7 no such trace."


@click.group(epilog=_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sagatrace", prog_name="sagatrace")
def main() -> None:
    """What happened to a saga: why it failed, what was undone, what is still standing.

    `sagatrace-tui` shows the same in an app.
    """
    _never_fail_to_print()


main.add_command(reading.list_traces)
main.add_command(reading.show)
main.add_command(why)
main.add_command(tail)
main.add_command(transfer.import_events)
main.add_command(transfer.export)
main.add_command(init.init)
main.add_command(doctor.doctor)
main.add_command(cost.cost)
main.add_command(ship)


@click.command("sagatrace-tui", epilog=_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("trace_id", required=False)
@click.option("--demo", is_flag=True, help="Watch real RQ workers run loan sagas into a store of their own.")
@click.version_option(package_name="sagatrace", prog_name="sagatrace-tui")
@store_option
@one_line_errors
def tui_main(trace_id: str | None, demo: bool, store_url: str | None) -> None:
    """Explore traces: search, span tree and details, by keyboard, live.

    With a TRACE_ID that trace is opened at once. Nothing in the app ever writes to the store.
    """
    _never_fail_to_print()
    if demo and (trace_id or store_url):
        raise click.UsageError("--demo brings its own store and traces: leave out TRACE_ID and --store")
    _require_textual()
    _require_terminal()
    if demo:
        _run_demo()
        return
    with opened_store(store_url) as store:
        # An unusable store is one line here, not a broken screen. The trace itself is read by the app.
        if not store.search(Search(limit=1, trace_prefix=trace_id or "")) and trace_id is not None:
            no_such_trace(store, trace_id)
        _run_app(store, trace_id)


def _run_app(store: EventStore, trace_id: str | None = None, demo: Demo | None = None) -> None:
    gc.disable()  # until the first frame: starting makes much and no garbage
    sys.setswitchinterval(0.0005)  # the reading thread gives way ten times as soon as by default when a key comes
    from sagatrace.mirror import open_mirror
    from sagatrace_tui.app import SagatraceApp
    from sagatrace_tui.query_history import QueryHistory
    from sagatrace_tui.terminal import detect

    mirror = None
    try:
        settings = Settings.from_env()
        mirror = open_mirror(replace(settings, mirror=demo.mirror_url) if demo is not None else settings, store.label)
    except SettingsError as error:  # one setting that is wrong is no reason not to look
        click.echo(f"sagatrace-tui: the store is polled: {inert(str(error))}", err=True)
    app = SagatraceApp(
        store,
        mirror=mirror,
        trace_id=trace_id,
        subtitle="demo: loan sagas on real RQ workers" if demo is not None else "",
        trouble=demo.failure if demo is not None else None,
        terminal=detect(os.environ),
        history=QueryHistory(user_state_path("sagatrace") / "recent-queries"),
    )
    app.run()
    if app.return_code:
        sys.exit(app.return_code)


def _run_demo() -> None:
    from sagatrace_tui.demo import start_demo

    try:
        demo = start_demo()
    except OSError as error:
        _give_up(f"cannot start the demo: {error}")
    with demo, opened_store(demo.store_url) as store:
        _run_app(store, demo=demo)
        failure = demo.failure()
    if failure:
        _give_up(f"the demo stopped by itself: {inert(failure, 500)}")


def _require_textual() -> None:
    for name in ("textual", "rich"):
        if find_spec(name) is None:
            _give_up(f"the app needs {name}, which is not installed: pip install 'sagatrace[tui]'")


def _require_terminal() -> None:
    # A stream closed by the caller is None.
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        why = "standard input or output is no terminal"
    elif os.environ.get("TERM", "dumb") in ("", "dumb"):
        why = f"TERM={os.environ.get('TERM', '')!r} cannot draw an app"
    else:
        return
    _give_up(f"{why}: `sagatrace why TRACE_ID` and `sagatrace list` say the same as text (over SSH: ssh -t)")


def _give_up(why: str) -> NoReturn:
    click.echo(f"sagatrace-tui: {why}", err=True)
    sys.exit(Exit.FAILED)


def _never_fail_to_print() -> None:
    """A locale that lacks our signs gets question marks; the words beside them say the same."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
