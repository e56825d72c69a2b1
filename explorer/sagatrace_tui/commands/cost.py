"""`sagatrace cost`: what a month of traces costs in Cosmos DB, and what that assumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent, encode_event, new_event, new_id
from sagatrace.settings import Settings
from sagatrace.stores import Search, open_store
from sagatrace_tui.commands.outcome import one_line_errors, store_option
from sagatrace_tui.labels import inert

__all__ = ["Bill", "Charges", "Load", "Prices", "bill", "cost", "measured", "report", "sample"]

DAYS_PER_MONTH: Final = 365 / 12
INDEX_SHARE: Final = 0.5
"""Bytes of index for each byte of event: default indexing indexes every value."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a day brings: traces, events in each, looks at one trace, searches; and for how many days it is kept."""

    traces: float
    events: float
    views: float
    searches: float
    days_kept: float = 90


@dataclass(frozen=True, slots=True)
class Charges:
    """Request units for one event written, one trace read, one search; bytes of one event; where they are from."""

    write: float = 10.0
    view: float = 5.0
    search: float = 30.0
    event_bytes: float = 1000.0
    source: str = "assumed, on the high side; --measure takes them from your account"


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for a million request units (serverless) and for a gigabyte kept for a month."""

    million_units: float = 0.25
    gigabyte: float = 0.25


@dataclass(frozen=True, slots=True)
class Bill:
    """A month in dollars, once as many days have passed as events are kept."""

    writing: float
    reading: float
    storage: float
    gigabytes: float
    units: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.writing + self.reading + self.storage


def bill(load: Load, charges: Charges, prices: Prices) -> Bill:
    """What a month costs."""
    events = load.traces * load.events
    write_units = events * DAYS_PER_MONTH * charges.write
    read_units = (load.views * charges.view + load.searches * charges.search) * DAYS_PER_MONTH
    gigabytes = events * load.days_kept * charges.event_bytes * (1 + INDEX_SHARE) / 1e9
    unit = prices.million_units / 1e6
    return Bill(write_units * unit, read_units * unit, gigabytes * prices.gigabyte, gigabytes, write_units + read_units)


def sample(trace_id: str, count: int) -> list[TraceEvent]:
    """A trace as a worker writes it: each span's start and end, with the data that RQ jobs carry."""
    events = []
    for number in range(count):
        span, phase = f"{trace_id}-{number // 2}", ("started", "completed")[number % 2]
        data: dict[str, Any] = {"job_id": span, "attempt": 1, "worker": f"worker-{trace_id}"}
        if phase == "started":
            data |= {"job_name": "app.jobs.loans.credit_check", "queue": "default", "attempts_allowed": 3}
        else:
            data |= {"note": "what a step tells of its outcome " * 8}
        event = new_event(
            trace_id=trace_id,
            span_id=span,
            parent_span_id=None if number < 2 else f"{trace_id}-0",
            event_type=f"job:{phase}",
            status="success" if phase == "completed" else None,
            data=data,
            tags=("cost",),
        )
        events.append(event)
    return events


def measured(store_url: str, events: int, max_wait: float) -> Charges:
    """Write one sample trace to the store, read and search for it, and take what the service charges."""
    from sagatrace.stores.cosmos.store import CosmosStore

    store = open_store(store_url, max_wait=max_wait)
    if not isinstance(store, CosmosStore):
        raise StoreError(f"{store.label} charges nothing: --measure needs a cosmos: store")
    try:
        trace_id = f"sagatrace-cost-{new_id()}"
        written = sample(trace_id, events)
        store.fetch_trace(trace_id)  # connects, so that no charge below is for that
        store.append(written)
        view = store.fetch_trace(trace_id).cost
        search = store.search(Search(limit=20, status="failed")).cost
    finally:
        store.close()
    return Charges(
        write=(store.write_cost.request_units or 0.0) / len(written),
        view=view.request_units or 0.0,
        search=search.request_units or 0.0,
        event_bytes=sum(len(encode_event(event)) for event in written) / len(written),
        source=f"measured at {store.label} (an emulator's are not the service's)",
    )


def report(load: Load, charges: Charges, prices: Prices) -> Iterator[str]:
    """The bill and all it rests on, as lines."""
    month = bill(load, charges, prices)
    writes = f"{load.traces:g} traces/day × {load.events:g} events × {charges.write:.2f} RU"
    reads = (
        f"{load.views:g} traces × {charges.view:.2f} RU + {load.searches:g} searches × {charges.search:.2f} RU a day"
    )
    kept = f"{month.gigabytes:.2f} GB: {load.days_kept:g} days × {charges.event_bytes:.0f} bytes an event"
    yield f"${month.total:.2f} a month"
    yield f"  writing  ${month.writing:8.2f}   {writes}"
    yield f"  reading  ${month.reading:8.2f}   {reads}"
    yield f"  storage  ${month.storage:8.2f}   {kept} + {INDEX_SHARE:.0%} index"
    yield f"charges: {charges.source}"
    yield f"prices:  ${prices.million_units:g} per million RU, ${prices.gigabyte:g} per GB: serverless, one region"
    yield f"a month: {DAYS_PER_MONTH:.1f} days, {month.units / 1e6:.2f} million RU"


_COUNT: Final = click.FloatRange(0)


@click.command()
@click.option("--traces-per-day", type=_COUNT, default=1000, show_default=True)
@click.option("--events-per-trace", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--views-per-day", type=_COUNT, default=200, show_default=True, help="Times a trace is opened.")
@click.option("--searches-per-day", type=_COUNT, default=200, show_default=True)
@click.option("--days-kept", type=_COUNT, default=90, show_default=True)
@click.option("--event-bytes", type=_COUNT, help="Bytes of one event.  [default: 1000, or as measured]")
@click.option("--write-ru", type=_COUNT, help="Request units for one event.  [default: 10, or as measured]")
@click.option("--price-per-million-ru", type=_COUNT, default=Prices().million_units, show_default=True)
@click.option("--price-per-gb", type=_COUNT, default=Prices().gigabyte, show_default=True)
@click.option("--measure", is_flag=True, help="Write a sample trace to the cosmos: store and take what it charges.")
@store_option
@one_line_errors
def cost(
    traces_per_day: float,
    events_per_trace: int,
    views_per_day: float,
    searches_per_day: float,
    days_kept: float,
    event_bytes: float | None,
    write_ru: float | None,
    price_per_million_ru: float,
    price_per_gb: float,
    measure: bool,
    store_url: str | None,
) -> None:
    """Compute what a month costs in Cosmos DB, from stated prices and assumed or measured request charges."""
    charges = Charges()
    if measure:
        settings = Settings.from_env()
        charges = measured(store_url or settings.store, events_per_trace, settings.max_wait)
    if event_bytes is not None:
        charges = replace(charges, event_bytes=event_bytes, source=f"{charges.source}; bytes as given")
    if write_ru is not None:
        charges = replace(charges, write=write_ru, source=f"{charges.source}; write as given")
    load = Load(traces_per_day, events_per_trace, views_per_day, searches_per_day, days_kept)
    for line in report(load, charges, Prices(price_per_million_ru, price_per_gb)):
        click.echo(inert(line))
