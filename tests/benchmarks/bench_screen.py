"""The cost of the app in a real terminal, beside a Textual hello world and Textual's own Tree, in one run.

    python tests/benchmarks/bench_screen.py [--store sqlite|cosmos] [SPANS …]

Without sizes: 20, 1 000, 10 000 and 100 000 spans, 120×40, true colour. Start is from exec to the bytes waited for, the
programs in turns. A key is from the write to the last byte of the answer. `× own` is the ratio of the bytes sent to
those of the changed cells alone: for each run of them its place, then their colours and signs. All programs
run from bytecode, as after an installation.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import select
import statistics
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

import sagatrace
import sagatrace_tui
from cosmos_server import CosmosAccount, running_cosmos
from pty_terminal import PtyTerminal
from sagas import failed
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import open_store
from sagatrace.timestamps import utc_timestamp

SIZES = (20, 1_000, 10_000, 100_000)
MANY = 30_000
"""Spans from which on a trace takes long enough to open to press keys meanwhile."""
ROUNDS = 9
ANSWER = 1.0
"""Seconds after which a key counts as without an effect, as at the end of the rows."""
START = datetime(2025, 12, 22, 10, 0, 0, tzinfo=UTC)
DOWN, UP, PAGE = "\x1b[B", "\x1b[A", "\x1b[6~"
FIRST_LEAF = "job 000001"

HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("hello world")
Hello().run()
"""
TREE = """
import sys
from textual.app import App
from textual.widgets import Tree
class Shows(App):
    def compose(self):
        tree = Tree("the root")
        tree.show_root = True
        node = tree.root
        for number in range(int(sys.argv[1]) - 1):
            if number % 20 == 0:
                node = tree.root.add(f"stage:{number:06} running", expand=True)
            else:
                node.add_leaf(f"job {number:06} success")
        tree.root.expand()
        yield tree
    def on_mount(self):
        self.query_one(Tree).focus()
Shows().run()
"""


def events(spans: int) -> Iterator[TraceEvent]:
    """Return a trace of that many spans in stages of twenty, with different names and without failures."""
    yield _event("root", "workflow:load:started", 0.0, None)
    stage = "root"
    for number in range(spans - 1):
        at = number / 100
        if number % 20 == 0:
            stage = f"stage-{number:06}"
            yield _event(stage, f"stage:{number:06}:started", at, "root")
            yield _event(stage, f"stage:{number:06}:completed", at + 0.2, "root")
        else:
            yield _event(f"job-{number:06}", f"job {number:06}:started", at, stage)
            yield _event(f"job-{number:06}", f"job {number:06}:completed", at + 0.009, stage)
    yield _event("root", "workflow:load:completed", spans / 100 + 1, None)


def _event(span_id: str, event_type: str, at: float, parent: str | None) -> TraceEvent:
    return new_event(
        trace_id="load",
        span_id=span_id,
        event_type=event_type,
        parent_span_id=parent,
        timestamp=utc_timestamp(START + timedelta(seconds=at)),
        id=f"{span_id}-{event_type.rpartition(':')[2]}",
        data={"job_id": span_id, "queue": "loans", "worker": "worker-1.host-7"},
    )


@dataclass(frozen=True)
class Program:
    """A program to run, with its environment."""

    argv: Sequence[str]
    env: Mapping[str, str]

    def in_terminal(self) -> PtyTerminal:
        return PtyTerminal(self.argv, env=self.env)


class Stores:
    """New stores of one kind, and the app's command line for each."""

    def __init__(self, directory: str, account: CosmosAccount | None) -> None:
        self._directory, self._account = directory, account

    def showing(self, name: str, given: Iterator[TraceEvent] | list[TraceEvent], *arguments: str) -> Program:
        """Return the app's program for a store with these events."""
        env = {} if self._account is None else self._account.environment()
        os.environ.update(env)
        if self._account is None:
            url = f"sqlite:///{self._directory}/{name}.db"
        else:
            from sagatrace.stores.cosmos.provisioning import provision

            address = self._account.address(container=name)
            provision(address, max_wait=30.0)
            url = f"cosmos://{address.host}/{address.database}/{address.container}"
        store = open_store(url, max_wait=600.0)
        store.append(given)
        store.close()
        return Program([sys.executable, "-m", "sagatrace_tui", "--store", url, *arguments], env)


