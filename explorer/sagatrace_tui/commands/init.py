"""`sagatrace init`: create the store, or report how an existing store differs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sagatrace.errors import SettingsError
from sagatrace.settings import Settings
from sagatrace.stores import EventStore, open_store
from sagatrace_tui.commands.outcome import Exit, one_line_errors, store_option
from sagatrace_tui.labels import inert

if TYPE_CHECKING:
    from sagatrace.stores.cosmos.provisioning import Plan, Provisioned

__all__ = ["init", "initialised"]

_MIN_WAIT = 30.0  # seconds: creating a container takes longer than a write
_DAY = 86_400
_MONTH = 730  # hours, as Azure bills them


@click.command(epilog="Exit status: 0 ready · 1 not ready, or different · 2 wrong usage or setting.")
@click.option("--throughput", metavar="N|'autoscale N'|serverless", help="RU/s to reserve.  [default: the account's]")
@click.option("--ttl", metavar="DAYS|forever", default="90", show_default=True, help="How long events are kept.")
@click.option("--lean", is_flag=True, help="Index only the fields that searches need, not the values in data.")
@click.option("--print-az", is_flag=True, help="Only print the `az` commands that create it, with roles.")
@store_option
@one_line_errors
def init(throughput: str | None, ttl: str, lean: bool, print_az: bool, store_url: str | None) -> None:
    """Create the store, or check an existing store.

    For Cosmos DB: creates the database and the container, with partition key /trace_id, a time to live and an index.
    The options apply to a new container. Existing resources are never changed. Running it again is harmless.
    """
    settings = Settings.from_env()
    store = open_store(store_url or settings.store, max_wait=max(settings.max_wait, _MIN_WAIT))
    differs = False
    try:
        plan = _plan(store, throughput, ttl, lean)
        for line, is_fault in _recipe(store, plan) if print_az else initialised(store, plan):
            click.echo(inert(line, lines=print_az))
            differs = differs or is_fault
    finally:
        store.close()
    sys.exit(Exit.FAILED if differs else Exit.OK)


def _plan(store: EventStore, throughput: str | None, ttl: str, lean: bool) -> Plan | None:
    """Return the container that the options describe; None for other stores. Raises SettingsError."""
    if not store.label.startswith("cosmos:"):
        if throughput or lean or ttl != "90":
            raise SettingsError(f"--throughput, --ttl and --lean are for a cosmos: store, not for {store.label}")
        return None
    from sagatrace.stores.cosmos.provisioning import Plan, read_throughput

    if ttl != "forever" and not (ttl.isascii() and ttl.isdigit() and 0 < int(ttl) <= 24_855):
        raise SettingsError(f"--ttl {ttl!r} is neither a number of days nor `forever`")
    seconds = None if ttl == "forever" else int(ttl) * _DAY
    return Plan(seconds, read_throughput(throughput) if throughput else None, lean)


def _recipe(store: EventStore, plan: Plan | None) -> Iterator[tuple[str, bool]]:
    from sagatrace.stores.cosmos.store import CosmosStore

    if not isinstance(store, CosmosStore) or plan is None:
        raise SettingsError(f"--print-az is for a cosmos: store, not for {store.label}")
    from sagatrace_tui.commands.az_recipe import az_recipe

    if ".azure." not in store.address.host.lower():
        raise SettingsError(f"--print-az is for an account in Azure, and {store.address.host} is not one")
    for line in az_recipe(store.address, plan):
        yield line, False


def initialised(store: EventStore, plan: Plan | None = None) -> Iterator[tuple[str, bool]]:
    """Create or check the store. Yield lines to print, each with whether it is a fault.

    Raises:
        StoreError: the store cannot be created or read.
        SettingsError: the store is `memory:`, which keeps no events.
    """
    if store.label == "memory:":
        raise SettingsError("memory: keeps no events: give --store or set SAGATRACE_STORE")
    if not store.label.startswith("cosmos:"):
        store.append([])
        yield f"{store.label} is ready", False
        return
    from sagatrace.stores.cosmos.provisioning import PARTITION_KEY, Plan, provision
    from sagatrace.stores.cosmos.store import CosmosStore

    assert isinstance(store, CosmosStore)  # noqa: S101 - only this store has the label
    plan = plan or Plan()
    done = provision(store.address, plan, max_wait=store.max_wait)
    if done.created:
        kept = "forever" if plan.ttl is None else f"for {plan.ttl // _DAY} days"
        yield f"{store.label} was created: partition key {PARTITION_KEY}, kept {kept}", False
    elif not done.differences:
        yield f"{store.label} exists already and is correct", False
    else:
        yield f"{store.label} exists already and differs; nothing was changed:", True
    for finding in done.findings:
        yield f"  {finding.text}", finding.is_fault
    yield from _of_throughput(done, plan)


def _of_throughput(done: Provisioned, plan: Plan) -> Iterator[tuple[str, bool]]:
    """Yield a line about the throughput and its price."""
    from sagatrace_tui.commands.prices import Prices

    reserved, wanted = done.throughput, plan.throughput
    if reserved is None:
        if wanted is not None:
            yield f"  throughput: asked for {wanted.text}; the service does not report it", False
        return
    if reserved.kind == "serverless":
        yield "  throughput: serverless, billed by use", False
        return
    prices = Prices()
    rate = prices.reserved if reserved.kind == "manual" else prices.autoscale
    share = 1.0 if reserved.kind == "manual" else 0.1  # autoscale bills at least a tenth of its limit
    least = reserved.units * share / 100 * rate * _MONTH
    unmet = wanted is not None and wanted != reserved
    text = f"  throughput: {reserved.text}: ${least:.0f} a month at least, used or not"
    yield f"{text}; asked for {wanted.text}" if unmet and wanted is not None else text, unmet
