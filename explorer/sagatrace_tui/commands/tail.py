"""`sagatrace tail`: print each event as it arrives, one line each."""

from __future__ import annotations

import re
import select
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import click

from sagatrace.errors import EventError, SettingsError, StoreError
from sagatrace.event import TraceEvent
from sagatrace.mirror import Mirror, open_mirror
from sagatrace.phases import split_event_type
from sagatrace.settings import Settings
from sagatrace.stores import EventStore, Search
from sagatrace_tui.commands.completion import trace_ids
from sagatrace_tui.commands.outcome import (
    as_stored,
    folded,
    no_such_trace,
    now_micros,
    one_line_errors,
    opened_store,
    store_option,
)
from sagatrace_tui.commands.query import query_of, require_event_query
from sagatrace_tui.commands.transfer import json_line
from sagatrace_tui.commands.why import EXIT_STATUSES
from sagatrace_tui.labels import GLYPHS, inert, moment, short_name, verdict_words
from sagatrace_tui.model.span_state import mark_of

if TYPE_CHECKING:
    from sagatrace_tui.live.tail import Step
    from sagatrace_tui.model import Trace

__all__ = ["tail"]

_EPILOG: Final = (
    "Exit status: as `sagatrace why` when the trace has ended · 7 no such trace · 2 wrong usage or setting · "
    "1 any other error · 130 after SIGINT, 143 after SIGTERM. Status and errors go to standard error."
)
_WORD: Final = re.compile(r'(?:[^\s:="@-][^\s:="]*)?')  # a word that is not a condition
_NAMESAKES: Final = 20  # traces searched for an exact id
_NAMES: Final = 10_000  # spans whose names are remembered


