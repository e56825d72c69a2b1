"""`sagatrace cost`: the cost of a month of traces in Cosmos DB, with its assumptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click
from msgspec.structs import replace

from sagatrace.errors import SettingsError
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.ids import new_id
from sagatrace.settings import Settings
from sagatrace.stores import Search, open_store
from sagatrace_tui.commands.billing import INDEX_SHARE, Bill, Charges, Load, bill
from sagatrace_tui.commands.outcome import one_line_errors, store_option
from sagatrace_tui.commands.prices import Prices
from sagatrace_tui.labels import inert

__all__ = ["Bill", "Charges", "Load", "Prices", "bill", "cost", "measured", "report", "sample"]


def sample(trace_id: str, count: int) -> list[TraceEvent]:
    """Return `count` events of a typical trace: start and end of each span, with the data of RQ jobs."""
    events = []
    for number in range(count):
        span, phase = f"{trace_id}-{number // 2}", ("started", "completed")[number % 2]
        data: dict[str, Any] = {"job_id": span, "attempt": 1, "worker": f"worker-{trace_id}"}
        if phase == "started":
            data |= {"job_name": "app.jobs.loans.credit_check", "queue": "default", "attempts_allowed": 3}
        else:
            data |= {"note": "the outcome of a step, in words " * 8}
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
    """Measure the request charges of a Cosmos DB store with a sample trace, and remove the trace.

    Args:
        store_url: the store.
        events: the number of events in the sample.
        max_wait: seconds that a call may take.

    Raises:
        SettingsError: the store does not charge.
        StoreError: the store cannot be read or written.
    """
    from sagatrace.stores.cosmos.store import CosmosStore

    store = open_store(store_url, max_wait=max_wait)
    if not isinstance(store, CosmosStore):
        raise SettingsError(f"{store.label} charges nothing: --measure needs a cosmos: store")
    trace_id = f"sagatrace-cost-{new_id()}"
    written = sample(trace_id, events)
    try:
        store.fetch_trace(trace_id)  # connect first, so that no charge below includes it
        place = store.fetch_all_since(None, 1000).cursor
        try:
            store.append(written)
            view = store.fetch_trace(trace_id).cost
            search = store.search(Search(limit=20, status="failed")).cost
            found = store.fetch_all_since(place, 1000)
            poll = store.fetch_all_since(found.cursor, 1000).cost
        finally:
            store.remove(written)
    finally:
        store.close()
    quiet, polls = poll.request_units or 0.0, max(1, poll.round_trips)
    return Charges(
        write=(store.write_cost.request_units or 0.0) / len(written),
        delete=(store.remove_cost.request_units or 0.0) / len(written),
        view=view.request_units or 0.0,
        search=search.request_units or 0.0,
        poll=quiet / polls,
        polls=polls,
        news=max(0.0, (found.cost.request_units or 0.0) - quiet) / len(written),
        event_bytes=sum(len(encode_event(event)) for event in written) / len(written),
        source=f"measured at {store.label} (an emulator charges differently)",
    )


def report(load: Load, charges: Charges, prices: Prices, month: Bill | None = None) -> Iterator[str]:
    """Yield the lines of the bill and its assumptions."""
    month = month or bill(load, charges, prices)
    yield f"${month.total:.2f} a month"
    for item in month.items:
        dollars = f"${item.units * prices.million_units / 1e6:8.2f}" if month.billing == "serverless" else " " * 9
        yield f"  {item.name:<10}{dollars}  {item.units / 1e6:8.2f} million RU   {item.basis}"
    if month.billing != "serverless":
        least = " RU/s" if month.billing == "provisioned" else " RU/s at most, by use, billed for at least a tenth"
        yield f"  {month.billing:<11} ${month.dollars:7.2f}  {month.reserved:g}{least}"
        if month.peak > month.reserved:
            yield f"  too little: the busiest hours take {month.peak:,.0f} RU/s, so requests wait"
    kept = f"{month.gigabytes:.2f} GB: {load.days_kept:g} days × {charges.event_bytes:.0f} bytes an event"
    yield f"  storage   ${month.storage:8.2f}  {kept} + {INDEX_SHARE:.0%} index"
    yield f"charges: {charges.source}"
    yield (
        f"prices:  ${prices.million_units:g} per million RU serverless, ${prices.reserved:g} per 100 RU/s and hour "
        f"reserved, ${prices.autoscale:g} autoscaled, ${prices.gigabyte:g} per GB; one region"
    )
    yield f"a month: {month.units / 1e6:.2f} million RU; Azure's free tier and discounts are not counted"


_COUNT: Final = click.FloatRange(0)


def _load_options(command: Any) -> Any:
    options = (
        click.option("--traces-per-day", type=_COUNT, default=1000, show_default=True),
        click.option("--events-per-trace", type=click.IntRange(1, 10_000), default=20, show_default=True),
        click.option("--views-per-day", type=_COUNT, default=200, show_default=True, help="Times a trace is opened."),
        click.option("--searches-per-day", type=_COUNT, default=200, show_default=True),
        click.option("--days-kept", type=_COUNT, default=90, show_default=True),
        click.option("--screens", type=_COUNT, default=1, show_default=True, help="Lists left open."),
        click.option("--tails", type=_COUNT, default=0, show_default=True, help="`sagatrace tail` of all traces."),
        click.option(
            "--hours",
            type=click.FloatRange(0, 24),
            default=24,
            show_default=True,
            help="Hours a day that each is open.",
        ),
        click.option("--mirror", is_flag=True, help="Screens and tails receive events through Redis."),
        click.option(
            "--shippers",
            type=_COUNT,
            default=1,
            show_default=True,
            help="Shippers that search for lost jobs, one for each Redis.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _price_options(command: Any) -> Any:
    default = Prices()
    options = (
        click.option("--event-bytes", type=_COUNT, help="Bytes of one event.  [default: 1000, or as measured]"),
        click.option("--write-ru", type=_COUNT, help="Request units for one event.  [default: 10, or as measured]"),
        click.option("--price-per-million-ru", type=_COUNT, default=default.million_units, show_default=True),
        click.option("--price-per-gb", type=_COUNT, default=default.gigabyte, show_default=True),
        click.option("--throughput", help="400, 'autoscale 1000' or serverless.  [default: serverless]"),
        click.option("--measure", is_flag=True, help="Measure the charges with a sample trace, then remove it."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_load_options
@_price_options
@store_option
@one_line_errors
def cost(**given: Any) -> None:
    """Compute the cost of a month in Cosmos DB.

    Uses the printed prices, and assumed or measured request charges.
    """
    from sagatrace.stores.cosmos.provisioning import read_throughput

    charges = Charges()
    if given["measure"]:
        settings = Settings.from_env()
        charges = measured(given["store_url"] or settings.store, given["events_per_trace"], settings.max_wait)
    if given["event_bytes"] is not None:
        charges = replace(charges, event_bytes=given["event_bytes"], source=f"{charges.source}; bytes as given")
    if given["write_ru"] is not None:
        written = given["write_ru"]
        charges = replace(charges, write=written, delete=written, source=f"{charges.source}; write as given")
    load = Load(
        traces=given["traces_per_day"],
        events=given["events_per_trace"],
        views=given["views_per_day"],
        searches=given["searches_per_day"],
        days_kept=given["days_kept"],
        screens=given["screens"],
        tails=given["tails"],
        hours=given["hours"],
        mirrored=given["mirror"],
        shippers=given["shippers"],
    )
    prices = Prices(given["price_per_million_ru"], given["price_per_gb"])
    throughput = read_throughput(given["throughput"] or "serverless")
    kind = "provisioned" if throughput.kind == "manual" else throughput.kind
    for line in report(load, charges, prices, bill(load, charges, prices, kind, throughput.units)):
        click.echo(inert(line))
