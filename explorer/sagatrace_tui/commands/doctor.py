"""`sagatrace doctor`: check the setup. Each check prints one line, with advice if it fails."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal

import click
import msgspec

from sagatrace.destination import outbox_directory
from sagatrace.errors import SagatraceError, SettingsError, StoreError, StoreNotFoundError
from sagatrace.event import TraceEvent, new_event
from sagatrace.mirror.address import redis_error_text
from sagatrace.redaction import imported
from sagatrace.settings import Settings
from sagatrace.shipper.lock import strangers
from sagatrace.shown import masked
from sagatrace.stores import EventStore, ReadCost, RemovesEvents, Search, TriesWriting, open_store
from sagatrace_tui.commands.doctor_metrics import outbox_metrics
from sagatrace_tui.commands.outcome import Exit, one_line_errors, store_option
from sagatrace_tui.labels import inert, plural

__all__ = ["CHECKS", "Check", "Patient", "doctor", "examined"]

PROBE_TRACE: Final = "sagatrace-doctor"
_TOLERATED_OFFSET: Final = 2.0  # seconds; answers carry the time to the second
_DELIVERED_WITHIN: Final = 10.0  # seconds that an event may wait while no shipper runs
_SIGNS: Final = {"ok": "ok  ", "fault": "FAIL", "off": "-   "}


class Check(msgspec.Struct, frozen=True):
    """The result of one check. `off`: the part is not in use, which is not a fault."""

    subject: str
    state: Literal["ok", "fault", "off"]
    said: str
    is_setting: bool = False
    """Whether the fault is an unusable setting."""


class Patient(msgspec.Struct):
    """The subject of the checks: the environment, its store, and whether doctor may write to the store."""

    environ: Mapping[str, str]
    store_url: str | None = None
    write: bool = True
    store: EventStore | None = None


@click.command(epilog="Exit status: 0 all well · 1 something to do · 2 wrong usage or setting.")
@click.option("--no-write", is_flag=True, help="Only read; do not write a probe event.")
@click.option("--metrics", is_flag=True, help="Print only the state of the outbox, as metrics for Prometheus.")
@store_option
@one_line_errors
def doctor(no_write: bool, metrics: bool, store_url: str | None) -> None:
    """Check settings, store, outbox, Redis and clock.

    Each line is ok or names the next action. A probe event goes to the trace `sagatrace-doctor`, and is removed again.
    With --metrics, doctor reads only the outbox, not the store or Redis.
    """
    if metrics:
        click.echo(outbox_metrics(os.environ, store_url), nl=False)
        return
    patient = Patient(os.environ, store_url, write=not no_write)
    status = Exit.OK
    try:
        for check in examined(patient):
            click.echo(f"{_SIGNS[check.state]}  {check.subject:<10} {inert(masked(check.said))}")
            if check.state == "fault":
                status = max(status, Exit.USAGE if check.is_setting else Exit.FAILED)
    finally:
        if patient.store is not None:
            patient.store.close()
    sys.exit(status)


def examined(patient: Patient) -> Iterator[Check]:
    """Yield the results of all checks. An unexpected SagatraceError becomes a result, and the next check runs."""
    for subject, check in CHECKS:
        try:
            yield from check(patient)
        except SagatraceError as error:
            yield Check(subject, "fault", str(error), isinstance(error, SettingsError))


def _settings(patient: Patient) -> Iterator[Check]:
    settings = Settings.from_env(patient.environ)
    url = patient.store_url or settings.store
    patient.store = store = open_store(url, read_only=not patient.write, max_wait=settings.max_wait)
    setting = "SAGATRACE_STORE" if patient.environ.get("SAGATRACE_STORE") else "default"
    source = "--store" if patient.store_url else setting
    if hook := patient.environ.get("SAGATRACE_REDACT", "").strip():
        imported(hook)
    yield Check("settings", "ok", f"store {store.label} ({source}), max wait {settings.max_wait:g} s")
    if store.label.startswith("cosmos:"):
        from sagatrace_tui.commands.doctor_cosmos import sign_in

        yield Check("sign-in", "ok", sign_in(store, patient.environ))


def _store(patient: Patient) -> Iterator[Check]:
    if patient.store is None:
        yield Check("store", "off", "not checked: fix the settings first")
        return
    try:
        hits = patient.store.search(Search(limit=1))
    except StoreError as error:
        # All later checks of the store would fail too, so report the fault once.
        patient.store.close()
        patient.store = None
        missing = isinstance(error, StoreNotFoundError) and "init" not in str(error)
        yield Check("store", "fault", f"{error}; or create it with `sagatrace init`" if missing else str(error))
        return
    yield Check("store", "ok", f"answers: {_shown(hits.cost)}")


def _container(patient: Patient) -> Iterator[Check]:
    if patient.store is None or not patient.store.label.startswith("cosmos:"):
        return
    from sagatrace_tui.commands.doctor_cosmos import examined_account

    for subject, is_fault, said in examined_account(patient.store):
        yield Check(subject, "fault" if is_fault else "ok", said)


def _probe(patient: Patient) -> Iterator[Check]:
    if patient.store is None or not patient.write:
        yield Check("writing", "off", "not tried" if patient.write else "not tried, as asked")
        return
    host = socket.gethostname()
    event = new_event(
        id=f"doctor-{host.encode().hex()[:200]}",
        trace_id=PROBE_TRACE,
        span_id=PROBE_TRACE,
        event_type=f"{PROBE_TRACE}:completed",  # an ended trace
        status="success",
        data={"host": host},
    )
    began = time.perf_counter()
    try:
        if isinstance(patient.store, TriesWriting):
            is_read_back, left = patient.store.try_write(event), ""
        else:
            is_read_back, left = _written_and_read(patient.store, event)
    except StoreError as error:
        yield Check("writing", "fault", f"{error} (reading may still work: --no-write skips this check)")
        return
    took = (time.perf_counter() - began) * 1000
    if is_read_back:
        done = "written and read back" if left else "written, read back and removed"
        yield Check("writing", "ok", f"a probe event was {done} in {took:.0f} ms{left}")
    else:
        yield Check("writing", "fault", "the probe event read back is not the one written: another process replaced it")


def _written_and_read(store: EventStore, event: TraceEvent) -> tuple[bool, str]:
    """Write the probe, read it back and remove it. Return whether it was read back, and a note if it stays."""
    store.append([event], replace=True)
    left = ""
    try:
        found = [e.timestamp for e in store.fetch_trace(event.trace_id).events if e.id == event.id]
    finally:
        try:
            if isinstance(store, RemovesEvents):
                store.remove([event])
        except StoreError as error:
            left = f"; it stays, in the trace {event.trace_id}, as it could not be removed: {error}"
    return found == [event.timestamp], left


def _outbox(patient: Patient) -> Iterator[Check]:
    settings = Settings.from_env(patient.environ)
    settings = replace(settings, store=patient.store_url or settings.store)
    directory = outbox_directory(settings, in_worker=True)
    if directory is None:
        yield Check("outbox", "off", "none: events go directly to the store")
        return
    from sagatrace.shipper.dead_letters import DEAD_LETTERS
    from sagatrace.shipper.status import describe_outbox

    try:
        for path, owner, user in strangers(directory):
            said = f"{path} belongs to {owner} and locks {user} out: change its owner, or remove a lock file"
            yield Check("outbox", "fault", said)
        state = describe_outbox(directory)
    except OSError as error:
        yield Check("outbox", "fault", f"{directory} cannot be read ({error}): run doctor as the workers' user")
        return
    waiting = f"{state.size:,} bytes wait in {directory}" + (f", since {state.oldest:.0f} s" if state.oldest else "")
    shipper = state.shipper
    if shipper is not None and shipper.fault is not None:
        said = f"{waiting}: pending, the shipper (pid {shipper.pid}) cannot deliver: {shipper.fault}"
        yield Check("outbox", "fault", said)
    elif shipper is None and (state.oldest or 0.0) > _DELIVERED_WITHIN:
        yield Check("outbox", "fault", f"{waiting}, and no shipper runs: start a worker, or `sagatrace ship`")
    else:
        who = f"shipper running (pid {shipper.pid})" if shipper else "no shipper needed"
        yield Check("outbox", "ok", f"{waiting}, {who}")
    if shipper is not None and shipper.lost_jobs is not None:
        why = f"the shipper (pid {shipper.pid}) does not search for them: {shipper.lost_jobs}"
        yield Check("lost jobs", "fault", why)
    for path in state.strange:
        yield Check("outbox", "fault", f"{path} is not a regular file and is skipped: remove it")
    if state.dead_letters:
        lost = f"{plural(state.dead_letters, 'event')} could not be stored"
        lost += f": see the reasons in {directory / DEAD_LETTERS}"
        newest = f" (the newest: {state.refusal})" if state.refusal else ""
        yield Check("outbox", "fault", f"{lost}{newest}, fix them, then `sagatrace ship --resend`")
    if state.refused:
        lost = f"{plural(state.refused, 'event')} lost because the outbox was full"
        yield Check("outbox", "fault", f"{lost}; `sagatrace ship --acknowledge` clears the count")


def _redis(patient: Patient) -> Iterator[Check]:
    url = patient.environ.get("SAGATRACE_REDIS_URL", "").strip()
    if not url:
        yield Check("redis", "off", "SAGATRACE_REDIS_URL is not set: workers use the Redis of their queue")
        return
    import redis

    from sagatrace.mirror import connect_redis

    try:
        with connect_redis(url, 3.0) as client:
            client.ping()
    except SettingsError as error:
        yield Check("redis", "fault", f"SAGATRACE_REDIS_URL: {error}", is_setting=True)
    except (redis.RedisError, OSError) as error:
        said = f"{masked(url)} does not answer ({redis_error_text(error)})"
        yield Check("redis", "fault", f"{said}: check SAGATRACE_REDIS_URL and the server")
    else:
        yield Check("redis", "ok", f"{masked(url)} answers")


def _mirror(patient: Patient) -> Iterator[Check]:
    settings = Settings.from_env(patient.environ)
    if not settings.mirror or patient.store is None:
        unset = "SAGATRACE_MIRROR is not set: the store is polled"
        why = "not checked: fix the store first" if settings.mirror else unset
        yield Check("mirror", "off", why)
        return
    from sagatrace.mirror import PULSE, Subscriber, open_mirror

    mirror = open_mirror(settings, patient.store.label)
    assert mirror is not None  # noqa: S101 - the setting is not empty
    news = threading.Event()
    subscriber = Subscriber(mirror, None, news.set, quiet=True)
    subscriber.start()
    deadline = time.monotonic() + PULSE + 1
    heard = subscriber.take()
    while time.monotonic() < deadline and not heard.live and heard.fault is None:
        news.wait(0.1)
        news.clear()
        heard = subscriber.take()
    subscriber.stop()
    if heard.live:
        yield Check("mirror", "ok", f"{mirror.label} answers, and a shipper publishes the events of this store there")
    elif heard.phase == "listening":
        said = f"{mirror.label} answers; no shipper publishes now (set SAGATRACE_MIRROR for workers too)"
        yield Check("mirror", "ok", said)
    else:
        yield Check("mirror", "fault", f"{mirror.label} does not answer ({heard.fault}): check SAGATRACE_MIRROR")


def _clock(patient: Patient) -> Iterator[Check]:
    offset: float | None = getattr(patient.store, "clock_offset", None)
    if offset is None:
        yield Check("clock", "off", "not checked: this store has no clock")
    elif abs(offset) <= _TOLERATED_OFFSET:
        yield Check("clock", "ok", f"within {_TOLERATED_OFFSET:g} s of the service's clock")
    else:
        ahead = "ahead of" if offset > 0 else "behind"
        said = f"this machine is {abs(offset):.0f} s {ahead} the service: events will be in the wrong order"
        yield Check("clock", "fault", f"{said}, and beyond 15 minutes its keys are refused. Set the clock (NTP)")


def _shown(cost: ReadCost) -> str:
    queries = f"{cost.queries} {'query' if cost.queries == 1 else 'queries'}"
    charge = "" if cost.request_units is None else f" · {cost.request_units:.1f} RU"
    return f"{queries}{charge} · {cost.milliseconds:.0f} ms"


CHECKS: Final[tuple[tuple[str, Callable[[Patient], Iterator[Check]]], ...]] = (
    ("settings", _settings),
    ("store", _store),
    ("container", _container),
    ("writing", _probe),
    ("outbox", _outbox),
    ("redis", _redis),
    ("mirror", _mirror),
    ("clock", _clock),
)
"""The checks with their subjects, in the order of running. Add a new check here."""
