"""A trace read in parts, received out of order and shown at random times equals the trace read whole."""

from __future__ import annotations

import gc
import time
import tracemalloc
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sagas import NOW, UnreliableStore, event, failed, hearing, orphaned, running, still, succeeded
from sagatrace.event import TraceEvent
from sagatrace.stores import Changes, open_store
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.live.list_feed import ListFeed
from sagatrace_tui.live.partition import Partition
from sagatrace_tui.live.refresh import AFRESH, LOOK, Meter
from sagatrace_tui.live.trace_feed import OpenTrace, TraceFeed
from sagatrace_tui.model import Trace, build_trace

NOW_TOO = frozenset({LOOK})


def shown(feed: TraceFeed, wishes: frozenset[str] = frozenset()) -> OpenTrace:
    """Read, and show the result."""
    [reading] = feed.read(wishes)
    assert reading.fault is None
    return reading


POOL = [*failed("T"), *orphaned("T", 20), event("T", "gone", "stage:batch:started", 20.05, "wf")]
PRESUMED = [
    event("T", "crj", "job:abandoned", 9.0, "cre", id=one.id, status="failed", data={"presumed": True})
    for one in POOL
    if one.event_type == "job:completed"
]
STEPS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from(range(len(POOL)))),
    st.tuples(st.just("presume"), st.sampled_from(range(len(PRESUMED)))),
    st.tuples(st.just("hear"), st.sampled_from(range(len(POOL)))),
    st.tuples(st.just("look"), st.just(0)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("missed"), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_the_result_equals_the_store_for_any_order_of_events(steps: list[tuple[str, int]]) -> None:
    store = MemoryStore()
    store.append(POOL[:1])
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    for step, which in steps:
        match step:
            case "store":
                store.append([POOL[which]], replace=True)
            case "presume":
                store.append([PRESUMED[which]])
                subscriber.events.append(PRESUMED[which])  # published although the store has another event with its id
            case "hear":
                store.append([POOL[which]], replace=True)
                subscriber.events += [POOL[which]] * 2
            case "missed":
                subscriber.missed = True
            case _:
                list(feed.read(NOW_TOO if step == "look" else frozenset()))
    reading = shown(feed, NOW_TOO)
    assert reading.trace == build_trace("T", store.fetch_trace("T").events, now=NOW)
    assert reading.outline is not None
    assert reading.trace is not None
    assert len(reading.outline.ids) >= len(reading.trace.roots)
    assert reading.known == reading.trace.event_count


def _confirmed_unbuilt(first: int, second: int) -> list[tuple[tuple[str, int], bool]]:
    """Steps in which one event is published and confirmed between two buildings."""
    unbuilt = [("store", first), ("hear", first), ("look", 0)]
    return [(("store", 0), False), (("look", 0), True), *((step, False) for step in unbuilt), (("hear", second), True)]


@example(_confirmed_unbuilt(18, 15))
@example(_confirmed_unbuilt(19, 14))
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=30))
def test_every_verdict_is_that_of_the_confirmed_events(steps: list[tuple[tuple[str, int], bool]]) -> None:
    store = MemoryStore()
    partition = Partition(store, "T")
    for (step, which), is_built in steps:
        match step:
            case "store":
                store.append([POOL[which]], replace=True)
            case "presume":
                store.append([PRESUMED[which]])
            case "hear":
                partition.hear([POOL[which]])
            case "missed":
                partition.drop_unconfirmed(time.monotonic() + 60)  # none of them was found
            case _:
                partition.look(Meter(still), whole=step == "read")
        if is_built:
            confirmed = [one for one in partition.events if one.id not in partition.unconfirmed]
            trace, sure = partition.build_trace(NOW), build_trace("T", confirmed, now=NOW)
            assert trace.verdict == sure.verdict
            assert trace == (sure if partition.is_withheld else build_trace("T", partition.events, now=NOW))


def test_a_trace_with_unconfirmed_events_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    def counted(trace_id: str, events: Collection[TraceEvent], *rest: Any) -> Trace:
        built.append(len(events))
        return build_trace(trace_id, events, *rest)

    monkeypatch.setattr("sagatrace_tui.live.partition.build_trace", counted)
    store = UnreliableStore(running("T", 70))
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    for number in range(3):
        news = [event("T", f"{half}{number}", "stage:x:started", 71, "cre") for half in "ab"]
        for one in news:
            subscriber.events = [one]
            shown(feed)
        store.append(news)
        shown(feed, NOW_TOO)
    assert built == [2, 3, 4, 5, 6, 7, 8]


