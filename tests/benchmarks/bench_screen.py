"""What the app costs in a real terminal, beside a Textual hello world and Textual's own Tree, in one run.

    python tests/benchmarks/bench_screen.py [SPANS …]

Start is from exec to what was waited for; a key is from the write to the last byte of the answer. A tree of spans is
20, 1 000, 10 000 and 100 000 spans, 120×40, true colour.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from pty_terminal import PtyTerminal
from sagatrace.events import TraceEvent, new_event, utc_timestamp
from sagatrace.stores import open_store

SIZES = (20, 1_000, 10_000, 100_000)
START = datetime(2025, 12, 22, 10, 0, 0, tzinfo=UTC)
DOWN, UP, PAGE = "\x1b[B", "\x1b[A", "\x1b[6~"

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
    """A trace of that many spans in stages of twenty, no two names alike next to each other, none of them failed."""
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


def measure(name: str, argv: list[str], shown: str, keys: int = 40) -> None:
    """Start, keys inside the screen, keys that scroll, pages, memory; one line."""
    starts = []
    for _ in range(3):
        with PtyTerminal(argv) as terminal:
            while shown not in terminal.text:
                terminal.read(quiet=0.002, limit=0.05)
                assert time.perf_counter() - terminal.began < 60, terminal.text
            starts.append(time.perf_counter() - terminal.began)
    with PtyTerminal(argv) as terminal:
        terminal.until(shown, timeout=60)
        terminal.read(quiet=0.5)
        inside = [_key(terminal, DOWN if number % 2 == 0 else UP) for number in range(keys)]
        for _ in range(45):
            _key(terminal, DOWN)
        scrolls = [_key(terminal, DOWN) for _ in range(keys)]
        pages = [_key(terminal, PAGE) for _ in range(10)]
        memory = psutil.Process(terminal.process.pid).memory_info().rss / 1e6
    print(
        f"{name:<22} start {statistics.median(starts) * 1000:6.0f} ms   inside {_told(inside)}   "
        f"scroll {_told(scrolls)}   page {_told(pages)}   {memory:4.0f} MB",
        flush=True,
    )


def _key(terminal: PtyTerminal, key: str) -> tuple[float, int]:
    terminal.send(key)
    got, took = terminal.read()
    return took * 1000, len(got)


def _told(found: list[tuple[float, int]]) -> str:
    times = sorted(took for took, _ in found)
    size = statistics.median(size for _, size in found)
    return f"{statistics.median(times):5.1f} / {times[int(len(times) * 0.95)]:5.1f} ms {size:6.0f} B"


def main() -> None:
    """Print the table; key columns are median / 95th percentile, and median bytes."""
    sizes = [int(argument) for argument in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as directory:
        hello = Path(directory) / "hello.py"
        hello.write_text(HELLO)
        tree = Path(directory) / "tree.py"
        tree.write_text(TREE)
        measure("hello world", [sys.executable, str(hello)], "hello world", keys=4)
        for size in sizes:
            url = f"sqlite:///{directory}/load-{size}.db"
            store = open_store(url)
            store.append(events(size))
            store.close()
            measure(
                f"sagatrace {size:,}", [sys.executable, "-m", "sagatrace_tui", "--store", url, "load"], "job 000001"
            )
            measure(f"Textual Tree {size:,}", [sys.executable, str(tree), str(size)], "job 000001")


if __name__ == "__main__":
    main()
