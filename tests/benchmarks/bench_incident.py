"""A window of traces from an SQLite file: the list, the groups of failures, and the standing steps.

    python tests/benchmarks/bench_incident.py [TRACES]              default 10000, of 20 events each
    python tests/benchmarks/bench_incident.py --cosmos [TRACES]     default 1000, on the test server

Prints the time until the first rows and until all rows, beside a plain read and decode of the same events. Then the app
in a real terminal reads the same window while keys are pressed. The time of a key is from its write to the bytes that
move the cursor. On Cosmos DB, requests and documents are counted.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import resource
import select
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from cosmos_server import running_cosmos
from counting_proxy import counting
from pty_terminal import PtyTerminal
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import decode_documents, open_store
from sagatrace.stores.cosmos.cursor import LAG
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace.stores.sqlite import SqliteStore
from sagatrace.timestamps import utc_timestamp
from sagatrace_tui.incident.failure_groups import failure_groups
from sagatrace_tui.incident.query import Query
from sagatrace_tui.incident.standing_steps import standing_steps
from sagatrace_tui.live.list_feed import WHOLE, ListFeed
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.live.window import read_rows

DAY = 86_400_000_000
ERRORS = [
    ("AccountClosedError", "account {} is closed"),
    ("TimeoutError", "no answer within {} s"),
    ("LoanError", "a loan of {} is refused"),
    ("HTTPError", "HTTP 503 from https://bureau-{}.example.com"),
]


def saga(number: int, at: int, rnd: random.Random) -> Iterator[TraceEvent]:
    """Yield the events of a loan saga that ends at a time. One in ten fails. Half of these leave a step standing."""
    trace_id, fails, stands = f"loan-{number:06}", number % 10 == 0, number % 20 == 0
    steps = ["validate", "credit", "insurance", "funding", "disbursement", "notify", "archive"]
    clock = at - 5_000_000

    def event(span: str, kind: str, parent: str | None, **data: object) -> TraceEvent:
        nonlocal clock
        clock += rnd.randrange(1_000, 400_000)
        return new_event(
            id=f"{trace_id}-{clock}", trace_id=trace_id, span_id=f"{trace_id}-{span}", event_type=kind,
            parent_span_id=None if parent is None else f"{trace_id}-{parent}", timestamp=stamp(clock),
            data={"host": "web-1", "note": "x" * 200, **data},
        )  # fmt: skip

    yield event("job", "job:started", None, job_name="app.loans.approve_loan", queue="sagas")
    yield event("saga", "workflow:loan-approval:started", "job", workflow_id="loan-approval", loan_id=f"L{number}")
    done = steps[:5] if fails else steps
    for name in done:
        yield event(name, f"stage:{name}:started", "saga", compensation=f"undo_{name}")
        if name == done[-1] and fails:
            kind, text = rnd.choice(ERRORS)
            error = {"error": text.format(rnd.randrange(10**6)), "error_type": kind}
            yield event(name, f"stage:{name}:failed", "saga", **error)
        else:
            yield event(name, f"stage:{name}:completed", "saga")
    if fails:
        for name in done[-2:1:-1] if stands else done[-2::-1]:
            yield event(f"undo-{name}", f"undo_{name}:compensating", "saga", original_span_id=f"{trace_id}-{name}")
            yield event(f"undo-{name}", f"undo_{name}:compensated", "saga")
    end = "failed" if fails else "completed"
    yield event("saga", f"workflow:loan-approval:{end}", "job")
    yield event("job", f"job:{end}", None)


def stamp(micros: int) -> str:
    return utc_timestamp(datetime.fromtimestamp(micros / 1_000_000, UTC))


def fill(path: Path, traces: int, now: int) -> None:
    """Write the traces, in a separate process whose memory does not count."""
    rnd, batch = random.Random(1), list[TraceEvent]()
    with closing(SqliteStore(path)) as store:
        for number in range(traces):
            batch.extend(saga(number, now - (traces - number) * (DAY // 2 // traces), rnd))
            if len(batch) > 20_000 or number == traces - 1:
                store.append(batch)
                batch.clear()


def memory() -> float:
    """Return the peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_window(feed: ListFeed) -> tuple[Listing, float, float]:
    """Return the list of the whole window, and the seconds until its first rows and until all rows."""
    began, first, wishes = time.perf_counter(), 0.0, frozenset[str]()
    while True:
        for listing in feed.read(wishes):
            if not first and any(row.verdict for row in listing.rows):
                first = time.perf_counter() - began
            if listing.whole:
                return listing, first, time.perf_counter() - began
        wishes = frozenset({WHOLE})


def floor_of(path: Path) -> float:
    """Return the seconds for reading and decoding all events, which every reader needs at least."""
    began = time.perf_counter()
    with closing(sqlite3.connect(path)) as connection:
        decode_documents(connection.execute("SELECT id, CAST(document AS BLOB) FROM event").fetchall())
    return time.perf_counter() - began


