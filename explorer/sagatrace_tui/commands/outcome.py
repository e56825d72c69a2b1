"""The end of a command: its exit status, and errors as one line on standard error. Also shared options."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import click

from sagatrace.errors import SagatraceError, SearchError, SettingsError
from sagatrace.settings import Settings
from sagatrace.stores import DataIs, EventStore, FetchedTrace, Search, open_store
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

_MEANT: Final = 3  # suggestions for a mistyped trace id
_LOOKED_AT: Final = 1_000  # the newest traces, whose ids may contain the typed text
_LISTS: Final = "`sagatrace list` shows the newest traces, `sagatrace list KEY=VALUE` those with a value in their data"
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Exit(IntEnum):
    """Exit statuses that mean the same in every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_SUCH_TRACE = 7
    INTERRUPTED = 130


def as_stored(trace_id: str) -> str:
    """Return a trace id as events store it, with characters that cannot be encoded written as escapes."""
    return trace_id.encode("utf-8", "backslashreplace").decode()


def _stored(_context: click.Context, _parameter: click.Parameter, trace_id: str | None) -> str | None:
    return None if trace_id is None else as_stored(trace_id)


def _all_stored(_context: click.Context, _parameter: click.Parameter, trace_ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(as_stored, trace_ids))


def trace_argument(*, required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator for the argument `TRACE_ID`."""
    return click.argument("trace_id", required=required, callback=_stored, shell_complete=trace_ids)


def trace_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument `TRACE_ID...`, passed as `trace_ids`."""
    argument = click.argument(
        "trace_ids", nargs=-1, metavar="[TRACE_ID]...", callback=_all_stored, shell_complete=trace_ids
    )
    return argument(command)


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--store URL`, which overrides SAGATRACE_STORE."""
    return click.option(
        "--store",
        "store_url",
        metavar="URL",
        callback=_named_store,
        help="The store, like sqlite:///traces.db, or demo for that of the running demo  "
        "[default: $SAGATRACE_STORE, or a file in your home]",
    )(command)


def _named_store(_context: click.Context, _parameter: click.Parameter, url: str | None) -> str | None:
    """Return the URL of a store. Replace the word `demo` by the URL of the running demo."""
    if url != "demo":
        return url
    from sagatrace_tui.demo import running_store_url  # slow to import; other stores do not need it

    found = running_store_url()
    if found is None:
        raise click.BadParameter("no demo runs: start one with `sagatrace-tui --demo`")
    return found


def one_line_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Print a SagatraceError or OSError as one line instead of a traceback, and end the command.

    The status is 2 for an unusable setting or search, and 1 for other errors. A closed pipe ends it with 0.
    """

    @functools.wraps(command)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            result = command(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()  # a full disk fails here, where it can still be reported
            return result
        except SagatraceError as error:
            click.echo(f"sagatrace: {inert(str(error))}", err=True)
            sys.exit(Exit.USAGE if isinstance(error, (SettingsError, SearchError)) else Exit.FAILED)
        except BrokenPipeError:
            _drop_output()  # the reader closed the pipe (`| head`)
            sys.exit(Exit.OK)
        except OSError as error:
            _drop_output()
            click.echo(f"sagatrace: {inert(str(error), 500)}", err=True)
            sys.exit(Exit.FAILED)

    return guarded


@contextmanager
def ending_with(status: int) -> Iterator[None]:
    """Run the block, then exit with the status, even if the reader closed the pipe."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    sys.exit(status)


def _drop_output() -> None:
    """Discard the rest of the output, so that the interpreter does not try to write it at exit."""
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
    """Open a store, and close it at the end of the block.

    Args:
        store_url: the URL; None for the URL in the environment.
        read_only: whether the store is only read.
        durable: as in `open_store`.
        least_wait: the least seconds that a call may take; the setting may allow more.
        farewell: seconds to wait at the end for a call in another thread; None waits without limit.

    Raises:
        SettingsError: a setting cannot be used.
        StoreError: the store cannot be opened.
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
    """Raise StoreUrlError if the URL names no known store."""
    if url != "off" and not url.lower().startswith("cosmos:"):  # slow to import
        open_store(url, read_only=True).close()


def fetched(store: EventStore, trace_id: str) -> FetchedTrace:
    """Return the stored documents of a trace. Without any, end the command with one line and status 7."""
    found = store.fetch_trace(trace_id)
    if not found.events and not found.malformed:
        no_such_trace(store, trace_id)
    return found


def no_such_trace(store: EventStore, trace_id: str) -> NoReturn:
    """End the command with status 7 and one line that suggests similar trace ids."""
    meant = _meant(store, trace_id)
    shown, names = inert(trace_id, 255), ", ".join(inert(one, 255) for one in meant[:_MEANT])
    more = ", …" if len(meant) > _MEANT else ""
    hint = f"did you mean {names}{more}?" if meant else _LISTS
    click.echo(f"sagatrace: no trace {shown!r} in {inert(store.label)}: {hint}", err=True)
    sys.exit(Exit.NO_SUCH_TRACE)


def _meant(store: EventStore, trace_id: str) -> list[str]:
    """Return the ids of similar traces, newest first: ids that begin with the text, have such a job, or contain it.

    No command takes a similar id for the given one: the exit status of `why order-1` must not be that of `order-10`.
    """
    limit = _MEANT + 1
    hits = store.search(Search(limit=limit, trace_prefix=trace_id))
    hits = hits or store.search(Search(limit=limit, data=(DataIs(("job_id",), (trace_id,)),)))
    part = trace_id.casefold()
    ids = [hit.trace_id for hit in hits or store.search(Search(limit=_LOOKED_AT))]
    return ids if hits else [one for one in ids if part in one.casefold()]


def folded(found: FetchedTrace, now: int | None = None) -> Trace:
    """Build the trace from the fetched documents, as of `now` (microseconds since 1970; default: the clock)."""
    anomalies = reading_anomalies((bad.document_id, bad.fault) for bad in found.malformed)
    return build_trace(found.trace_id, found.events, now=now or now_micros(), anomalies=anomalies)


def now_micros() -> int:
    """Return the wall clock in microseconds since 1970."""
    return time.time_ns() // 1000
