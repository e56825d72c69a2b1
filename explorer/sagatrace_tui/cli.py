"""The command line: `sagatrace` for text and pipes, `sagatrace-tui` for the app."""

from __future__ import annotations

import io
import logging
import os
import re
import shlex
import signal
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from platformdirs import user_state_path

from sagatrace.error_stream import print_errors_plainly
from sagatrace.errors import SettingsError, StoreNotFoundError
from sagatrace.settings import Settings
from sagatrace.stores import EventStore, Search
from sagatrace_tui.collector import pause_collector
from sagatrace_tui.commands.outcome import (
    Exit,
    no_such_trace,
    one_line_errors,
    opened_store,
    store_option,
    trace_argument,
)
from sagatrace_tui.labels import inert

if TYPE_CHECKING:
    from sagatrace_tui.demo import Demo

__all__ = ["main", "tui_main"]

_STATUSES: Final = "Exit status: 0 done · 1 failed · 2 wrong usage or setting · 7 no such trace."
_PATIENCE: Final = 30.0
"""Seconds for one reading by the app. A large trace takes longer than a write, and the app shows its progress."""
_FAREWELL: Final = 0.5
"""Seconds to wait at the end for a running read. A hanging store must not delay the exit."""
_COMMANDS: Final = {
    "list": ("incident", "list_traces"),
    "groups": ("incident", "groups"),
    "standing": ("standing", "standing"),
    "show": ("show", "show"),
    "why": ("why", "why"),
    "diff": ("diff", "diff"),
    "import": ("transfer", "import_events"),
    "export": ("transfer", "export"),
    "init": ("init", "init"),
    "doctor": ("doctor", "doctor"),
    "cost": ("cost", "cost"),
    "ship": ("ship", "ship"),
    "tail": ("tail", "tail"),
}
"""The module and name of each command. A command is imported when used, so that the app starts fast."""


