"""`sagatrace import` and `sagatrace export`: stored documents as JSON lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from errno import EBADF
from pathlib import Path
from typing import BinaryIO

import click

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, encode_event
from sagatrace.stores.codec import parse_event
from sagatrace_tui.commands.outcome import Exit, fetched, one_line_errors, opened_store, store_option, trace_argument
from sagatrace_tui.labels import inert, plural

__all__ = ["export", "import_events", "json_line"]

_BATCH = 500
# Legal inside a JSON string, but a terminal may act on them: written as escapes, which mean the same.
_RISKY = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U0010ffff]")


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@store_option
@one_line_errors
def import_events(files: tuple[str, ...], store_url: str | None) -> None:
    """Store the events of JSON-lines files; `-` reads standard input.

    A line that is no event is named and left out, the rest is stored, and the exit status is 1. Importing a file
    again changes nothing.
    """
    faults = read = new = 0
    traces: dict[str, None] = {}
    with opened_store(store_url, read_only=False) as store:
        for name in files:
            batch: list[TraceEvent] = []
            for line, found in _lines(name):
                if isinstance(found, str):
                    click.echo(f"sagatrace: {inert(name)}{line}: {inert(found, 500)}", err=True)
                    faults += 1
                    continue
                batch.append(found)
                traces[found.trace_id] = None
                read += 1
                if len(batch) >= _BATCH:
                    new += store.append(batch)
                    batch = []
            if batch:
                new += store.append(batch)
        known = f", {read - new} already there" if read - new else ""
        where = f"trace {inert(next(iter(traces)))}" if len(traces) == 1 else f"{len(traces)} traces"
        refused = f", {plural(faults, 'fault')}" if faults else ""
        click.echo(f"{plural(new, 'new event')} of {where} into {inert(store.label)}{known}{refused}")
    if faults:
        sys.exit(Exit.FAILED)


def _lines(name: str) -> Iterator[tuple[str, TraceEvent | str]]:
    """Each line of the file as (where, event) or (where, what is wrong with it)."""
    try:
        if name == "-":
            yield from _events(_standard_input())
        else:
            with Path(name).open("rb") as file:
                yield from _events(file)
    except OSError as error:
        yield "", f"cannot read it: {error.strerror or error}"


def _standard_input() -> BinaryIO:
    if sys.stdin is None:  # closed by the caller
        raise OSError(EBADF, "standard input is closed")
    return sys.stdin.buffer


def _events(file: BinaryIO) -> Iterator[tuple[str, TraceEvent | str]]:
    for number, line in enumerate(file, start=1):
        document = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not document:
            continue
        try:
            yield f":{number}", parse_event(document)
        except EventError as error:
            yield f":{number}", str(error)


@click.command()
@trace_argument()
@store_option
@one_line_errors
def export(trace_id: str, store_url: str | None) -> None:
    """Print a trace's stored documents as JSON lines, in order of time."""
    with opened_store(store_url) as store:
        found = fetched(store, trace_id)
    for event in sorted(found.events, key=lambda event: (event.micros, event.id)):
        click.echo(json_line(event))
    for bad in found.malformed:
        click.echo(f"sagatrace: document {inert(bad.document_id)} left out: {inert(bad.fault, 500)}", err=True)
    if found.malformed:
        sys.exit(Exit.FAILED)


def json_line(event: TraceEvent) -> str:
    """The stored document in one line, nothing in it that a terminal would act on."""
    return _RISKY.sub(_escaped, encode_event(event).decode())


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
