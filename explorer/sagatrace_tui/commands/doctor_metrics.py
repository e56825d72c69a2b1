"""`sagatrace doctor --metrics`: the state of the outbox in Prometheus's text format.

It reads only local files, so it may run every few seconds. It neither reads the store nor writes anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from sagatrace.destination import outbox_directory
from sagatrace.errors import SagatraceError
from sagatrace.settings import Settings
from sagatrace.shipper.status import OutboxState, describe_outbox
from sagatrace.shown import masked
from sagatrace_tui.commands.outcome import require_store_url
from sagatrace_tui.labels import inert

__all__ = ["outbox_metrics"]

_HELP: Final = {
    "in_use": "1 if events go through an outbox, 0 if they go directly to the store.",
    "bytes": "Bytes of the events that wait for delivery.",
    "files": "Files with events that wait for delivery.",
    "oldest_event_age_seconds": "Age of the oldest event that waits for delivery; 0 without such an event.",
    "dead_letters": "Events that the store refused and that were not sent again.",
    "refused_events": "Events lost because the outbox was full, since the last acknowledgement.",
    "strange_files": "Directories, pipes and links in the way of the outbox's files.",
    "last_delivery_timestamp_seconds": "Time of the last delivery to the store, in seconds since 1970.",
    "shipper_running": "1 if a shipper delivers the outbox.",
    "shipper_failing": "1 if the running shipper cannot deliver.",
    "shipper_delivered_events": "Events that the running shipper has delivered since it started.",
}


def outbox_metrics(environ: Mapping[str, str], store_url: str | None) -> str:
    """Return the metrics of the outbox of a store in Prometheus's text format.

    A metric without a value is omitted, such as the last delivery before the first delivery.

    Raises:
        SagatraceError: a setting cannot be used, or the outbox cannot be read.
    """
    settings = Settings.from_env(environ)
    settings = replace(settings, store=store_url or settings.store)
    require_store_url(settings.store)
    directory = outbox_directory(settings, in_worker=True)
    if directory is None:
        return "".join(_metric("in_use", 0, masked(settings.store)))
    try:
        state = describe_outbox(directory)
    except OSError as error:
        raise SagatraceError(f"{directory} cannot be read ({error}): run doctor as the workers' user") from error
    return "".join(line for name, value in _values(state) for line in _metric(name, value, masked(settings.store)))


def _values(state: OutboxState) -> Iterator[tuple[str, float]]:
    shipper = state.shipper
    yield "in_use", 1
    yield "bytes", state.size
    yield "files", state.segments
    yield "oldest_event_age_seconds", max(0.0, state.oldest or 0.0)
    yield "dead_letters", state.dead_letters
    yield "refused_events", state.refused
    yield "strange_files", len(state.strange)
    if state.delivered_at is not None:
        yield "last_delivery_timestamp_seconds", state.delivered_at
    yield "shipper_running", int(shipper is not None)
    if shipper is not None:
        yield "shipper_failing", int(shipper.fault is not None)
        yield "shipper_delivered_events", shipper.delivered


def _metric(name: str, value: float, store: str) -> Iterator[str]:
    whole = f"sagatrace_outbox_{name}"
    yield f"# HELP {whole} {_HELP[name]}\n"
    yield f"# TYPE {whole} gauge\n"
    yield f'{whole}{{store="{_escaped(store)}"}} {value!r}\n'


def _escaped(label: str) -> str:
    return inert(label).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
