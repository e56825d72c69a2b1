"""Sagas at fixed times, and stores with faults, for the tests of screens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from msgspec.structs import replace
from textual.pilot import Pilot

from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent, new_event
from sagatrace.mirror import Heard
from sagatrace.stores import Arrived, Changes, FetchedTrace, ReadCost, Search, TraceHits
from sagatrace.stores.memory import MemoryStore
from sagatrace.timestamps import utc_timestamp
from sagatrace_tui.live.list_feed import ListFeed
from sagatrace_tui.live.trace_feed import TraceFeed
from sagatrace_tui.model import Trace, build_trace
from sagatrace_tui.model.text import iso

START = datetime(2025, 12, 22, 10, 0, 0, tzinfo=UTC)
NOW = int((START + timedelta(seconds=75)).timestamp()) * 1_000_000
STACK = """Traceback (most recent call last):
  File "/app/loans/funding.py", line 88, in transfer_funds
    ledger.debit(account, amount)
  File "/app/loans/ledger.py", line 141, in debit
    raise InsufficientFunds(f"balance {balance} < {amount}")
loans.errors.InsufficientFunds: balance 1200 < 25000
"""
_last_text: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def still() -> int:
    """Return a fixed time, as a clock."""
    return NOW


def event(
    trace_id: str, span_id: str, event_type: str, at: float, parent: str | None = None, **rest: Any
) -> TraceEvent:
    """Return an event `at` seconds after START, with an id made from its arguments."""
    return new_event(
        trace_id=trace_id,
        span_id=span_id,
        event_type=event_type,
        parent_span_id=parent,
        timestamp=utc_timestamp(START + timedelta(seconds=at)),
        id=rest.pop("id", f"{trace_id}-{span_id}-{event_type}-{at}".replace("/", "_")[:200]),
        **rest,
    )


def succeeded(trace_id: str, at: float = 0.0) -> list[TraceEvent]:
    """Return a succeeded loan saga of three spans."""
    return [
        event(trace_id, "wf", "workflow:loan-approval:started", at, data={"loan_id": trace_id}),
        event(trace_id, "val", "stage:validate:started", at + 0.1, "wf"),
        event(trace_id, "job", "job:started", at + 0.2, "val", data={"job_name": "validate_application"}),
        event(trace_id, "job", "job:completed", at + 0.7, "val", status="success"),
        event(trace_id, "val", "stage:validate:completed", at + 0.8, "wf", status="success"),
        event(trace_id, "wf", "workflow:loan-approval:completed", at + 0.9, status="success"),
    ]


def recent(events: list[TraceEvent], ago: float) -> list[TraceEvent]:
    """Return the events, moved so that the first happened so many seconds ago."""
    shift = time.time_ns() // 1000 - int(ago * 1_000_000) - min(one.micros for one in events)
    return [
        new_event(
            id=one.id, trace_id=one.trace_id, span_id=one.span_id, parent_span_id=one.parent_span_id, tags=one.tags,
            event_type=one.event_type, status=one.status, timestamp=iso(one.micros + shift) or "", data=one.data,
        )
        for one in events
    ]  # fmt: skip


def running(trace_id: str, at: float = 0.0) -> list[TraceEvent]:
    """Return a loan saga in the middle of its credit check."""
    return [
        event(trace_id, "wf", "workflow:loan-approval:started", at),
        event(trace_id, "cre", "stage:credit:started", at + 0.1, "wf"),
    ]


def failed(trace_id: str, at: float = 0.0) -> list[TraceEvent]:
    """Return a loan saga with a retried credit check, a failed funding and a failed undo."""
    error = {"error": "balance 1200 < 25000", "error_type": "InsufficientFunds"}
    refused = {"error": "bureau refused the connection", "error_type": "ConnectionError"}
    applicant = {"name": "Ada Lovelace", "scores": [710, 702]}
    return [
        event(trace_id, "wf", "workflow:loan-approval:started", at, data={"loan_id": "L7", "applicant": applicant}),
        event(trace_id, "cre", "stage:credit:started", at + 0.1, "wf", data={"compensation": "release_credit"}),
        event(trace_id, "crj", "job:enqueued", at + 0.2, "cre", data={"job_name": "reserve_credit", "queue": "loans"}),
        event(trace_id, "crj", "job:started", at + 0.3, "cre", data={"attempt": 1}),
        event(trace_id, "crj", "job:retrying", at + 1.2, "cre", data={"error": "bureau timed out"}),
        event(trace_id, "crj", "job:started", at + 2.2, "cre", data={"attempt": 2}),
        event(trace_id, "crj", "job:completed", at + 2.6, "cre", status="success", data={"reservation": "R-9"}),
        event(trace_id, "cre", "stage:credit:completed", at + 2.7, "wf", status="success"),
        event(trace_id, "ai", "ai:decision", at + 2.8, "wf", data={"model": "risk-7", "score": 0.83}, tags=["ai"]),
        event(trace_id, "fun", "stage:funding:started", at + 3.0, "wf"),
        event(trace_id, "fuj", "job:started", at + 3.1, "fun", data={"job_name": "transfer_funds"}),
        event(trace_id, "fuj", "job:failed", at + 3.4, "fun", status="failed", data={**error, "stack": STACK}),
        event(trace_id, "fun", "stage:funding:failed", at + 3.5, "wf", status="failed", data=error),
        event(trace_id, "und", "release_credit:compensating", at + 3.6, "wf", data={"original_span_id": "cre"}),
        event(trace_id, "und", "release_credit:compensation_failed", at + 4.4, "wf", status="failed", data=refused),
        event(trace_id, "wf", "workflow:loan-approval:failed", at + 4.5, status="failed", data={"error": "aborted"}),
    ]


def approved(trace_id: str, at: float = 0.0) -> list[TraceEvent]:
    """Return a succeeded loan saga with the steps of `failed` and one more."""
    lost = ("fuj", "fun", "und", "wf")
    kept = [one for one in failed(trace_id, at) if one.span_id not in lost or one.event_type.endswith(":started")]
    return [
        *[one for one in kept if one.event_type != "job:retrying" and one.data.get("attempt") != 2],
        event(trace_id, "fuj", "job:completed", at + 3.2, "fun"),
        event(trace_id, "fun", "stage:funding:completed", at + 3.3, "wf"),
        event(trace_id, "pay", "stage:payout:started", at + 3.5, "wf"),
        event(trace_id, "pay", "stage:payout:completed", at + 3.8, "wf"),
        event(trace_id, "wf", "workflow:loan-approval:completed", at + 4.0),
    ]


def orphaned(trace_id: str, at: float = 0.0) -> list[TraceEvent]:
    """Return a trace with a missing parent."""
    return [
        event(trace_id, "wf", "workflow:import:started", at),
        event(trace_id, "kid", "stage:load:started", at + 0.1, "gone"),
        event(trace_id, "kid", "stage:load:failed", at + 0.2, "gone", status="failed", data={"error": "disk full"}),
    ]


def repeated(trace_id: str) -> list[TraceEvent]:
    """Return a scheduled job that ran three times under one job id. Its second run failed."""
    events = []
    for number, phase in enumerate(("completed", "failed", "completed")):
        data = {"error": "disk full"} if phase == "failed" else {}
        started = event(trace_id, "nightly", "job:started", 10.0 * number, data={"job_name": "report"})
        events += [started, event(trace_id, "nightly", f"job:{phase}", 10.0 * number + 1, data=data)]
    return events


def interrupted(trace_id: str) -> list[TraceEvent]:
    """Return a job whose process died while a stage was open."""
    at = {"execution": "run-1"}
    return [
        event(trace_id, "job", "job:started", 0.0, data={"job_name": "approve_loan", **at}),
        event(trace_id, "pay", "stage:pay:started", 1.0, "job", data=at),
        event(trace_id, "job", "job:failed", 2.0, data={"error": "Work-horse terminated unexpectedly", **at}),
    ]


def many_alike(trace_id: str, count: int) -> list[TraceEvent]:
    """Return a saga with many equal steps of 10, 20 or 30 ms, and then another step."""
    events = [event(trace_id, "wf", "workflow:mailing:started", 0.0)]
    for number in range(count):
        at = 0.1 + number / 10
        took = 0.01 * (1 + number % 3)
        events.append(event(trace_id, f"n{number}", "stage:notify:started", at, "wf"))
        events.append(event(trace_id, f"n{number}", "stage:notify:completed", at + took, "wf"))
    end = 0.2 + count / 10
    events.append(event(trace_id, "last", "stage:last:started", end, "wf"))
    events.append(event(trace_id, "last", "stage:last:completed", end + 0.1, "wf"))
    return [*events, event(trace_id, "wf", "workflow:mailing:completed", end + 0.2)]


def settlement(trace_id: str, earliest: int = 0) -> list[TraceEvent]:
    """Return 36 orders that fail independently, except every fifth. The stages around them fail with them.

    The order `earliest` fails first.
    """
    frozen = {"error": "the account is frozen", "error_type": "AccountFrozenError"}
    events = [event(trace_id, "wf", "workflow:settlement:started", 0.0)]
    for number in range(36):
        stage, at = f"batch{number // 4}", 0.1 + number / 10
        if number % 4 == 0:
            events.append(event(trace_id, stage, "stage:settle_batch:started", at - 0.08, "wf"))
        began = at if number != earliest else 0.05
        data = {"job_name": "acme.settlement.jobs.settle_order", "order": {"no": f"ORD-{4100 + number}"}}
        events.append(event(trace_id, f"job-of-the-batch-{number}", "job:started", began, stage, data=data))
        phase, why = ("completed", {}) if number % 5 == 1 else ("failed", frozen)
        events.append(event(trace_id, f"job-of-the-batch-{number}", f"job:{phase}", began + 0.05, stage, data=why))
        if number % 4 == 3:
            events.append(event(trace_id, stage, "stage:settle_batch:failed", at + 0.08, "wf", data=frozen))
    return [*events, event(trace_id, "wf", "workflow:settlement:failed", 5.0)]


def trace_of(events: Iterable[TraceEvent], now: int = NOW) -> Trace:
    """Return the trace of these events."""
    found = list(events)
    return build_trace(found[0].trace_id, found, now=now)


class UnreliableStore(MemoryStore):
    """A store that can be cut off, and can wait before each fetch."""

    label = "sqlite:////var/lib/loans/traces.db"

    def __init__(self, events: Iterable[TraceEvent] = ()) -> None:
        super().__init__()
        self.append(events)
        self.cut_off = False
        self.free = threading.Semaphore(0)
        self.slow = False
        self.fetches: list[str] = []
        self.searches = 0

    def search(self, search: Search) -> TraceHits:
        """As every store, unless cut off."""
        self._require_line()
        self.searches += 1
        return super().search(search)

    def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
        """Return a trace when released. Its cost is zero, because pictures show the cost."""
        self._await_leave(trace_id)
        return replace(super().fetch_trace(trace_id, arrived), cost=ReadCost(1, 0.0))

    def fetch_since(self, trace_id: str, cursor: str | None, arrived: Arrived | None = None) -> Changes:
        """Return the changes when released."""
        self._await_leave(trace_id)
        return super().fetch_since(trace_id, cursor, arrived)

    def fetch_all_since(self, cursor: str | None, limit: int) -> Changes:
        """As every store, unless cut off."""
        self._require_line()
        return super().fetch_all_since(cursor, limit)

    def stamp(self) -> str:
        """As every store, unless cut off."""
        self._require_line()
        return super().stamp()

    def _await_leave(self, trace_id: str) -> None:
        if self.slow and not self.free.acquire(timeout=300):
            raise StoreError("the test never let this fetch go")
        self._require_line()
        self.fetches.append(trace_id)

    def _require_line(self) -> None:
        if self.cut_off:
            raise StoreError("cannot reach the store at loans-db:5432: connection refused")


class FakeSubscriber:
    """A stand-in for a subscriber: it returns the test's events once."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self.missed = False

    def take(self) -> Heard:
        """Return the events since the last call."""
        events, self.events = tuple(self.events), []
        missed, self.missed = self.missed, False
        return Heard(events, missed=missed, phase="listening", live=True, ignored=0, fault=None)


def hearing(feed: TraceFeed | ListFeed) -> FakeSubscriber:
    """Let the feed receive the events of a stand-in, in place of a Redis."""
    subscriber = FakeSubscriber()
    feed._refresh.subscriber = subscriber  # type: ignore[assignment]
    return subscriber


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Let the app run until the condition is true, and has handled what was waiting then, such as a second layout."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await pilot.pause(0.02)
    await pilot.pause()


def screen_text(app: Any) -> str:
    """Return the lines on the terminal, as the compositor drew them.

    While a screen is not laid out, the terminal still shows the lines before. A text that is awaited to go must not
    seem to be gone meanwhile.
    """
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    if len(strips) == height:
        assert all(strip.cell_length == width for strip in strips)
        _last_text[app] = "\n".join(strip.text for strip in strips)
    return _last_text.get(app, "")
