"""Find jobs without a recorded end, and record their end from their state in Redis.

    python -m sagatrace.rq.reconciler            search once in the last hour
    python -m sagatrace.rq.reconciler --follow   and continue until interrupted

RQ has no hook for a job that is cancelled or expires in its queue. RQ also has no hook for a job of a dead worker that
another program cleaned up, such as `rq info` or a dashboard. So the reconciler reads each trace of the store after it
has been quiet for a while. If an attempt has no end, or a job waits, the reconciler reads the job's state in Redis. It
reads the keys directly, because RQ's registries clean up when they are read. It writes one key of this package, which
names the process whose turn it is.

A concluded end is marked as presumed. It never replaces an observed end, and an observed end replaces it. It has no
data of the job, because the redaction of the job's events is not available here.

A worker's shipper does this for the Redis of that worker (or SAGATRACE_REDIS_URL), after it has run for a minute.
SAGATRACE_RECONCILE is the number of seconds between two searches, and of silence before a search, or `off`. Only events
that name the same Redis count, or the local Redis of a host that had another name then. The end of a job with such an
event is recorded only if this Redis knows the job.

This module is longer than most: one search needs both the events and the state in Redis.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from redis import Redis, RedisError

from sagatrace.destination import outbox_directory
from sagatrace.error_stream import print_errors_plainly
from sagatrace.errors import EventError, SagatraceError, StoreNotFoundError
from sagatrace.event import Status, TraceEvent, new_event
from sagatrace.mirror import connect_redis
from sagatrace.mirror.address import redis_error_text
from sagatrace.outbox import Outbox
from sagatrace.phases import split_event_type
from sagatrace.rq.job_lookup import Aftermath, read_aftermath
from sagatrace.rq.redis_address import is_perhaps, place_of_redis
from sagatrace.rq.turn import Turn
from sagatrace.settings import Settings
from sagatrace.shown import logger
from sagatrace.stop_signals import stop_on_signals
from sagatrace.stores import EventStore, Search, open_store
from sagatrace.timestamps import utc_timestamp

__all__ = ["REDIS_URL", "Reconciler", "main"]

log: Final = logger("sagatrace.rq.reconciler")

REDIS_URL: Final = "SAGATRACE_REDIS_URL"
_WAITING: Final = frozenset({"enqueued", "scheduled", "deferred", "retrying"})
_STATUSES: Final[dict[str, Status]] = {"completed": "success", "failed": "failed", "abandoned": "failed"}
_OVERLAP: Final = 120.0  # seconds that searches overlap, because events can be delivered late
_EVERY: Final = 60.0  # seconds between two searches
_PAGE: Final = 200
_MAX_KNOWN: Final = 20_000


class Target(Protocol):
    """A receiver of events: a store or an outbox."""

    def append(self, events: Sequence[TraceEvent], replace: bool = False) -> int:
        """Store the events. An event with an id that is already stored is not replaced."""
        ...


@dataclass(frozen=True, slots=True)
class _Open:
    """An open job: it runs if `execution_id` is set, else it waits. `last` is its latest event.

    `host` is set if the job may belong to another Redis: the local Redis of that host.
    """

    last: TraceEvent
    facts: dict[str, Any]
    execution_id: str | None
    host: str | None

    @property
    def event_id(self) -> str:
        """The id of the event that ends the job. For an execution, worker and work-horse use the same id."""
        return f"{self.execution_id}:end" if self.execution_id else f"{self.last.id}:after"


class Reconciler:
    """Searches the traces in `store` for lost jobs, and records their ends in `target`.

    Args:
        store: the store to read.
        target: receives the ends.
        redis: the Redis of RQ.
        grace: seconds to wait after a job's last event, and after RQ gave the job up, before its end is concluded.
        window: seconds that the first search goes back.
    """

    def __init__(
        self, store: EventStore, target: Target, redis: Redis, *, grace: float = 60.0, window: float = 3600.0
    ) -> None:
        self._store, self._target, self._redis = store, target, redis
        self._grace, self._window = grace, window
        self._place = place_of_redis(redis)
        self._since = 0.0
        self._known: dict[str, tuple[int, list[_Open]]] = {}  # trace id → its latest event when read, its open jobs
        self._logged: set[str] = set()
        self.recorded = 0

    def follow(self, stop: threading.Event, *, every: float = _EVERY) -> None:
        """Search every `every` seconds until `stop` is set. Log each fault once and continue.

        Only one process searches a store for one Redis, because the store may charge for a search.
        """
        turn = Turn(self._redis, self._store.label, every)
        try:
            while not stop.wait(every):
                self._look_in_turn(turn)
        finally:
            turn.give_up()

    def _look_in_turn(self, turn: Turn) -> None:
        try:
            if self._is_ours(turn):
                self.look()
        except (SagatraceError, RedisError, OSError) as error:
            self._log_once(f"the search for lost jobs failed, retrying: {redis_error_text(error)}")
        except Exception as error:  # noqa: BLE001 - an unexpected document must not end all searches
            self._log_once(f"the search for lost jobs failed unexpectedly, retrying: {error!r}")

    def _is_ours(self, turn: Turn) -> bool:
        """Return whether this process searches. If the turn cannot be taken, all processes search."""
        try:
            return turn.is_ours()
        except RedisError as error:
            self._log_once(
                f"every process searches for lost jobs, as none can take the turn: {redis_error_text(error)}"
            )
            return True

    def look(self) -> int:
        """Search once. Return the number of ends recorded.

        Raises:
            SagatraceError: the store or the target cannot be used.
            RedisError: Redis cannot be read.
        """
        if self._place is None:
            self._log_once(
                "lost jobs are not searched for: the connection has no address by which events name its Redis"
            )
            return 0
        before, now = self.recorded, time.time()
        quiet = list(islice(self._quiet_traces(now), _MAX_KNOWN))
        if len(quiet) == _MAX_KNOWN:
            self._log_once(
                f"more than {_MAX_KNOWN:,} traces since the last search: older traces are not searched for lost jobs"
            )
        for trace_id, latest in quiet:
            if self._known.get(trace_id, (None,))[0] != latest:
                self._known.pop(trace_id, None)  # reinserted below as the newest
                self._known[trace_id] = (latest, list(self._open_in(trace_id, now)))
        for trace_id, (latest, opens) in list(self._known.items()):
            if any(self._conclude(found, now) for found in opens):
                self._known[trace_id] = (latest, self._settle(trace_id, now))
        self._since = now - _OVERLAP
        while len(self._known) > _MAX_KNOWN:  # forget the oldest traces; readers judge their open jobs
            self._known.pop(next(iter(self._known)))
        return self.recorded - before

    def _quiet_traces(self, now: float) -> Iterator[tuple[str, int]]:
        """Yield the traces with an event between the last search and the grace period, newest first."""
        since = int((self._since or now - self._window) * 1e6)
        search = Search(limit=_PAGE, since=since, until=int((now - self._grace) * 1e6))
        while True:
            try:
                hits = self._store.search(search)
            except StoreNotFoundError:  # no event was ever written
                return
            for hit in hits:
                yield hit.trace_id, hit.latest
            if len(hits) < _PAGE:
                return
            search = search.after(hits[-1])

    def _log_once(self, cause: str) -> None:
        cause = cause[:1000]
        if cause not in self._logged and len(self._logged) < _MAX_KNOWN:
            self._logged.add(cause)
            log.warning("%s", cause)

    def _settle(self, trace_id: str, now: float) -> list[_Open]:
        """Record the missing ends. Return the jobs that stay open. Workers may have recorded ends meanwhile."""
        opens = list(self._open_in(trace_id, now))
        ends = {found.event_id: end for found in opens if (end := self._conclude(found, now))}
        if ends:
            self._target.append(list(ends.values()))
            self.recorded += len(ends)
            log.info("trace %s: recorded the end of %d lost jobs", trace_id, len(ends))
        return [found for found in opens if found.event_id not in ends]

    def _open_in(self, trace_id: str, now: float) -> Iterator[_Open]:
        events = self._store.fetch_trace(trace_id).events
        spans: dict[str, list[TraceEvent]] = {}
        for event in events:
            if event.event_type.startswith("job:"):
                spans.setdefault(event.span_id, []).append(event)
        known = {event.id for event in events}
        for span in spans.values():
            span.sort(key=lambda event: (event.micros, event.id))
            if span[-1].micros / 1e6 > now - self._grace:
                continue
            facts = _facts(span)
            place, host = _origin(span)
            is_sure = place == self._place
            if not is_sure and not is_perhaps(place, host, self._place or ""):
                continue
            doubt = None if is_sure else host
            running = [event for event in span if event.id.endswith(":start") and f"{event.id[:-6]}:end" not in known]
            for event in running:
                yield _Open(event, {**facts, **_facts([event])}, event.id[:-6], doubt)
            waits = split_event_type(span[-1].event_type)[1] in _WAITING
            if not running and waits and f"{span[-1].id}:after" not in known:
                yield _Open(span[-1], facts, None, doubt)

    def _conclude(self, found: _Open, now: float) -> TraceEvent | None:
        """Return the event that ends the job; None if no end can be concluded now."""
        job_id, queue = str(found.facts.get("job_id")), str(found.facts.get("queue"))
        held = read_aftermath(self._redis, job_id, queue, found.execution_id)
        if found.host is not None and not _is_same_job(job_id, held):
            local = f"jobs that began with the local Redis of {found.host}"
            self._log_once(f"this Redis does not know {local}: no end is recorded for them")
            return None
        if found.execution_id is None:
            end = _end_of_waiting(held)
        elif held.expires is not None and held.expires > now - self._grace:
            end = None
        else:
            lapsed = "no sign of life from its worker: " if held.expires is not None else ""
            end = (held.phase, f"{lapsed}{held.reason}")
        if end is None:
            return None
        phase, reason = end
        data = {"job_id": job_id, "host": socket.gethostname(), "presumed": True, "reason": reason}
        if found.execution_id is not None and isinstance(found.facts.get("attempt"), int):
            data["attempt"] = found.facts["attempt"]
        return new_event(
            id=found.event_id,
            trace_id=found.last.trace_id,
            span_id=found.last.span_id,
            parent_span_id=found.last.parent_span_id,
            event_type=f"job:{phase}",
            status=_STATUSES.get(phase),
            timestamp=utc_timestamp(held.ended_at) if held.ended_at else None,
            data=data,
        )


def _facts(span: Sequence[TraceEvent]) -> dict[str, Any]:
    """Return the data of a span's events. Later values replace earlier ones."""
    facts: dict[str, Any] = {}
    for event in span:
        try:
            facts |= event.data
        except EventError:  # the trace reports it as an anomaly
            continue
    return facts


