"""The cost of a month of traces in Cosmos DB, computed from load, charges and prices. Pure."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from sagatrace_tui.commands.prices import Prices
from sagatrace_tui.live.partition import CONFIRM_WITHIN
from sagatrace_tui.live.refresh import INTERVAL
from sagatrace_tui.live.status import CALM, QUIET, SWEEP

__all__ = ["INDEX_SHARE", "Bill", "Charges", "Item", "Load", "bill", "polls_per_hour"]

DAYS_PER_MONTH: Final = 365 / 12
HOURS_PER_MONTH: Final = 730
INDEX_SHARE: Final = 0.5
"""Bytes of index for each byte of event. Default indexing indexes every value."""
_RECONCILED_EVERY: Final = 60.0  # seconds between two searches for lost jobs
_PEAK: Final = 5.0  # autoscale: load of the busiest hours, relative to the average
Billing = Literal["serverless", "provisioned", "autoscale"]


class Load(msgspec.Struct, frozen=True):
    """The load of one day.

    Attributes:
        traces, events: traces in a day; events in each trace.
        views, searches: traces opened and searches made in a day.
        days_kept: days until events expire.
        screens, tails: open lists, and running `sagatrace tail` of all traces, on average.
        hours: hours a day that each list or tail is open.
        mirrored: whether a mirror reduces the readings of the store.
        shippers: the shippers that search for lost jobs, one for each Redis of RQ.
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


class Charges(msgspec.Struct, frozen=True):
    """The request units of each operation, and the source of the figures.

    Attributes:
        write, delete: one event written; one event deleted because it expired.
        view, search: one trace read; one search.
        poll: one reading without new events.
        news: one event that a reading finds, or skips as known.
        rereads: how often recent events are read again and skipped.
        event_bytes: bytes of one event.
        polls: requests of one reading.
        source: the source of the figures, in words.
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


class Item(msgspec.Struct, frozen=True):
    """One line of the bill: request units in a month, and their basis in words."""

    name: str
    units: float
    basis: str


class Bill(msgspec.Struct, frozen=True):
    """The bill of a month after the first retention period. `dollars` excludes storage."""

    items: tuple[Item, ...]
    billing: Billing
    dollars: float
    storage: float
    gigabytes: float
    reserved: float

    @property
    def units(self) -> float:
        """Request units of the month."""
        return sum(item.units for item in self.items)

    @property
    def peak(self) -> float:
        """Request units a second in the busiest hours."""
        return _peak(self.units)

    @property
    def total(self) -> float:
        """Dollars, including storage."""
        return self.dollars + self.storage


def _peak(units: float) -> float:
    return units / (HOURS_PER_MONTH * 3600) * _PEAK


def polls_per_hour(load: Load) -> float:
    """Return the readings per hour of an open screen. It reads often after news, and rarely without news."""
    if load.mirrored:  # each published event is confirmed in the store
        silent = math.exp(-load.traces / 86_400 * SWEEP)
        return 3600 * ((1 - silent) / CONFIRM_WITHIN + silent / SWEEP)
    quiet = math.exp(-load.traces / 86_400 * QUIET)
    return 3600 * ((1 - quiet) / INTERVAL + quiet / CALM)


def _items(load: Load, charges: Charges) -> tuple[Item, ...]:
    day, events = DAYS_PER_MONTH, load.traces * load.events
    watchers = load.screens + load.tails
    polls = watchers * load.hours * polls_per_hour(load)
    seen = events * watchers * load.hours / 24
    reads = load.screens * load.traces * load.hours / 24  # each new trace in a list is read
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
    """Return the bill of a month.

    Args:
        load: the load of one day.
        charges: the request units of each operation.
        prices: the prices.
        billing: the way Azure bills the account.
        reserved: RU/s of a provisioned account, or the limit of an autoscaled account; 0 for the smallest.
    """
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
