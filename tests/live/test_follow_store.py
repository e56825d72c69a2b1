"""All traces of a store, followed line by line: a flood comes in parts, and nothing of it twice."""

from __future__ import annotations

import itertools

from sagas import event
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.live import follow_store


def test_of_a_flood_each_part_is_told_before_the_next_is_read() -> None:
    store = MemoryStore()
    steps = follow_store(store, None)
    next(steps)
    given = [event(f"T{n % 7}", "S", "stage:x:started", n, id=f"E{n}") for n in range(2_500)]
    store.append(given)
    first = next(steps)
    assert len(first.events) == 1_000
    assert first.status.words == "polling every 1 s"
    store.append([event("T1", "S", "stage:x:started", 3_000, id="later")])
    told = [*first.events]
    for step in itertools.islice(steps, 2):
        assert 0 < len(step.events) <= 1_000
        told += step.events
    assert {one.id for one in told} == {f"E{number}" for number in range(2_500)} | {"later"}
    assert len(told) == 2_501
    assert next(steps).events == ()
    steps.close()