@click.command("tail", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[TRACE_ID | QUERY]...", shell_complete=trace_ids)
@click.option("--json", "as_json", is_flag=True, help="Print the stored documents as JSON lines.")
@store_option
@one_line_errors
def tail(words: tuple[str, ...], as_json: bool, store_url: str | None) -> None:
    """Follow a trace until it has ended, or all traces.

    Prints a line for each event and each change of the verdict, starting with the stored events. Without TRACE_ID,
    prints every new event of every trace until interrupted. With QUERY, prints only new events that match, like
    `sagatrace tail status:failed`. If QUERY begins with a minus, write -- before it.
    """
    with _ending_in_good_order(), opened_store(store_url) as store:
        trace_id, wanted = _asked(store, words)
        printer = _Printer(store if trace_id is None else None, wanted, as_json=as_json)
        trace = None
        with closing(_steps(store, trace_id)) as steps:
            for step in steps:
                trace = step.trace
                if trace_id is not None and not printer.has_printed and _is_none(trace):
                    no_such_trace(store, trace_id)
                printer.print_step(step)
                _require_reader()
        if trace is not None:
            sys.exit(EXIT_STATUSES[trace.verdict])


def _asked(store: EventStore, words: tuple[str, ...]) -> tuple[str | None, Callable[[TraceEvent], bool]]:
    """Return the trace id, or None for all traces, and a test for the events to print.

    A word that is the id of a stored trace means that trace, even if it looks like a condition.
    """
    if len(words) == 1:
        trace_id = as_stored(words[0])
        if _WORD.fullmatch(trace_id) or _is_stored(store, trace_id):
            return trace_id, lambda _: True
    from sagatrace_tui.live.query_search import event_filter  # slow to import; other commands do not need it

    query, now = query_of(words), now_micros()
    require_event_query(query, now)
    return None, event_filter(query, now)


def _is_stored(store: EventStore, trace_id: str) -> bool:
    hits = store.search(Search(limit=_NAMESAKES, trace_prefix=trace_id))
    return any(hit.trace_id == trace_id for hit in hits)


def _steps(store: EventStore, trace_id: str | None) -> Generator[Step]:
    from sagatrace_tui.live.tail import follow_store, follow_trace  # slow to import; other commands do not need it

    mirror = _mirror(store)
    return follow_store(store, mirror) if trace_id is None else follow_trace(store, trace_id, mirror)


def _mirror(store: EventStore) -> Mirror | None:
    """Return the mirror. A wrong setting prints a warning and does not end the command."""
    try:
        return open_mirror(Settings.from_env(), store.label)
    except SettingsError as error:
        click.echo(f"sagatrace: {inert(str(error))}: the store is polled", err=True)
        return None


class _Printer:
    """Prints events to standard output, and each change of the status to standard error.

    `store` is given when all traces are followed. It provides the names of jobs that started earlier. Only events that
    are `wanted` are printed.
    """

    def __init__(self, store: EventStore | None, wanted: Callable[[TraceEvent], bool], *, as_json: bool) -> None:
        self._store = store
        self._wanted = wanted
        self._as_json = as_json
        self._verdict = ""
        self._state = ""
        self._names: OrderedDict[str, str] = OrderedDict()
        self.has_printed = False

    def print_step(self, step: Step) -> None:
        """Print the new events, and a changed status or verdict."""
        self.has_printed = True
        state = inert(step.fault, 500) if step.fault is not None else step.status.words
        if state != self._state:
            self._state = state
            click.echo(f"sagatrace: {state}", err=True)
        for event in filter(self._wanted, step.events):
            click.echo(json_line(event) if self._as_json else self._line(event))
        if step.trace is not None and not self._as_json and step.trace.verdict != self._verdict:
            self._verdict = step.trace.verdict
            click.echo(f"{'':<12} {verdict_words(step.trace.verdict)} · {inert(step.trace.summary, 600)}")

    def _line(self, event: TraceEvent) -> str:
        try:
            data = event.data
        except EventError:
            data = {}
        phase = split_event_type(event.event_type)[1] or event.event_type.rpartition(":")[2]
        status = mark_of(event.event_type, event.status).outcome or "point"
        parts = [moment(event.micros)[11:-1], GLYPHS[status]]
        if self._store is not None:
            parts.append(inert(event.trace_id, 255))
        parts += [inert(self._name(event, data), 200), inert(phase, 60)]
        attempt, allowed = data.get("attempt"), data.get("attempts_allowed")
        if isinstance(attempt, int) and isinstance(allowed, int) and allowed > 1:
            parts.append(f"(attempt {attempt} of {allowed})")
        error = data.get("error")
        if isinstance(error, str) and error:
            kind = data.get("error_type")
            parts.append(
                f"· {inert(kind, 60)}: {inert(error, 200)}" if isinstance(kind, str) else f"· {inert(error, 200)}"
            )
        return " ".join(parts)

    def _name(self, event: TraceEvent, data: dict[str, object]) -> str:
        job_name = data.get("job_name")
        if isinstance(job_name, str) and job_name:
            self._keep(event.span_id, job_name)
        group = split_event_type(event.event_type)[0]
        if group == "job" and event.span_id not in self._names:
            self._ask(event)
        return short_name(self._names.get(event.span_id, group), 40)

    def _ask(self, event: TraceEvent) -> None:
        """Read the trace of a job that started earlier: the job's name is in its start event."""
        self._keep(event.span_id, "job")  # ask only once, even after an error
        if self._store is None:
            return
        try:
            found = folded(self._store.fetch_trace(event.trace_id))
        except StoreError as error:
            click.echo(f"sagatrace: {inert(str(error), 500)}", err=True)
            return
        for span_id, span in found.spans.items():
            self._keep(span_id, span.name)

    def _keep(self, span_id: str, name: str) -> None:
        self._names[span_id] = name
        if len(self._names) > _NAMES:
            self._names.popitem(last=False)


@contextmanager
def _ending_in_good_order() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the command with status 128 + signal, after closing the store."""

    def end(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_none(trace: Trace | None) -> bool:
    """Return whether the store has no document of the trace, not even an unreadable one."""
    return trace is not None and not trace.event_count and not trace.anomalies


def _require_reader() -> None:
    """Raise BrokenPipeError if the reader of the pipe has gone, even when no events arrive."""
    if sys.stdout is None:  # closed by the caller: printing goes nowhere
        return
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError
