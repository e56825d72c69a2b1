"""The destination of a tracer's events: the outbox of a store, or the store itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from sagatrace.event import TraceEvent
from sagatrace.faults import is_switched_off
from sagatrace.interruptions import must_pass
from sagatrace.outbox import Outbox
from sagatrace.settings import Settings
from sagatrace.store_url import path_from_url

if TYPE_CHECKING:
    from sagatrace.direct import DirectWriter
    from sagatrace.sampling import Sampler
    from sagatrace.stores import EventStore

__all__ = ["SERVED", "Destination", "outbox_directory", "outbox_id", "serve", "serve_no_longer"]

SERVED: Final = "SAGATRACE_OUTBOX_SERVED"
"""The environment variable in which a worker names the outbox that its shipper serves, by `outbox_id`."""


# Of the workers of this process, the newest last, after the state without one. A work-horse inherits them.
_served: Final[list[tuple[str, Destination | None]]] = [("", None)]


class Destination:
    """Keep events in the target, or where the environment decides. The first event opens it.

    `count` is called as (what, error) for a fault that loses no event.
    """

    def __init__(self, target: EventStore | Outbox | str | None, count: Callable[[str, Exception], None]) -> None:
        self._target, self._count = target, count
        self.by_environment = target is None
        self.opened: EventStore | Outbox | None = None
        self._direct: DirectWriter | None = None
        self._sampler: Sampler | None = None
        self._worker: Destination | None = None  # of this process, when the first event was kept

    def keep(self, event: TraceEvent, replace: bool) -> None:
        """Store the event durably, unless its trace is not sampled. Raises the errors of outboxes and stores."""
        _, worker = _served[-1]
        if self.opened is None or (self._worker is not worker and self.by_environment):
            self.close()
            self._worker, self.opened = worker, self._open(worker)
        kept = self.sampled(event)
        if kept is None:
            return
        try:
            self.opened.append([kept], replace=replace)
        except OSError as error:
            if must_pass(error) or not self.by_environment:
                raise
            from sagatrace.direct import DirectWriter  # only where the outbox is unusable

            self._direct = self._direct or DirectWriter()
            self._direct.write(kept, replace, error)
            self._count("delivered directly, outbox unusable", error)

    def sampled(self, event: TraceEvent) -> TraceEvent | None:
        """Return the event to store; None if its trace is not sampled."""
        return event if self._sampler is None else self._sampler(event)

    def close(self) -> None:
        """Close the connections. A later event opens them again."""
        for opened in (self.opened, self._direct):
            if opened is not None:
                opened.close()

    def _open(self, worker: Destination | None) -> EventStore | Outbox:
        if self.by_environment and worker and isinstance(worker.opened, Outbox) and not is_switched_off():
            self._sampler = worker._sampler  # noqa: SLF001 - of the same class
            return worker.opened
        if os.environ.get("SAGATRACE_SAMPLE"):
            from sagatrace.sampling import Sampler  # only where it is asked for

            self._sampler = Sampler(Settings.from_env().sample)
        if self._target is not None and not isinstance(self._target, str):
            return self._target
        settings = Settings.from_env()
        directory = outbox_directory(settings) if self.by_environment else None
        if directory is not None:
            return Outbox(directory, max_bytes=int(settings.outbox_mb * 2**20), fsync=settings.fsync)
        from sagatrace.direct import opened_store  # only where events are written directly

        return opened_store(self._target or settings.store, settings, settings.max_wait)


def serve(outbox: str, worker: Destination) -> None:
    """Name the outbox that a shipper serves, and the destination of its worker for the tracers of the worker's jobs."""
    if len(_served) == 1:
        _served[0] = os.environ.get(SERVED, ""), None
    _served.append((outbox, worker))
    os.environ[SERVED] = outbox


def serve_no_longer(worker: Destination) -> None:
    """Take back the call of `serve` for this worker. The calls of other workers in this process stay."""
    _served[:] = [one for one in _served if one[1] is not worker]
    os.environ[SERVED], _ = _served[-1]


def outbox_directory(settings: Settings, *, in_worker: bool = False) -> Path | None:
    """Return the outbox directory for the store of these settings; None if events go to the store directly.

    A local SQLite file is as durable as an outbox. It has an outbox only in workers, where each forked child would
    otherwise open the file. A worker sets SERVED for the tracers of its jobs. Raises StoreError.
    """
    kind = settings.store.partition(":")[0].lower()
    if settings.outbox == "off" or kind not in ("sqlite", "cosmos"):
        return None
    if settings.outbox != "auto":
        return Path(settings.outbox).expanduser().absolute() / outbox_id(settings)
    if kind == "sqlite":
        if not in_worker and os.environ.get(SERVED) != outbox_id(settings):
            return None

        path = path_from_url(settings.store)
        return path.with_name(f"{path.name}-outbox")
    return platformdirs.user_state_path("sagatrace", appauthor=False) / "outbox" / outbox_id(settings)


def outbox_id(settings: Settings) -> str:
    """Return the name of the store's outbox in a directory of outboxes."""
    here = Path.cwd() if re.match(r"sqlite:///[^/~]", settings.store) else ""  # the path is relative to it
    return sha256(f"{settings.store} {settings.account} {here}".encode()).hexdigest()[:16]