class _Plain(click.Command):
    """A command whose standard error, with click's messages, has no secrets and no control characters.

    Ctrl-C ends it with status 130, as in shells.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        _print_plainly()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(Exit.INTERRUPTED)


_NEGATED: Final = re.compile(r"-[^-:=\s][^:=\s]*[:=]")


class _Commands(_Plain, click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        words = list(ctx.args)
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            own = (one for one in words if one.startswith(error.option_name))
            term = next(filter(_NEGATED.match, own), None)
            if term is None:
                raise
            advice = f"a query term that begins with a minus comes after `--`, like: -- {shlex.quote(term)}"
            raise click.UsageError(f"no such option {error.option_name!r}: {advice}", error.ctx) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's form
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's form
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command = getattr(import_module(f"sagatrace_tui.commands.{module}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table names only commands
        command.epilog = command.epilog or _STATUSES
        return command


@click.group(cls=_Commands, epilog=_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sagatrace", prog_name="sagatrace")
def main() -> None:
    """Show what happened to a saga: why it failed, what was undone, what is still standing.

    `sagatrace-tui` shows the same in an app.
    """
    logging.basicConfig(level=logging.WARNING, format="sagatrace: %(message)s")
    # The store reports a failure in one line, the SDK in twenty.
    logging.getLogger("azure").setLevel(logging.CRITICAL)


@click.command("sagatrace-tui", cls=_Plain, epilog=_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@trace_argument(required=False)
@click.argument("span_id", required=False)
@click.option(
    "--demo",
    is_flag=True,
    help="Watch real RQ workers run sagas into a temporary store, which commands read with --store demo.",
)
@click.version_option(package_name="sagatrace", prog_name="sagatrace-tui")
@store_option
@one_line_errors
def tui_main(trace_id: str | None, span_id: str | None, demo: bool, store_url: str | None) -> None:
    """Explore traces live: search, failures by kind, standing steps, span tree and details.

    TRACE_ID opens that trace, SPAN_ID goes to that span. The app never writes to the store.
    """
    if demo and (trace_id or store_url):
        raise click.UsageError("--demo has its own store and traces: leave out TRACE_ID and --store")
    _require_textual()
    _require_terminal()
    if demo:
        _run_demo()
        return
    with opened_store(store_url, least_wait=_PATIENCE, farewell=_FAREWELL) as store:
        # A file is fast to check: report an unusable one here, not on a screen. The app itself waits for a network.
        if store.label.startswith("sqlite:") and not _has(store, trace_id) and trace_id is not None:
            no_such_trace(store, trace_id)
        _run_app(store, trace_id, span_id=span_id)


def _has(store: EventStore, trace_id: str | None) -> bool:
    """Return whether the store has the trace, or any trace. The list also waits for a store to appear."""
    try:
        return bool(store.search(Search(limit=1, trace_prefix=trace_id or "")))
    except StoreNotFoundError:
        if trace_id is not None:
            raise
        return False


def _run_app(
    store: EventStore, trace_id: str | None = None, demo: Demo | None = None, span_id: str | None = None
) -> None:
    pause_collector()  # until the first frame: starting allocates much, but no garbage
    sys.setswitchinterval(0.0005)  # a tenth of the default, so that keys interrupt the reading thread
    from sagatrace_tui.terminal.detect import detect

    terminal = detect(os.environ)
    if terminal.colors > 256:  # Textual reads this variable, which SSH does not forward
        os.environ["COLORTERM"] = "truecolor"
    elif terminal.colors == 256:
        os.environ.setdefault("TEXTUAL_COLOR_SYSTEM", "256")
    elif not terminal.colors:
        os.environ["NO_COLOR"] = "1"
    from sagatrace.mirror import open_mirror
    from sagatrace_tui.app import SagatraceApp
    from sagatrace_tui.commands.query import chosen_keys, saved_queries
    from sagatrace_tui.commands.window import window_of_environment
    from sagatrace_tui.query_history import QueryHistory
    from sagatrace_tui.scope import Scope
    from sagatrace_tui.theme_choice import ThemeChoice

    mirror = None
    try:
        settings = Settings.from_env()
        mirror = open_mirror(replace(settings, mirror=demo.mirror_url) if demo is not None else settings, store.label)
    except SettingsError as error:  # a wrong mirror setting must not stop the app
        click.echo(f"sagatrace-tui: the store is polled: {inert(str(error))}", err=True)
    scope = Scope(window_of_environment(), chosen_keys(), saved_queries())
    app = SagatraceApp(
        store,
        mirror=mirror,
        scope=scope,
        span_id=span_id,
        trace_id=trace_id,
        trouble=demo.failure if demo is not None else None,
        terminal=terminal,
        history=QueryHistory(user_state_path("sagatrace") / "recent-queries"),
        theme_choice=ThemeChoice(user_state_path("sagatrace") / "theme"),
        is_demo=demo is not None,
    )
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the app handles it: asyncio would only cancel a task
    app.run()
    if app.return_code or app.has_crashed:
        sys.exit(app.return_code or Exit.FAILED)


def _run_demo() -> None:
    from sagatrace_tui.demo import start_demo

    try:
        demo = start_demo()
    except OSError as error:
        _give_up(f"cannot start the demo: {error}")
    with demo, opened_store(demo.store_url, farewell=_FAREWELL) as store:
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
        why = "standard input or output is not a terminal"
    elif os.environ.get("TERM", "dumb") in ("", "dumb"):
        why = f"TERM={os.environ.get('TERM', '')!r} cannot draw an app"
    else:
        return
    _give_up(f"{why}: `sagatrace why TRACE_ID` and `sagatrace list` print the same as text (over SSH: ssh -t)")


def _give_up(why: str) -> NoReturn:
    click.echo(f"sagatrace-tui: {why}", err=True)
    sys.exit(Exit.FAILED)


def _print_plainly() -> None:
    """Print `?` for characters that the locale lacks. Remove secrets and control characters from standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    print_errors_plainly(partial(inert, lines=True))
