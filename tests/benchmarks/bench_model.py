"""The time from a trace's bytes to its verdict and to all its lists, compared with decoding alone.

    python tests/benchmarks/bench_model.py [EVENTS …]      default 20 1000 10000 100000

Every round times all candidates one after the other, so that noise affects all equally. Medians are printed.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.stores import decode_documents
from sagatrace_tui.collector import CollectorPaused
from sagatrace_tui.model import Trace, build_trace
from sagatrace_tui.model.fold import fold_events
from sagatrace_tui.model.tree import SpanTree

Rows = list[tuple[str, bytes]]  # of (id, document), as a store keeps them

START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
LATER = 2 * START


def stamp(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    clock = time.gmtime(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', clock)}.{fraction:06}Z"


class Writer:
    """Makes events as RQ workers write them: about 400 bytes each, ids sorted by time."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.at = START
        self.events: list[TraceEvent] = []

    def write(self, span_id: str, event_type: str, parent: str | None, status: Any = None, **data: Any) -> TraceEvent:
        self.at += self.random.randrange(50, 900)
        millis, rest = divmod(self.at, 1000)
        event_id = f"{millis:012x}-{rest:03x}-{self.random.getrandbits(64):016x}"
        event = new_event(
            id=f"{event_id[:8]}-{event_id[8:]}", trace_id="loan-L1", span_id=span_id, parent_span_id=parent,
            event_type=event_type, timestamp=stamp(self.at), status=status, data=data, tags=["eu"],
        )  # fmt: skip
        self.events.append(event)
        return event

    def new_span(self) -> str:
        return f"{self.random.getrandbits(128):032x}"


def place(span_id: str, number: int) -> dict[str, Any]:
    return {
        "job_id": span_id, "job_name": f"app.loans.jobs.step_{number % 40}", "queue": "loans", "attempt": 1,
        "worker": "worker-7f3a.eu-west.example.4711",
    }  # fmt: skip


def saga_of(events: int, *, undo: bool = False) -> Writer:
    """Return stages of ten jobs. One job in a hundred fails with its stage. With `undo`, every stage is undone."""
    writer = Writer()
    root = writer.new_span()
    writer.write(root, "workflow:loan:started", None, workflow_id="loan-approval")
    stages: list[str] = []
    while len(writer.events) < events * (0.9 if undo else 1) - 1:
        stage = writer.new_span()
        stages.append(stage)
        writer.write(stage, f"stage:s{len(stages) % 20}:started", root, compensation="undo_stage", note="x" * 80)
        jobs = [writer.new_span() for _ in range(10)]
        for number, job in enumerate(jobs):
            writer.write(job, "job:started", stage, **place(job, number), enqueued_at=stamp(writer.at))
        for number, job in enumerate(jobs):
            if writer.random.random() < 0.01:
                fault = {"error": "balance 1200 < 25000", "error_type": "InsufficientFunds", "stack": "y" * 300}
                writer.write(job, "job:failed", stage, "failed", **place(job, number), **fault)
            else:
                writer.write(job, "job:completed", stage, "success", **place(job, number), note="z" * 60)
        writer.write(stage, f"stage:s{len(stages) % 20}:completed", root, "success", note="x" * 80)
    writer.write(root, "workflow:loan:failed", None, "failed", error="customer withdrew", error_type="Withdrawn")
    for stage in reversed(stages) if undo else ():
        unit = writer.new_span()
        writer.write(unit, "undo_stage:compensating", root, original_span_id=stage, reason="customer withdrew")
        writer.write(unit, "undo_stage:compensated", root, "success", note="x" * 80)
    return writer