def _origin(span: Sequence[TraceEvent]) -> tuple[object, str]:
    """Return the latest name of the job's Redis, and the host that wrote it."""
    for event in reversed(span):
        facts = _facts([event])
        if "redis" in facts:
            return facts["redis"], str(facts.get("host"))
    return None, ""


def _is_same_job(job_id: str, held: Aftermath) -> bool:
    """Return whether Redis knows this job: its execution, or a job with an id that RQ generated."""
    made_by_rq = len(job_id) == 36 and job_id.count("-") == 4
    return held.result is not None or held.expires is not None or (made_by_rq and held.status is not None)


def _end_of_waiting(held: Aftermath) -> tuple[str, str] | None:
    if held.status is None:
        return "canceled", "gone from Redis before any attempt was recorded: it expired in the queue or was deleted"
    if held.status in ("finished", "failed", "stopped", "canceled"):
        return held.phase, f"RQ holds the job as {held.status}, and no attempt is recorded"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run the reconciler. Return 0 if all traces were searched, else 1."""
    parser = argparse.ArgumentParser("sagatrace.rq.reconciler", description="Find lost jobs and record their ends.")
    parser.add_argument("--redis-url", default=os.environ.get(REDIS_URL) or os.environ.get("RQ_REDIS_URL"))
    parser.add_argument("--follow", action="store_true", help="continue until interrupted")
    parser.add_argument("--grace", type=float, default=60.0, help="seconds of silence before an end is concluded")
    print_errors_plainly()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s reconciler[%(process)d] %(levelname)s %(message)s")
    if not options.redis_url:
        parser.error(f"no Redis: give --redis-url redis://HOST:PORT/DB, or set {REDIS_URL}")
    try:
        return _run(options)
    except SagatraceError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says how to fix it
    except RedisError as error:
        log.error("lost jobs cannot be searched for: %s", redis_error_text(error))  # noqa: TRY400 - as above
    return 1


def _run(options: argparse.Namespace) -> int:
    settings = Settings.from_env()
    store = open_store(settings.store, max_wait=settings.max_wait, durable=settings.fsync)
    directory = outbox_directory(settings, in_worker=True)
    # Without a shipper, events in an outbox would never reach the store.
    target: Target = store
    if directory is not None and directory.exists():
        target = Outbox(directory, max_bytes=int(settings.outbox_mb * 2**20), fsync=settings.fsync)
    with connect_redis(options.redis_url, settings.max_wait) as redis:
        reconciler = Reconciler(store, target, redis, grace=options.grace)
        if options.follow:
            stop = stop_on_signals()
            reconciler.look()
            reconciler.follow(stop, every=settings.reconcile or _EVERY)
        else:
            log.info("recorded the end of %d lost jobs", reconciler.look())
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