def moved(terminal: PtyTerminal) -> float | None:
    """Press down in the first row, or else up. Return the milliseconds until the cursor moves; None if it does not."""

    def cursor() -> list[int]:
        return [y for y, row in enumerate(terminal.cells) if row[0].data == "▌"]

    before, began = cursor(), time.perf_counter()
    terminal.send("\x1b[B" if before == [3] else "\x1b[A")
    while time.perf_counter() - began < 10.0:
        if not select.select([terminal.ours], [], [], 1.0)[0]:
            return None
        data = os.read(terminal.ours, 1 << 16)
        took = time.perf_counter() - began
        terminal.show(data)
        if cursor() != before and cursor():
            return took * 1000
    raise AssertionError(f"A key was never answered:\n{terminal.text}")


def keys_while_reading(url: str, view: str) -> None:
    """Print the time of keys while the app reads the window, the time of that reading, and the app's memory."""
    argv = [sys.executable, "-m", "sagatrace_tui", "--store", url]
    with PtyTerminal(argv, size=(120, 40)) as terminal:
        terminal.until("loan-", "LAST")
        began = time.perf_counter()
        terminal.send("3" if view == "1" else view)
        terminal.until_true(
            lambda: re.search("reading the|the last|last 24 h", terminal.text), "the window is not read"
        )
        if view == "1":
            terminal.press("1", "LAST ▾")
        times: list[float] = []
        while "reading" in terminal.text.splitlines()[-2]:
            times += filter(None, [moved(terminal)])
            threading.Event().wait(0.03)  # a person does not type into the middle of an answer
            terminal.read(quiet=0.01, limit=0.1)
        whole = time.perf_counter() - began
        terminal.read(quiet=0.5, limit=2.0)
        calm = list(filter(None, (moved(terminal) for _ in range(40))))
        info = psutil.Process(terminal.process.pid).memory_info()
        print(f"view {view}: whole window read after {whole:.2f} s; memory {info.rss / 1e6:.0f} MB")
        for title, found in (("while reading", times), ("then", calm)):
            ordered = sorted(found) or [0.0]
            print(
                f"  {len(found)} keys {title}: median {statistics.median(ordered):.0f} ms, "
                f"95th {ordered[int(len(ordered) * 0.95)]:.0f} ms, longest {ordered[-1]:.0f} ms"
            )


def cosmos(traces: int) -> None:
    """Print the cost of reading the window from the test server, for the list and for the command."""
    now, rnd = time.time_ns() // 1000, random.Random(1)
    with running_cosmos() as account:
        direct = account.store(max_wait=60.0)
        with direct as store:
            for first in range(0, traces, 100):
                store.append(
                    one
                    for number in range(first, min(first + 100, traces))
                    for one in saga(number, now - (traces - number) * (DAY // 2 // traces), rnd)
                )
            time.sleep(LAG + 1)  # a list also reads the versions of the last minute
            with counting(account.host) as (proxy, count):
                address = account.behind(proxy.port).address(container=store.address.container)
                with closing(CosmosStore(address, max_wait=60.0)) as counted:
                    listing, first_rows, whole = read_window(ListFeed(counted, lambda: now))
                    print(f"the list: first rows after {first_rows:.2f} s, {len(listing.rows):,} after {whole:.2f} s")
                    print(f"  {count.requests} requests, {count.documents:,} documents, {count.twice} of them twice")
                    count.clear()
                    began = time.perf_counter()
                    rows = list(read_rows(counted, Query(), now, window=DAY))
                    print(f"a command: {len(rows):,} traces in {time.perf_counter() - began:.2f} s")
                    print(f"  {count.requests} requests, {count.documents:,} documents, {count.twice} of them twice")


def main() -> None:
    if sys.argv[1:2] == ["--cosmos"]:
        cosmos(int(sys.argv[2]) if len(sys.argv) > 2 else 1_000)
        return
    traces = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    now = time.time_ns() // 1000
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "traces.db"
        filling = multiprocessing.get_context("spawn").Process(target=fill, args=(path, traces, now))
        filling.start()
        filling.join()
        before = memory()
        with closing(open_store(f"sqlite:///{path}", read_only=True)) as store:
            listing, first, whole = read_window(ListFeed(store, lambda: now))
        after = memory()
        spans = sum(row.span_count for row in listing.rows)
        print(f"{traces:,} traces, {spans:,} spans, {path.stat().st_size / 2**20:.0f} MB")
        print(f"first rows after {first:.2f} s, all {len(listing.rows):,} after {whole:.2f} s")
        print(f"memory: {after:.0f} MB at most, {before:.0f} MB before")
        for title, work in (
            ("groups", lambda rows: failure_groups(rows, listing.began, now)),
            ("steps still standing", standing_steps),
        ):
            began = time.perf_counter()
            found = work(listing.rows)
            print(f"{len(found):,} {title} in {(time.perf_counter() - began) * 1000:.1f} ms")
        floor = floor_of(path)
        print(f"only reading and decoding all events: {floor:.2f} s; the list takes {whole / floor:.1f} times that")
        for view in "123":
            keys_while_reading(f"sqlite:///{path}", view)


if __name__ == "__main__":
    main()
