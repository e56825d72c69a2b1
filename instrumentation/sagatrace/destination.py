"""The destination of events: the outbox of a store, or the store itself."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from sagatrace.settings import Settings

__all__ = ["outbox_directory"]


def outbox_directory(settings: Settings, *, in_worker: bool = False) -> Path | None:
    """Return where events wait for the store of these settings; None if they are written to it directly.

    A local SQLite file is as durable as an outbox. It has an outbox only in a worker, as forked children would have to
    open the file for each job. A worker sets SAGATRACE_OUTBOX to `Settings.outbox_of_worker` for the tracers of its
    jobs. Raises StoreError.
    """
    kind = settings.store.partition(":")[0].lower()
    if settings.outbox == "off" or kind not in ("sqlite", "cosmos"):
        return None
    if not settings.is_outbox_automatic:
        return Path(settings.outbox).expanduser().absolute() / settings.store_id
    if kind == "sqlite":
        if not in_worker and settings.outbox != settings.outbox_of_worker:
            return None
        from sagatrace.stores.sqlite_file import path_from_url

        path = path_from_url(settings.store)
        return path.with_name(f"{path.name}-outbox")
    return platformdirs.user_state_path("sagatrace", appauthor=False) / "outbox" / settings.store_id
