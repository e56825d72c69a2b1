"""What a month of traces costs in Cosmos DB: a table of items, worked out from loads, charges and prices. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from sagatrace_tui.commands.prices import Prices
from sagatrace_tui.live import CALM, CONFIRM_WITHIN, INTERVAL, QUIET, SWEEP

__all__ = ["INDEX_SHARE", "Bill", "Charges", "Item", "Load", "bill", "polls_per_hour"]

DAYS_PER_MONTH: Final = 365 / 12
HOURS_PER_MONTH: Final = 730
INDEX_SHARE: Final = 0.5
"""Bytes of index for each byte of event: default indexing indexes every value."""
_RECONCILED_EVERY: Final = 60.0  # seconds between two looks for lost jobs
_PEAK: Final = 5.0  # times the average that the busiest hours take
Billing = Literal["serverless", "provisioned", "autoscale"]


@dataclass(frozen=True, slots=True)
class Load:
    """What a day brings, and who watches.

    Attributes:
        traces, events: traces a day, events in each.
        views, searches: traces opened and searches made in a day.
        days_kept: days until events expire.
        screens, tails: lists left open and `sagatrace tail` of all traces, on average.
        hours: hours a day that each is open.
        mirrored: whether a mirror lets them read the store less often.
        shippers: those that look for lost jobs: one for each Redis of RQ.
    """

    traces: float
    events: float
    views: float
    searches: float
    days_kept: float = 90
    screens: float = 0
    tails: float = 0
    hours: float = 24
    mirrored: bool = False
    shippers: float = 1


@dataclass(frozen=True, slots=True)
class Charges:
    """Request units, and where the figures are from.

    Attributes:
        write, delete: one event written; one event that expires, which is deleted.
        view, search: one trace read; one search.
        poll: one reading that finds nothing new.
        news: one event that such a reading finds, or that it leaves out as known.
        rereads: times that an event is left out as known before it has settled.
        event_bytes: bytes of one event.
        polls: requests of one reading.
        source: where the figures are from.
    """

    write: float = 10.0
    delete: float = 10.0
    view: float = 5.0
    search: float = 30.0
    poll: float = 3.0
    news: float = 0.1
    rereads: float = 12.0
    event_bytes: float = 1000.0
    polls: float = 1.0
    source: str = "assumed, on the high side; --measure takes them from your account"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill: request units in a month, and what they are for."""

    name: str
    units: float
    basis: str


@dataclass(frozen=True, slots=True)
class Bill:
    """A month, once as many days have passed as events are kept. `dollars` is without storage."""

    items: tuple[Item, ...]
    billing: Billing
    dollars: float
    storage: float
    gigabytes: float
    reserved: float

    @property
    def units(self) -> float:
        """Request units."""
        return sum(item.units for item in self.items)

    @property
    def peak(self) -> float:
        """Request units a second in the busiest hours."""
        return _peak(self.units)

    @property
    def total(self) -> float:
        """Dollars, all of it."""
        return self.dollars + self.storage


def _peak(units: float) -> float:
    return units / (HOURS_PER_MONTH * 3600) * _PEAK


def polls_per_hour(load: Load) -> float:
    """Return how often a screen that is open reads the store: closely after news, rarely when nothing is new."""
    if load.mirrored:  # a published event is looked for in the store
        silent = math.exp(-load.traces / 86_400 * SWEEP)
        return 3600 * ((1 - silent) / CONFIRM_WITHIN + silent / SWEEP)
    quiet = math.exp(-load.traces / 86_400 * QUIET)
    return 3600 * ((1 - quiet) / INTERVAL + quiet / CALM)


def _items(load: Load, charges: Charges) -> tuple[Item, ...]:
    day, events = DAYS_PER_MONTH, load.traces * load.events
    watchers = load.screens + load.tails
    polls = watchers * load.hours * polls_per_hour(load)
    seen = events * watchers * load.hours / 24
    reads = load.screens * load.traces * load.hours / 24  # a trace that is new in a list is read
    looks = load.shippers * 86_400 / _RECONCILED_EVERY
    watched = f"lists open: {load.screens:g}, tails: {load.tails:g}, {load.hours:g} h a day"
    return (
        Item("writing", events * day * charges.write, f"{events:,.0f} events a day × {charges.write:.2f} RU"),
        Item("expiring", events * day * charges.delete, f"as many are deleted × {charges.delete:.2f} RU"),
        Item("opening", load.views * day * charges.view, f"{load.views:g} traces a day × {charges.view:.2f} RU"),
        Item(
            "searching", load.searches * day * charges.search, f"{load.searches:g} searches × {charges.search:.2f} RU"
        ),
        Item(
            "polling",
            polls * day * charges.polls * charges.poll,
            f"{watched}, {polls_per_hour(load):.0f} polls an hour",
        ),
        Item(
            "watching",
            (seen * (1 + charges.rereads) * charges.news + reads * charges.view) * day,
            f"each event by each of them, {charges.news:.2f} RU, and each new trace by each list",
        ),
        Item(
            "lost jobs",
            (looks * charges.poll + load.shippers * load.traces * charges.view) * day,
            f"{load.shippers:g} at work: a look every {_RECONCILED_EVERY:g} s, and each trace read once",
        ),
    )


def bill(load: Load, charges: Charges, prices: Prices, billing: Billing = "serverless", reserved: float = 0) -> Bill:
    """Return a month. `reserved` is the RU/s of a provisioned account, or the limit of an autoscaled one."""
    items = _items(load, charges)
    units = sum(item.units for item in items)
    gigabytes = load.traces * load.events * load.days_kept * charges.event_bytes * (1 + INDEX_SHARE) / 1e9
    storage = gigabytes * prices.gigabyte
    if billing == "provisioned":
        reserved = reserved or 400
        return Bill(items, billing, reserved / 100 * prices.reserved * HOURS_PER_MONTH, storage, gigabytes, reserved)
    if billing == "autoscale":
        reserved = reserved or 1000
        busiest = min(reserved, max(reserved / 10, _peak(units)))
        return Bill(items, billing, busiest / 100 * prices.autoscale * HOURS_PER_MONTH, storage, gigabytes, reserved)
    return Bill(items, billing, units * prices.million_units / 1e6, storage, gigabytes, 0)
