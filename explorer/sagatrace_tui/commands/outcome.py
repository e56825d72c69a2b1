"""How a command ends: its exit status, and errors as one line on standard error."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from sagatrace.errors import SagatraceError, SearchError, SettingsError
from sagatrace.settings import Settings
from sagatrace.stores import DataIs, EventStore, FetchedTrace, Search, TraceHit, open_store
from sagatrace_tui.commands.completion import trace_ids
from sagatrace_tui.labels import inert
from sagatrace_tui.model import Trace, build_trace, reading_anomalies

__all__ = [
    "Exit",
    "as_stored",
    "ending_with",
    "fetched",
    "folded",
    "no_such_trace",
    "now_micros",
    "one_line_errors",
    "opened_store",
    "require_store_url",
    "store_option",
    "trace_argument",
    "trace_arguments",
]

_MEANT = 3  # traces that are named as perhaps meant
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Exit(IntEnum):
    """Exit statuses, the same for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_SUCH_TRACE = 7
    INTERRUPTED = 130


def as_stored(trace_id: str) -> str:
    """What cannot be encoded is written out, as it is where events are made: so such a trace is found, too."""
    return trace_id.encode("utf-8", "backslashreplace").decode()


def _stored(_context: click.Context, _parameter: click.Parameter, trace_id: str | None) -> str | None:
    return None if trace_id is None else as_stored(trace_id)


def _all_stored(_context: click.Context, _parameter: click.Parameter, trace_ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(as_stored, trace_ids))


def trace_argument(*, required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`TRACE_ID`: the trace a command is about."""
    return click.argument("trace_id", required=required, callback=_stored, shell_complete=trace_ids)


def trace_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """`TRACE_ID...`: the traces a command is about, as `trace_ids`."""
    argument = click.argument(
        "trace_ids", nargs=-1, metavar="[TRACE_ID]...", callback=_all_stored, shell_complete=trace_ids
    )
    return argument(command)


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--store URL`: where events are, in place of SAGATRACE_STORE."""
    return click.option(
        "--store",
        "store_url",
        metavar="URL",
        help="Where events are kept, e.g. sqlite:///traces.db  [default: $SAGATRACE_STORE, or a file of your own]",
    )(command)


def one_line_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """End the command with one line for each error that is made for people, and never with a traceback.

    The status is 2 for a setting or a search that cannot be used, and 1 for any other error.
    """

    @functools.wraps(command)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            result = command(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()  # a full disk shows here, while it can still be reported
            return result
        except SagatraceError as error:
            click.echo(f"sagatrace: {inert(str(error))}", err=True)
            sys.exit(Exit.USAGE if isinstance(error, (SettingsError, SearchError)) else Exit.FAILED)
        except BrokenPipeError:
            _drop_output()  # the reader has seen enough (`| head`)
            sys.exit(Exit.OK)
        except OSError as error:
            _drop_output()
            click.echo(f"sagatrace: {inert(str(error), 500)}", err=True)
            sys.exit(Exit.FAILED)

    return guarded


@contextmanager
def ending_with(status: int) -> Iterator[None]:
    """Print the answer inside, then end with the status that says it, though the reader has seen enough before."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    sys.exit(status)


def _drop_output() -> None:
    """What is left in the buffer cannot be written: the interpreter must not try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def opened_store(
    store_url: str | None,
    *,
    read_only: bool = True,
    durable: bool = False,
    least_wait: float = 0.0,
    farewell: float | None = None,
) -> Iterator[EventStore]:
    """Open the store of the option, else of the environment; a call to it may take at least so many seconds.

    `durable` is as in `open_store`. `farewell` is the number of seconds that the end waits for a call of another
    thread: None, until it is over.
    """
    settings = Settings.from_env()
    max_wait = max(settings.max_wait, least_wait)
    store = open_store(store_url or settings.store, read_only=read_only, max_wait=max_wait, durable=durable)
    try:
        yield store
    finally:
        if farewell is None:
            store.close()
        else:
            closing = threading.Thread(target=store.close, name="sagatrace-closing", daemon=True)
            closing.start()
            closing.join(farewell)


def require_store_url(url: str) -> None:
    """Raise StoreUrlError for a URL of no known store, before its outbox is looked for."""
    if url != "off" and not url.lower().startswith("cosmos:"):  # that one takes a second to load
        open_store(url, read_only=True).close()


def fetched(store: EventStore, trace_id: str) -> FetchedTrace:
    """The trace; where there is none, one line and the status that says so."""
    found = store.fetch_trace(trace_id)
    if not found.events and not found.malformed:
        no_such_trace(store, trace_id)
    return found


def no_such_trace(store: EventStore, trace_id: str) -> NoReturn:
    """End with the status that says so, and one line with the traces that may be meant."""
    meant = [hit.trace_id for hit in _meant(store, trace_id)]
    shown, names = inert(trace_id, 255), ", ".join(inert(one, 255) for one in meant[:_MEANT])
    more = ", …" if len(meant) > _MEANT else ""
    hint = f"did you mean {names}{more}?" if meant else "`sagatrace list` shows the newest"
    click.echo(f"sagatrace: no trace {shown!r} in {inert(store.label)}: {hint}", err=True)
    sys.exit(Exit.NO_SUCH_TRACE)


def _meant(store: EventStore, trace_id: str) -> Sequence[TraceHit]:
    """Return the newest traces whose id begins so, else those with a job of that id."""
    limit = _MEANT + 1
    begins = store.search(Search(limit=limit, trace_prefix=trace_id))
    return begins or store.search(Search(limit=limit, data=(DataIs(("job_id",), (trace_id,)),)))


def folded(found: FetchedTrace, now: int | None = None) -> Trace:
    """What was fetched, as a trace."""
    anomalies = reading_anomalies((bad.document_id, bad.fault) for bad in found.malformed)
    return build_trace(found.trace_id, found.events, now=now or now_micros(), anomalies=anomalies)


def now_micros() -> int:
    """The wall clock in microseconds since 1970."""
    return time.time_ns() // 1000