def test_a_large_trace_takes_little_memory_also_when_it_is_read_whole_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagatrace.stores.sqlite_parts._FEW", 100)  # parts much smaller than this trace
    monkeypatch.setattr("sagatrace.stores.sqlite_parts._BYTES", 20_000)
    store, count = open_store(f"sqlite:///{tmp_path}/traces.db"), 2_000
    store.append([event("T", "the-root", "workflow:x:started", 0.0)])
    store.append(
        event("T", f"job-{at // 2:06}", f"job {at // 2:06}:{phase}", at / 100, "the-root", data={"w": "w" * 60})
        for at, phase in enumerate(["started", "completed"] * (count // 2))
    )
    shown(TraceFeed(store, "T", still))
    tracemalloc.start()
    try:
        feed = TraceFeed(store, "T", still)
        shown(feed)
        read, most = tracemalloc.get_traced_memory()
        shown(feed, frozenset({AFRESH}))
        again, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read / count < 650  # bytes for each event, with all that a screen needs
    assert most / count < 700
    assert again < 1.2 * read


def test_a_feed_that_was_given_up_leaves_the_collector_its_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen closed during the reading: nothing would give them back to the collector."""
    monkeypatch.setattr("sagatrace_tui.live.trace_feed._MANY", 1)
    store = MemoryStore()
    store.append(failed("T"))
    before = gc.get_freeze_count()
    try:
        feed = TraceFeed(store, "T", still)
        shown(feed)
        assert gc.get_freeze_count() > before
        gc.unfreeze()
        closing = TraceFeed(store, "T", lambda: (closing.give_up(), still())[1])
        for _ in range(2):
            list(closing.read(frozenset({AFRESH})))
        assert gc.get_freeze_count() == 0
    finally:
        gc.unfreeze()


def test_the_thread_of_the_feed_finds_idle_gaps_on_request() -> None:
    store = MemoryStore()
    feed = TraceFeed(store, "T", still)
    for number, one in enumerate(POOL[:3]):
        store.append([one])
        outline = shown(feed, NOW_TOO).outline
        assert outline is not None
        assert ("idle" in vars(outline)) is (number == 2)
        if number == 1:
            assert outline.idle is not None


def test_a_trace_that_is_on_screen_never_changes() -> None:
    events = failed("T")
    store = MemoryStore()
    store.append(events[:4])
    feed = TraceFeed(store, "T", still)
    for at in range(5, len(events)):
        store.append(events[:at])
        [reading] = feed.read(NOW_TOO)
        before = reading.trace
        assert before is not None
        count, spans = before.event_count, {one: list(span.events) for one, span in before.spans.items()}
        store.append(events[: at + 1])
        list(feed.read(NOW_TOO))
        assert before.event_count == count
        assert {one: list(span.events) for one, span in before.spans.items()} == spans


def test_every_read_has_all_events_also_if_it_was_not_shown() -> None:
    events = failed("T")
    store = MemoryStore()
    store.append(events[:4])
    feed = TraceFeed(store, "T", still)
    first = shown(feed)
    for at in range(5, 10):
        store.append(events[:at])
        [reading] = feed.read(NOW_TOO)
        assert reading.trace == build_trace("T", events[:at], now=NOW)
        assert reading.known == at
    assert first.trace is not None
    assert first.trace.event_count == 4


def test_a_trace_that_is_no_longer_shown_is_freed_without_the_cyclic_collector() -> None:
    store = MemoryStore()
    store.append(failed("T")[:8])
    feed = TraceFeed(store, "T", still)
    [before] = feed.read()
    alive = [weakref.ref(before.trace), weakref.ref(before.outline)]  # type: ignore[arg-type]
    del before
    gc.disable()
    try:
        store.append(failed("T"))
        shown(feed, NOW_TOO)
        assert [one() for one in alive] == [None, None]
    finally:
        gc.enable()


def test_an_unchanged_store_and_received_events_cost_no_query() -> None:
    store = UnreliableStore(running("T", 70))
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    store.fetches.clear()
    shown(feed, NOW_TOO)
    assert store.fetches == []
    subscriber.events = [event("T", "job", "job:started", 71, "cre")]
    assert shown(feed).known == 3
    assert store.fetches == []


def test_a_gap_leads_to_one_read_and_a_failing_store_to_retries() -> None:
    store = UnreliableStore(running("T", 70))
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    store.append(running("T", 71))
    store.fetches.clear()
    subscriber.missed = True
    store.cut_off = True
    [reading] = feed.read()
    assert reading.fault is not None
    assert reading.status.state == "catching up"
    store.cut_off = False
    reading = shown(feed, NOW_TOO)
    assert (reading.known, reading.status.words) == (4, "live (Redis)")
    assert store.fetches == ["T"]
    shown(feed)
    assert store.fetches == ["T"]


def test_a_failing_store_hides_no_received_event_and_is_not_read_for_every_event() -> None:
    class Counting(UnreliableStore):
        stamps = 0

        def stamp(self) -> str:
            self.stamps += 1
            return super().stamp()

    store = Counting(running("T", 70))
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    store.cut_off = subscriber.missed = True
    before = store.stamps
    readings = []
    for number in range(20):
        subscriber.events = [event("T", f"n{number}", "stage:x:started", 71, "cre")]
        readings += feed.read()
    assert readings[-1].trace is not None
    assert readings[-1].trace.event_count == 22
    assert 1 <= store.stamps - before <= 2
    assert all(reading.fault is not None for reading in readings)


def test_a_received_event_that_differs_from_the_known_one_is_read_from_the_store() -> None:
    began, end = running("T", 70), event("T", "cre", "stage:credit:completed", 71, "wf", id="E")
    store = UnreliableStore([*began, event("T", "cre", "stage:credit:abandoned", 71, "wf", id="E")])
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    store.append([end], replace=True)
    subscriber.events = [end]
    assert shown(feed).trace == build_trace("T", [*began, end], now=NOW)


def test_an_ended_trace_is_read_whole_once_to_correct_it() -> None:
    store = UnreliableStore(succeeded("T", 70)[:3])
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    store.append(succeeded("T", 70))
    subscriber.events = [*succeeded("T", 70), event("T", "false", "ai:never-stored", 70.5, "wf")]
    assert shown(feed).known == 7
    shown(feed)
    assert shown(feed).trace == build_trace("T", succeeded("T", 70), now=NOW)


def test_no_verdict_rests_on_an_event_that_the_store_does_not_have() -> None:
    began, ended = (event("T", "wf", f"workflow:loan-approval:{phase}", 71) for phase in ("started", "completed"))
    store = UnreliableStore([began])
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    shown(feed)
    subscriber.events = [ended]
    reading = shown(feed)
    assert reading.trace == build_trace("T", [began], now=NOW)
    assert reading.status.words == "live (Redis) · 1 unconfirmed"
    store.append([ended])
    reading = shown(feed)  # not before its time: a verdict is at stake
    assert reading.trace is not None
    assert reading.trace.verdict == "succeeded"
    assert reading.status.words == "live (Redis)"


def test_an_event_that_never_reaches_the_store_is_shown_as_unconfirmed_and_then_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = UnreliableStore(running("T", 70))
    feed = TraceFeed(store, "T", still)
    subscriber = hearing(feed)
    before = shown(feed).trace
    subscriber.events = [event("T", "false", "ai:never-stored", 71, "wf")]
    assert shown(feed, NOW_TOO).known == 3
    assert shown(feed, NOW_TOO).status.words == "live (Redis) · 1 unconfirmed"
    monkeypatch.setattr("sagatrace_tui.live.partition.CONFIRM_WITHIN", 0.0)  # the time has passed
    reading = shown(feed)
    assert (reading.trace, reading.status.words) == (before, "live (Redis)")


def test_the_r_key_drops_what_the_store_no_longer_has() -> None:
    class Expiring(UnreliableStore):
        def forget(self, event_id: str) -> None:
            del self._documents["T"][event_id]

    store = Expiring(failed("T"))
    feed = TraceFeed(store, "T", still)
    shown(feed)
    store.forget(failed("T")[-1].id)
    assert shown(feed, frozenset({AFRESH})).known == 15


def test_a_store_without_changes_is_read_whole() -> None:
    class Plain:
        label = "plain:"

        def __init__(self) -> None:
            self._store = MemoryStore()
            self.append = self._store.append
            self.fetch_trace = self._store.fetch_trace
            self.search = self._store.search
            self.close = self._store.close

    store = Plain()
    store.append(failed("T")[:5])
    feed = TraceFeed(store, "T", still)
    shown(feed)
    store.append(failed("T"))
    assert shown(feed, NOW_TOO).trace == build_trace("T", failed("T"), now=NOW)
    rows = list(ListFeed(store, still).read(NOW_TOO))[-1].rows
    assert [row.span_count for row in rows] == [7]


def test_a_reading_that_is_given_up_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    class Counting(MemoryStore):
        def fetch_since(self, trace_id: str, cursor: str | None, arrived: Any = None) -> Changes:
            arrived(1)
            return super().fetch_since(trace_id, cursor)

    feed = TraceFeed(Counting(), "T", still)
    feed.give_up()
    assert shown(feed).fault is None
    assert not caplog.records
