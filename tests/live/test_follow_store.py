"""Traces followed line by line: a flood arrives in parts, without repetitions, and silence ends a trace."""

from __future__ import annotations

import itertools

from msgspec.structs import replace

from sagas import NOW, event, running
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.live.tail import follow_store, follow_trace


def test_each_part_of_a_flood_is_returned_before_the_next_is_read() -> None:
    store = MemoryStore()
    steps = follow_store(store, None)
    next(steps)
    given = [event(f"T{n % 7}", "S", "stage:x:started", n, id=f"E{n}") for n in range(2_500)]
    store.append(given)
    first = next(steps)
    assert len(first.events) == 1_000
    assert first.status.every >= 1.0, "longer where a reading takes longer"
    assert replace(first.status, every=1.0).words == "polling every 1 s"
    store.append([event("T1", "S", "stage:x:started", 3_000, id="later")])
    received = [*first.events]
    for step in itertools.islice(steps, 2):
        assert 0 < len(step.events) <= 1_000
        received += step.events
    assert {one.id for one in received} == {f"E{number}" for number in range(2_500)} | {"later"}
    assert len(received) == 2_501
    assert next(steps).events == ()
    steps.close()


def test_silence_ends_a_followed_trace() -> None:
    now = NOW
    store = MemoryStore()
    store.append(running("T", 70))
    steps = follow_trace(store, "T", None, lambda: now)
    first = next(steps)
    assert first.trace is not None
    assert first.trace.status == "running"
    store.append([event("T", "x", "stage:x:started", 72, "wf")])
    second = next(step for step in steps if step.events)
    assert second.trace is not None
    assert (second.trace.event_count, first.trace.event_count) == (3, 2)
    now += 3_600_000_000
    *_, ended = steps
    assert ended.trace is not None
    assert ended.trace.status != "running"