@contextmanager
def stores(kind: str, directory: str) -> Iterator[Stores]:
    """Yield stores of that kind, with the server they need."""
    if kind == "sqlite":
        yield Stores(directory, None)
        return
    with running_cosmos() as account:
        yield Stores(directory, account)


def start(programs: Mapping[str, tuple[Program, str]]) -> None:
    """Measure the start of each program until its expected bytes, in turns. The first is the reference."""
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(ROUNDS + 1):
        for name, (program, shown) in programs.items():
            with program.in_terminal() as terminal:
                took = _seconds_until(terminal, shown)
            if number:  # in the first round files come from the disk
                taken[name].append(took)
    base = statistics.median(next(iter(taken.values())))
    for name, times in taken.items():
        middle = statistics.median(times)
        print(f"{name:<34} {middle * 1000:6.0f} ms   {middle / base:.2f} × hello world", flush=True)


def _seconds_until(terminal: PtyTerminal, shown: str) -> float:
    while shown.encode() not in terminal.raw:
        terminal.raw += os.read(terminal.ours, 1 << 16)
        assert time.perf_counter() - terminal.began < 60, bytes(terminal.raw[-2000:])
    return time.perf_counter() - terminal.began


@dataclass(frozen=True)
class Key:
    """The answer to one key: milliseconds, bytes, and the bytes of the changed cells alone."""

    took: float
    size: int
    own: int


@dataclass(frozen=True)
class Measured:
    """The result of one program with one trace: milliseconds, megabytes, and its keys."""

    shown: float
    memory: float
    inside: list[Key]
    scrolls: list[Key]
    pages: list[Key]

    def line(self) -> str:
        keys = f"{_told(self.inside)}   {_told(self.scrolls, own=True)}   {_told(self.pages, own=True)}"
        return f"{self.shown:7.0f} ms   {keys}   {self.memory:4.0f} MB"


