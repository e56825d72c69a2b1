"""`sagatrace init`: make the place where events are kept, or say how the one that is there differs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from sagatrace.errors import StoreError
from sagatrace.settings import Settings
from sagatrace.stores import EventStore, open_store
from sagatrace_tui.commands.outcome import Exit, one_line_errors, store_option
from sagatrace_tui.labels import inert

__all__ = ["init", "initialised"]

_MIN_WAIT = 30.0  # seconds: making a container takes a service longer than a write may


@click.command(epilog="Exit status: 0 ready · 1 not, or it differs · 2 wrong usage.")
@store_option
@one_line_errors
def init(store_url: str | None) -> None:
    """Create the store, and check one that is there.

    For Cosmos DB: the database and the container, with partition key /trace_id, a time to live of 90 days and
    default indexing. Nothing that exists is ever changed; running it again is harmless.
    """
    settings = Settings.from_env()
    store = open_store(store_url or settings.store, max_wait=max(settings.max_wait, _MIN_WAIT))
    differs = False
    try:
        for line, is_fault in initialised(store):
            click.echo(inert(line))
            differs = differs or is_fault
    finally:
        store.close()
    sys.exit(Exit.FAILED if differs else Exit.OK)


def initialised(store: EventStore) -> Iterator[tuple[str, bool]]:
    """Make the store ready; each line to say, and whether it is a fault. Raises StoreError."""
    if store.label == "memory:":
        raise StoreError("memory: keeps nothing: give --store or set SAGATRACE_STORE")
    if not store.label.startswith("cosmos:"):
        store.append([])
        yield f"{store.label} is ready", False
        return
    from sagatrace.stores.cosmos.provisioning import PARTITION_KEY, TTL_SECONDS, provision
    from sagatrace.stores.cosmos.store import CosmosStore

    assert isinstance(store, CosmosStore)  # noqa: S101 - that is what has this label
    done = provision(store.address, max_wait=store.max_wait)
    if done.created:
        yield f"{store.label} is created: partition key {PARTITION_KEY}, kept for {TTL_SECONDS // 86_400} days", False
    elif not done.differences:
        yield f"{store.label} was there already and is as it should be", False
    else:
        yield f"{store.label} was there already and differs; nothing is changed:", True
        for difference in done.differences:
            yield f"  {difference}", True
