"""`sagatrace ship`: deliver the events in the outbox to the store, once or continuously."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import click

from sagatrace.destination import outbox_directory
from sagatrace.errors import ShipperRunningError
from sagatrace.mirror import Publisher, open_mirror
from sagatrace.settings import Settings
from sagatrace.shipper import dead_letters
from sagatrace.shipper.dead_letters import DEAD_LETTERS, acknowledge_refused
from sagatrace.shipper.lock import require_owner
from sagatrace.shipper.shipper import Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stop_signals import stop_on_signals
from sagatrace.stores import EventStore
from sagatrace_tui.commands.outcome import Exit, one_line_errors, opened_store, require_store_url, store_option
from sagatrace_tui.labels import inert

__all__ = ["ship"]

_RETRY_LOCK = 0.5  # seconds


@click.command()
@click.option("--follow", is_flag=True, help="Keep delivering new events, until SIGTERM or Ctrl-C.")
@click.option("--resend", is_flag=True, help="First put dead letters (refused events) back into the outbox.")
@click.option("--acknowledge", is_flag=True, help="Only reset the count of events lost by a full outbox.")
@store_option
@one_line_errors
def ship(follow: bool, resend: bool, acknowledge: bool, store_url: str | None) -> None:
    """Deliver the events that wait in the outbox to the store.

    A traced worker starts its own shipper. Run this command for producers on a host without workers, or in a container
    beside them. Exit status 1 means that some events were not delivered. They are not lost: run it again.

    An event that the store refuses becomes a dead letter, in a file of the outbox. After the cause is fixed, --resend
    delivers it again. An event refused again becomes a dead letter again. Lines that are not events stay in the file.
    """
    if acknowledge and (follow or resend):
        raise click.UsageError("--acknowledge does not deliver events: leave out --follow and --resend")
    settings = Settings.from_env()
    if store_url is not None:
        settings = replace(settings, store=store_url)
    require_store_url(settings.store)
    directory = outbox_directory(settings, in_worker=True)
    if directory is None:
        raise click.UsageError("no outbox: events go directly to the store (SAGATRACE_OUTBOX, SAGATRACE_STORE)")
    if acknowledge:
        count = acknowledge_refused(directory)
        click.echo(f"{count} refused events acknowledged{': they are lost' if count else ''}")
        return
    with opened_store(store_url, read_only=False, durable=True) as store:
        if resend:
            _resend(directory, int(settings.outbox_mb * 2**20))
        mirror = open_mirror(settings, store.label)
        shipper = Shipper(directory, store, publisher=Publisher(mirror) if mirror else None)
        try:
            if follow:
                _follow(shipper, directory, store)
            else:
                _once(shipper, directory, store)
        finally:
            shipper.close()


def _resend(directory: Path, max_bytes: int) -> None:
    if directory.exists():
        require_owner(directory)
    # The last tenth of the outbox is reserved for end events.
    resent = dead_letters.resend(directory, max_bytes - max_bytes // 10 - describe_outbox(directory).size)
    click.echo(f"{resent.events} dead letters put back into the outbox")
    if resent.left:
        click.echo(inert(f"{resent.left} dead letters are not events and stay in {directory / DEAD_LETTERS}", 2000))


def _once(shipper: Shipper, directory: Path, store: EventStore) -> None:
    if not directory.exists():
        click.echo(inert(f"0 events delivered to {store.label}: there is no outbox {directory}", 2000))
        return
    try:
        shipment = shipper.run_once()
    except ShipperRunningError:
        click.echo(f"another process delivers {inert(str(directory))}")
        return
    aside = f", {shipment.set_aside} set aside in {directory / DEAD_LETTERS}" if shipment.set_aside else ""
    click.echo(inert(f"{shipment.delivered} events delivered to {store.label}{aside}", 2000))
    if shipment.fault is not None:
        left = describe_outbox(directory).size
        why = inert(shipment.fault, 500)
        click.echo(f"sagatrace: {left:,} bytes stay in {inert(str(directory))}: {why}", err=True)
        sys.exit(Exit.FAILED)


def _follow(shipper: Shipper, directory: Path, store: EventStore) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", force=True)
    logging.getLogger("sagatrace").setLevel(logging.INFO)
    stop = stop_on_signals()
    click.echo(inert(f"delivering {directory} to {store.label}", 2000), err=True)
    has_said = False
    while not stop.is_set():
        try:
            shipper.follow(stop)
        except ShipperRunningError as error:
            if not has_said:
                click.echo(f"sagatrace: {inert(str(error), 500)}: waiting until it ends", err=True)
                has_said = True
            stop.wait(_RETRY_LOCK)
    click.echo(f"{shipper.delivered} events delivered, {shipper.set_aside} set aside", err=True)