def measure(program: Program, keys: int = 40) -> Measured:
    """Measure start, keys inside the screen, keys that scroll, pages and memory."""
    starts = []
    for _ in range(3):
        with program.in_terminal() as terminal:
            starts.append(_seconds_until(terminal, FIRST_LEAF))
    with program.in_terminal() as terminal:
        terminal.until(FIRST_LEAF, timeout=60)
        terminal.read(quiet=0.5)
        inside = _keys(terminal, [DOWN, UP] * (keys // 2))
        _keys(terminal, [DOWN] * 45)
        scrolls = _keys(terminal, [DOWN] * keys)
        pages = _keys(terminal, [PAGE] * 10)
        memory = psutil.Process(terminal.process.pid).memory_info().rss / 1e6
    return Measured(statistics.median(starts) * 1000, memory, inside, scrolls, pages)


def _keys(terminal: PtyTerminal, keys: list[str]) -> list[Key]:
    """Return the answers to the keys. Stop after a key without effect, at the end of the rows."""
    found: list[Key] = []
    while len(found) < len(keys) and (not found or found[-1].size):
        found.append(_key(terminal, keys[len(found)]))
    return found


def _key(terminal: PtyTerminal, key: str) -> Key:
    before = [list(row) for row in terminal.cells]
    began = time.perf_counter()
    terminal.send(key)
    select.select([terminal.ours], [], [], ANSWER)
    waited = time.perf_counter() - began
    got, took = terminal.read()
    took = waited + took if got else 0.0
    rows = enumerate(zip(before, terminal.cells, strict=True))
    return Key(took * 1000, len(got), sum(_own(y, was, now) for y, (was, now) in rows))


def _own(y: int, was: list[Any], now: list[Any]) -> int:
    """Return the bytes for the changed cells of a row, sent from the left without others."""
    sent, style = "", None
    for x, (old, new) in enumerate(zip(was, now, strict=True)):
        if old == new:
            style = None
            continue
        if style is None:
            sent += f"\x1b[{y + 1};{x + 1}H"
        if style != (new.fg, new.bg, new.bold, new.reverse):
            style = (new.fg, new.bg, new.bold, new.reverse)
            sent += f"\x1b[{_color(38, new.fg)};{_color(48, new.bg)}m"
        sent += new.data
    return len(sent.encode())


def _color(code: int, color: str) -> str:
    """Return the sequence for a 24-bit colour in pyte's notation."""
    if not re.fullmatch("[0-9a-f]{6}", color):
        return str(code + 1)
    return f"{code};2;{int(color[:2], 16)};{int(color[2:4], 16)};{int(color[4:], 16)}"


def _told(found: list[Key], *, own: bool = False) -> str:
    times = sorted(key.took for key in found)
    size = statistics.median(key.size for key in found)
    text = f"{statistics.median(times):5.1f} / {times[int(len(times) * 0.95)]:5.1f} ms {size:6.0f} B"
    changed = [key.size / key.own for key in found if key.own]
    return f"{text} {statistics.median(changed) if changed else 0:5.1f} × own" if own else text


def stalls(program: Program) -> tuple[float, float, int]:
    """Return the longest answer to a key while a trace opens and while it scrolls (ms), and the number of keys."""
    with program.in_terminal() as terminal:
        terminal.until("reading")
        terminal.press("/", "names, ids, errors, data")
        opening: list[float] = []
        while FIRST_LEAF not in terminal.text:
            # No key takes back the one before: two in one frame would have no answer, and look like a stall.
            opening.append(_answered(terminal, "xy"[len(opening) % 2]))
        terminal.send("\r")
        terminal.read(quiet=0.5)
        scrolling = [_answered(terminal, key) for key in [DOWN] * 60 + [PAGE] * 30 + ["G", "g", "-", "=", "G", "g"]]
    return max(opening, default=0.0), max(scrolling), len(opening) + len(scrolling)


def _answered(terminal: PtyTerminal, key: str) -> float:
    threading.Event().wait(0.01)  # keys of a person, who does not type into the middle of an answer
    began = time.perf_counter()
    terminal.send(key)
    ready, _, _ = select.select([terminal.ours], [], [], 10.0)
    assert ready, f"{key!r} was never answered:\n{terminal.text}"
    took = time.perf_counter() - began
    terminal.read(quiet=0.012)
    return took * 1000


def ratios(found: Mapping[int, Measured]) -> None:
    """Print the ratios that must not depend on the size of the trace."""
    for name in ("inside", "scrolls", "pages"):
        # Where all spans fit on the screen nothing scrolls.
        sizes = [size for size in found if all(key.size for key in getattr(found[size], name))]
        if not sizes:
            print(f"{name + ':':<9} no size at which each key was answered", flush=True)
            continue
        small, large = min(sizes), max(sizes)
        few, many = (statistics.median(key.took for key in getattr(found[size], name)) for size in (small, large))
        print(f"{name + ':':<9} a key at {large:,} spans takes {many / few:.2f} × as long as at {small:,}", flush=True)


def main() -> None:
    """Print the tables. Key columns are median / 95th percentile, and median bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "cosmos"), default="sqlite")
    parser.add_argument("sizes", metavar="SPANS", type=int, nargs="*", default=SIZES)
    asked = parser.parse_args()
    # pip does this when it installs, other installers do not.
    for directory in (sysconfig.get_path("purelib"), *sagatrace.__path__, *sagatrace_tui.__path__):
        compileall.compile_dir(directory, quiet=2, workers=0)
    with tempfile.TemporaryDirectory() as directory, stores(asked.store, directory) as kept:
        for name, text in (("hello", HELLO), ("tree", TREE)):
            (Path(directory) / f"{name}.py").write_text(text)
        sagas = kept.showing("sagas", [one for n in range(30) for one in failed(f"loan-{n}", n)])
        traces = {size: kept.showing(f"load-{size}", events(size), "load") for size in asked.sizes}
        one_saga = Program([*sagas.argv, "loan-7"], sagas.env)
        start(
            {
                "hello world": (Program([sys.executable, f"{directory}/hello.py"], {}), "hello world"),
                "list: first frame": (sagas, "sagatrace"),
                "list: its newest traces": (sagas, "rollback incomplete"),
                "trace: first frame": (one_saga, "loan-7"),
                "trace: the cause, no key pressed": (one_saga, "CAUSE"),
                **{f"trace of {size:,} spans: its rows": (traces[size], FIRST_LEAF) for size in traces},
            }
        )
        found: dict[int, Measured] = {}
        for size, program in traces.items():
            found[size] = measure(program)
            print(f"sagatrace {size:<12,} {found[size].line()}", flush=True)
            tree = Program([sys.executable, f"{directory}/tree.py", str(size)], {})
            print(f"Textual Tree {size:<9,} {measure(tree).line()}", flush=True)
            if size < MANY:
                continue
            opening, scrolling, keys = stalls(program)
            longest = f"opening {opening:.0f} ms, scrolling {scrolling:.0f} ms, of {keys} keys"
            print(f"  longest answer to a key: {longest}", flush=True)
        ratios(found)


if __name__ == "__main__":
    main()
