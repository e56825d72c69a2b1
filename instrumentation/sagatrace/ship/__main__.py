"""`python -m sagatrace.ship`: the process that a worker starts; for people there is `sagatrace ship`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from sagatrace.errors import SagatraceError, ShipperRunningError
from sagatrace.outbox import outbox_directory
from sagatrace.settings import Settings
from sagatrace.ship.shipper import Shipper, stop_on_signals
from sagatrace.stores import open_store


def main(arguments: list[str] | None = None) -> int:
    """Run as the arguments say; the exit status is 0 when all was delivered or another does it, 1 else."""
    parser = argparse.ArgumentParser("sagatrace.ship", description="Bring what waits in the outbox to the store.")
    parser.add_argument("directory", nargs="?", type=Path, help="the outbox; default: the one of the environment")
    parser.add_argument("--follow", action="store_true", help="go on until told to stop")
    parser.add_argument("--while-used", action="store_true", help="or until no worker uses the outbox any more")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s shipper[%(process)d] %(levelname)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    os.umask(0o077)
    try:
        return _run(options.directory, follow=options.follow, while_used=options.while_used)
    except ShipperRunningError:
        return 0
    except SagatraceError as error:
        logging.getLogger("sagatrace.ship").error("%s", error)  # noqa: TRY400 - one line that says what to do
        return 1


def _run(directory: Path | None, *, follow: bool, while_used: bool) -> int:
    settings = Settings.from_env()
    directory = directory or outbox_directory(settings, in_worker=True)
    if directory is None:
        raise SagatraceError("no outbox: events go straight to the store (SAGATRACE_OUTBOX, SAGATRACE_STORE)")
    store = open_store(settings.store, max_wait=settings.max_wait)
    shipper = Shipper(directory, store)
    try:
        if follow:
            shipper.follow(stop_on_signals(), while_used=while_used)
            return 0
        shipment = shipper.run_once()
        if shipment.fault is not None:
            raise SagatraceError(f"events stay in {directory}: {shipment.fault}")
        return 0
    finally:
        shipper.close()
        store.close()


if __name__ == "__main__":
    sys.exit(main())