def chain_of(events: int) -> list[TraceEvent]:
    """Return a chain of spans, each the child of the previous one. The deepest fails, and then all above it."""
    writer, spans = Writer(), [f"{number:032x}" for number in range(events // 2)]
    for number, span in enumerate(spans):
        parent = spans[number - 1] if number else None
        writer.write(span, "job:started", parent, **place(span, number), compensation="undo")
    for number, span in reversed(list(enumerate(spans))):
        writer.write(span, "job:failed", spans[number - 1] if number else None, "failed", error="no", error_type="No")
    return writer.events


def rows_of(events: Iterable[TraceEvent]) -> Rows:
    return [(event.id, encode_event(event)) for event in events]


def as_stored(rows: Rows) -> Rows:
    """Return the rows in the order of a store, into which eight shippers write in turn."""
    shippers: list[Rows] = [[] for _ in range(8)]
    stored, rnd = list[tuple[str, bytes]](), random.Random(2)
    for row in rows:
        shipper = rnd.choice(shippers)
        shipper.append(row)
        if rnd.random() < 0.02:
            stored += shipper
            shipper.clear()
    return stored + [row for shipper in shippers for row in shipper]


def once(work: Callable[[], object]) -> float:
    with CollectorPaused():  # for all alike: a reader of a trace pauses the collector
        began = time.perf_counter()
        kept = work()
        took = time.perf_counter() - began
    del kept
    return took


def decoded(rows: Rows) -> list[TraceEvent]:
    """Return the events of the rows, decoded by the function that every store uses."""
    events, malformed = decode_documents(rows)
    assert not malformed
    return events


def judged(rows: Rows) -> Trace:
    trace = build_trace("loan-L1", decoded(rows), now=LATER)
    assert trace.verdict
    return trace


def in_a_tree(rows: Rows) -> SpanTree:
    fold = fold_events(decoded(rows))
    return SpanTree(fold.spans, fold.unplaced)


def with_lists(rows: Rows) -> Trace:
    trace = judged(rows)
    assert trace.summary
    assert trace.anomalies is not None
    assert trace.compensations is not None
    assert trace.roles is not None
    return trace


DECODER = msgspec.json.Decoder(TraceEvent)
DECODING = "bytes → events: decoding, as every reader does it"


def opening(events: int) -> None:
    for title, writer in (
        ("jobs, one in a hundred fails", saga_of(events)),
        ("every stage undone", saga_of(events, undo=True)),
    ):
        rows = rows_of(writer.events)
        shuffled = as_stored(rows)
        lines = b"\n".join(document for _, document in rows)
        size = len(lines) / len(rows)
        print(f"\n{title}: {len(rows):,} events of {size:.0f} bytes; {judged(rows).summary[:100]}")
        candidates: dict[str, Callable[[], object]] = {
            DECODING: lambda rows=rows: decoded(rows),
            "msgspec alone, JSON lines, no time checked": lambda lines=lines: DECODER.decode_lines(lines),
            "bytes → spans in a tree": lambda rows=rows: in_a_tree(rows),
            "bytes → verdict": lambda rows=rows: judged(rows),
            "the same, in the order eight workers stored it": lambda shuffled=shuffled: judged(shuffled),
            "bytes → verdict, sentence and all lists": lambda rows=rows: with_lists(rows),
        }
        times: dict[str, list[float]] = {name: [] for name in candidates}
        ratios: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(rounds_for(events)):
            took = {name: once(work) for name, work in candidates.items()}
            floor = took[DECODING]
            for name, seconds in took.items():
                times[name].append(seconds)
                ratios[name].append(seconds / floor)
        for name in candidates:
            middle, ratio = statistics.median(times[name]), statistics.median(ratios[name])
            print(f"  {name:48} {middle * 1000:9.3f} ms   {middle / len(rows) * 1e6:6.2f} µs/event   {ratio:5.2f} ×")


def rounds_for(events: int) -> int:
    return max(9, min(2_000, 200_000 // events))


def chains() -> None:
    print("\na chain of spans, every one failed, bytes → verdict and all lists")
    for events in (2_000, 20_000, 200_000):
        rows = rows_of(chain_of(events))
        trace = with_lists(rows)
        assert len(trace.failure_path) == events // 2 == sum(1 for _ in trace.walk())
        cost = statistics.median(once(lambda rows=rows: with_lists(rows)) for _ in range(5)) / len(rows) * 1e6
        print(f"  {events // 2:8,} deep   {cost:6.2f} µs/event")


def main() -> None:
    gc.collect()
    for events in map(int, sys.argv[1:]) if len(sys.argv) > 1 else (20, 1_000, 10_000, 100_000):
        opening(events)
    chains()


if __name__ == "__main__":
    main()
