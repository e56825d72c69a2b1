"""`sagatrace import` and `sagatrace export`: stored documents as JSON lines, or traces as OTLP JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from errno import EBADF
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent, encode_event
from sagatrace.shipper.segment import bounded_lines
from sagatrace.stores import EventStore, FetchedTrace, Search
from sagatrace.stores.codec import parse_event
from sagatrace_tui.commands.outcome import (
    Exit,
    fetched,
    folded,
    one_line_errors,
    opened_store,
    store_option,
    trace_arguments,
)
from sagatrace_tui.labels import inert, plural
from sagatrace_tui.otlp import events_of_spans, otlp_lines

__all__ = ["export", "import_events", "json_line"]

_BATCH = 500
_PAGE = 1000  # traces of one search
_LONGEST = 256 << 20  # bytes of a line, or of one JSON object over many lines; each is read into memory
# The first line of a JSON object of spans that extends over many lines.
_OPENING = re.compile(rb'\{\s*(?:"(?:resourceSpans|data)"\s*:.*)?')
# Legal in a JSON string, but a terminal may act on them, so they are written as escapes.
_RISKY = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U0010ffff]")


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
@store_option
@one_line_errors
def import_events(files: tuple[str, ...], store_url: str | None) -> None:
    """Store the events in files of JSON lines or OTLP JSON.

    The file `-` is standard input. A line is an event, or OTLP JSON as OpenTelemetry's collector writes it. A file may
    also be one OTLP request over many lines, or a trace downloaded from Jaeger. Unusable lines and spans are reported
    and skipped, and the exit status is 1. Importing a file again changes nothing.
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
    """Yield each event of a file as (position, event), and each unusable line as (position, reason)."""
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
    for position, document in _documents(file):
        if isinstance(document, str):
            yield position, document
            continue
        spans = events_of_spans(document)
        if spans is not None:
            yield from ((f"{position}: {place}" if place else position, found) for place, found in spans)
            continue
        try:
            yield position, parse_event(document)
        except EventError as error:
            yield position, str(error)


def _documents(file: BinaryIO) -> Iterator[tuple[str, bytes | str]]:
    """Yield (position, line), or the whole file if it is one JSON object of spans over many lines.

    A `str` in place of bytes is the reason why a line cannot be read.
    """
    is_first = True
    for number, (line, size) in enumerate(bounded_lines(file, _LONGEST), start=1):
        document = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if size > _LONGEST:
            yield f":{number}", f"a line of {size:,} bytes: at most {_LONGEST:,} are read"
        elif is_first and _OPENING.fullmatch(document) and not _is_json(document):
            yield from _spread(document, number, file)
            return
        elif document:
            yield f":{number}", document
        is_first = is_first and not document


def _spread(opening: bytes, first: int, file: BinaryIO) -> Iterator[tuple[str, bytes | str]]:
    """Yield a file that begins like one JSON object over many lines. If it is not JSON, yield its lines."""
    text = opening + b"\n" + file.read(_LONGEST)
    if file.read(1):
        yield "", f"a JSON object of more than {_LONGEST:,} bytes: write one object in each line"
    elif _is_json(text):
        yield "", text
    else:
        lines = enumerate(text.split(b"\n"), start=first)
        yield from ((f":{number}", line.strip()) for number, line in lines if line.strip())


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except UNREADABLE:
        return False
    return True


@click.command()
@trace_arguments
@click.option("--otlp", is_flag=True, help="Print OTLP JSON for Jaeger, Tempo or OpenTelemetry's collector.")
@store_option
@one_line_errors
def export(trace_ids: tuple[str, ...], otlp: bool, store_url: str | None) -> None:
    """Print traces as JSON lines for `import`. Without TRACE_ID, print all traces.

    By default each line is a stored document, in order of time. With --otlp each line is an OTLP request. A large trace
    needs several requests.
    """
    left_out = 0
    with opened_store(store_url) as store:
        if trace_ids:
            traces = (fetched(store, one) for one in trace_ids)
        else:
            traces = (store.fetch_trace(one) for one in _all_ids(store))
        for found in traces:
            for bad in found.malformed:
                click.echo(f"sagatrace: document {inert(bad.document_id)} left out: {inert(bad.fault, 500)}", err=True)
            left_out += len(found.malformed) + (_print_otlp(found) if otlp else _print(found))
    if left_out:
        sys.exit(Exit.FAILED)


def _all_ids(store: EventStore) -> Iterator[str]:
    """Yield the id of each trace, newest first. Later pages may repeat a trace with older events; skip it."""
    seen: set[str] = set()
    search = Search(limit=_PAGE)
    while hits := store.search(search):
        yield from (hit.trace_id for hit in hits if hit.trace_id not in seen)
        seen.update(hit.trace_id for hit in hits)
        search = search.after(hits[-1])


def _print(found: FetchedTrace) -> int:
    for event in sorted(found.events, key=lambda event: (event.micros, event.id)):
        click.echo(json_line(event))
    return 0


def _print_otlp(found: FetchedTrace) -> int:
    """Print the trace. Return the number of events that cannot be exported."""
    trace = folded(found)
    for line in otlp_lines(trace, found.events):
        click.echo(_escaped_line(line))
    lost = len(found.events) - trace.event_count
    if lost:
        events = f"{plural(lost, 'event')} of trace {inert(found.trace_id, 255)} left out"
        click.echo(f"sagatrace: {events}: not within the years 1 to 9999", err=True)
    return lost


def json_line(event: TraceEvent) -> str:
    """Return the stored document in one line, without characters that a terminal acts on."""
    return _escaped_line(encode_event(event))


def _escaped_line(line: bytes) -> str:
    return _RISKY.sub(_escaped, line.decode())


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
