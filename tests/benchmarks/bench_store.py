"""The cost of an event for a job, and of a trace for its reader, with the SQLite store.

    python tests/benchmarks/bench_store.py

Promises: under 10 ms for each event, under 100 ms for a trace. Prints the median and the
99th percentile, each beside the same write without tracing: one JSON line appended to a file.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sagatrace import TraceContext, Tracer
from sagatrace.stores.sqlite import SqliteStore
from sagatrace_tui.model import build_trace

ROUNDS = 2000


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def show(name: str, times: list[float], base: float) -> None:
    middle = statistics.median(times)
    print(f"{name:44} median {middle:8.3f} ms   p99 {times[int(len(times) * 0.99)]:8.3f} ms   {middle / base:6.1f} ×")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = os.open(Path(directory) / "plain", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        line = b"x" * 300 + b"\n"
        plain = timed(lambda: os.write(file, line))
        base = statistics.median(plain)
        store = SqliteStore(Path(directory) / "traces.db")
        tracer = Tracer(store)
        trace = TraceContext("T")
        data = {"job_name": "credit-check", "loan_id": "L123", "note": "x" * 90}

        def emit_and_close() -> None:
            tracer.emit("ai:decision", trace, data=data)
            store.close()

        show("append one line to a file", plain, base)
        show("emit, connection open", timed(lambda: tracer.emit("ai:decision", trace, data=data)), base)
        show("emit, connection opened and closed for it", timed(emit_and_close, 300), base)
        for number in range(50):
            for step in range(10):
                with tracer.span(f"stage:{step}", TraceContext(f"T{number}"), data=data):
                    pass
        reader = SqliteStore(Path(directory) / "traces.db", read_only=True)
        now = time.time_ns() // 1000
        show("fetch a trace of 20 events", timed(lambda: reader.fetch_trace("T25")), base)
        show("fetch and fold it", timed(lambda: build_trace("T25", reader.fetch_trace("T25").events, now=now)), base)
        print(f"events lost: {dict(tracer.lost)}")
        reader.close()
        store.close()


if __name__ == "__main__":
    main()
