"""`python -m sagatrace.shipper`: the process that a worker starts. Users run `sagatrace ship`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sagatrace.destination import outbox_directory
from sagatrace.error_stream import print_errors_plainly
from sagatrace.errors import SagatraceError, SettingsError, ShipperRunningError
from sagatrace.mirror import Publisher, connect_redis, open_mirror
from sagatrace.outbox import Outbox
from sagatrace.settings import Settings
from sagatrace.shipper.shipper import Shipper
from sagatrace.shown import logger
from sagatrace.stop_signals import stop_on_signals
from sagatrace.stores import EventStore, open_store

log: Final = logger("sagatrace.shipper")

_NO_URL: Final = "none"  # as in `sagatrace.rq.redis_url`, which is imported only when needed
_YIELDS: Final = 10
"""The niceness of the shipper, so that jobs have priority. It still delivers faster than workers emit."""


def main(arguments: list[str] | None = None) -> int:
    """Run the shipper. Return 0 if all events were delivered or another shipper delivers the outbox, else 1."""
    print_errors_plainly()
    parser = argparse.ArgumentParser("sagatrace.shipper", description="Deliver the outbox to the store.")
    parser.add_argument("directory", nargs="?", type=Path, help="the outbox; default: from the environment")
    parser.add_argument("--follow", action="store_true", help="keep delivering until stopped")
    parser.add_argument("--while-used", action="store_true", help="or until no worker uses the outbox any longer")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s shipper[%(process)d] %(levelname)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    os.umask(0o077)
    if options.while_used:
        os.nice(_YIELDS)
    try:
        return _run(options.directory, follow=options.follow, while_used=options.while_used)
    except ShipperRunningError:
        return 0
    except (SagatraceError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - the message says how to fix it
        return 1


def _run(directory: Path | None, *, follow: bool, while_used: bool) -> int:
    settings = Settings.from_env()
    if directory is not None and not directory.is_dir() and not while_used:
        raise SagatraceError(f"there is no outbox {directory}: give the directory of an outbox")
    directory = directory or outbox_directory(settings, in_worker=True)
    if directory is None:
        raise SagatraceError("no outbox: events go directly to the store (SAGATRACE_OUTBOX, SAGATRACE_STORE)")
    store = open_store(settings.store, max_wait=settings.max_wait, durable=True)
    shipper = Shipper(directory, store, publisher=_publisher(settings, store))
    try:
        if follow:
            stop, shipper.lost_jobs = stop_on_signals(), _missing_redis(settings)
            if shipper.lost_jobs is not None:
                log.warning("lost jobs are not searched for: %s", shipper.lost_jobs)
            with _reconciling(settings, directory):
                shipper.follow(stop, while_used=while_used)
                while not while_used and not stop.is_set():  # the outbox was removed or replaced
                    shipper.follow(stop)
            return 0
        shipment = shipper.run_once()
        if shipment.fault is not None:
            raise SagatraceError(f"events stay in {directory}: {shipment.fault}")
        return 0
    finally:
        shipper.close()
        store.close()


def _publisher(settings: Settings, store: EventStore) -> Publisher | None:
    """Return the publisher for the mirror; None without one. A wrong setting is logged and does not stop delivery."""
    try:
        mirror = open_mirror(settings, store.label)
    except SettingsError as error:
        log.error("events are not published: %s", error)  # noqa: TRY400 - the message says how to fix it
        return None
    return Publisher(mirror) if mirror else None


@contextmanager
def _reconciling(settings: Settings, directory: Path) -> Iterator[None]:
    """Search for lost jobs in the worker's Redis while the shipper runs."""
    stop, every = threading.Event(), settings.reconcile
    url = "" if settings.redis_url == _NO_URL else settings.redis_url
    thread = threading.Thread(target=_reconcile, args=(stop, url, every, settings, directory), daemon=True)
    if url and every:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread.is_alive():
            thread.join(settings.max_wait)


def _reconcile(stop: threading.Event, url: str, every: float, settings: Settings, directory: Path) -> None:
    if stop.wait(every):  # before the imports, which a short-lived shipper never needs
        return
    from sagatrace.rq.reconciler import Reconciler

    try:
        connection = connect_redis(url, settings.max_wait)
    except SettingsError as error:
        log.error("lost jobs are not searched for, SAGATRACE_REDIS_URL is wrong: %s", error)  # noqa: TRY400
        return
    store = open_store(settings.store, read_only=True, max_wait=settings.max_wait)
    with connection as redis:
        limit = int(settings.outbox_mb * 2**20)
        outbox = Outbox(directory, max_bytes=limit, fsync=settings.fsync)
        Reconciler(store, outbox, redis, grace=every).follow(stop, every=every)
    store.close()


def _missing_redis(settings: Settings) -> str | None:
    """Return why the shipper cannot search for lost jobs; None if it can, or if the search is off."""
    if settings.redis_url != _NO_URL or not settings.reconcile:
        return None
    return "the worker's connection to Redis cannot be written as a URL: set SAGATRACE_REDIS_URL"


if __name__ == "__main__":
    sys.exit(main())
