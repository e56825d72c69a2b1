"""The shipper: deliver an outbox to a store, one sealed segment after the other, until stopped.

This module is longer than most: reading, locking and retrying share the state of one delivery.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sagatrace.errors import SagatraceError, ShipperRunningError
from sagatrace.files import is_regular, make_directory
from sagatrace.mirror import Publisher
from sagatrace.segments import ACTIVE, seal, sealed_segments
from sagatrace.shipper.aside import Aside
from sagatrace.shipper.delivery import Delivery
from sagatrace.shipper.lock import SHIPPER_LOCK, USERS_LOCK, is_at, require_owner, try_lock
from sagatrace.shipper.segment import Line, Segment, strange_files
from sagatrace.shipper.status import last_delivery
from sagatrace.shown import logger
from sagatrace.stores import EventStore

__all__ = ["Shipment", "Shipper"]

log: Final = logger("sagatrace.shipper")

_POLL: Final = 0.1  # seconds between two checks of an empty outbox
_FIRST_PAUSE: Final = 0.1
_LINGER: Final = 30.0  # seconds to retry a failing store after the last process stopped using the outbox
_LOG_AGAIN: Final = 600.0
_MAX_ASIDE: Final = 100  # events in memory that cannot be set aside now; beyond, delivery waits


@dataclass(frozen=True, slots=True)
class Shipment:
    """The result of one run. `fault` is the reason why events wait, or None. `retry_after` is in seconds."""

    delivered: int
    set_aside: int
    fault: str | None = None
    retry_after: float | None = None


class Shipper:
    """Deliver the events in `directory` to the store. A directory has only one shipper at a time.

    Args:
        directory: the outbox.
        store: the store.
        parallel: the number of traces sent in parallel. By default one for a local file, which allows one writer, and
            sixteen for a store on a network.
        max_pause: the longest pause in seconds before a failed store is tried again.
        grace: seconds to continue delivering after a request to stop.
        publisher: receives the stored events. `close` closes it.
    """

    def __init__(
        self,
        directory: Path,
        store: EventStore,
        *,
        parallel: int | None = None,
        max_pause: float = 15.0,
        grace: float = 5.0,
        publisher: Publisher | None = None,
    ) -> None:
        if parallel is None:
            parallel = 1 if store.label.startswith("sqlite:") else 16
        self._directory = directory
        self._max_pause = max_pause
        self._grace = grace
        self._stop = threading.Event()
        self._deadline: float | None = None
        self._publisher = publisher
        stored = None if publisher is None else publisher.offer
        self._delivery = Delivery(store, parallel=parallel, is_over=self._is_over, stored=stored)
        self._aside = Aside(directory)
        self._waiting: deque[Path] = deque()
        self._segment: Segment | None = None
        self._lock: int | None = None
        self._fault: str | None = None
        self._failures = 0
        self._logged_at = 0.0
        self._mute = False
        self._strange: set[Path] = set()
        self.lost_jobs: str | None = None  # why the search for lost jobs does not run
        self.delivered = 0
        self._delivered_at: float | None = None

    @property
    def set_aside(self) -> int:
        """The number of events and lines that became dead letters."""
        return self._aside.count

    def run_once(self) -> Shipment:
        """Deliver the waiting events, up to the first fault.

        Raises:
            ShipperRunningError: another shipper delivers the outbox.
            SagatraceError: the directory cannot be used.
        """
        with self._locked():
            return self._try()

    def follow(self, stop: threading.Event, *, while_used: bool = False) -> None:
        """Deliver waiting and new events until `stop`, then the remaining ones for at most `grace` seconds.

        With `while_used`, the shipper also ends when no process uses the outbox through a `ShipperKeeper`. The outbox
        must then be empty, or the store must have failed for half a minute.

        Raises:
            ShipperRunningError: another shipper delivers the outbox.
            SagatraceError: the directory cannot be used.
        """
        self._stop = stop
        if while_used and not (self._directory / USERS_LOCK).exists():
            return  # the directory was removed meanwhile: do not create it again
        with self._locked(make=not while_used):
            if self._publisher is not None:
                self._publisher.start()
            worked = time.monotonic()
            while not self._is_over() and self._owns_directory():
                shipment = self._try()
                if shipment.fault is None:
                    worked = time.monotonic()
                    if stop.is_set() or (while_used and self._may_leave()):
                        return
                elif while_used and time.monotonic() - worked > _LINGER and self._may_leave(even_if_waiting=True):
                    log.error("no process uses %s and the store fails: the events wait in this outbox", self._directory)
                    return
                self._rest(shipment)
            if not self._owns_directory():
                log.warning("%s was removed or replaced: the next shipper delivers new events", self._directory)

    def close(self) -> None:
        """End the threads."""
        self._delivery.close()
        if self._publisher is not None:
            self._publisher.close()

    def _drain(self) -> Shipment:
        delivered, set_aside = self.delivered, self.set_aside
        fault = retry_after = None
        while fault is None and not self._is_over() and self._load():
            outcome = self._delivery.send()
            self.delivered += outcome.delivered
            self._set_aside(outcome.refused)
            fault, retry_after = outcome.fault, outcome.retry_after
        return Shipment(self.delivered - delivered, self.set_aside - set_aside, fault, retry_after)

    def _load(self) -> bool:
        """Load lines if all are delivered. Return False if nothing waits. Raises OSError."""
        while self._delivery.done:
            full = self._aside.write()  # before its segment is removed, and after the other lines were delivered
            if (full is None or len(self._aside) <= _MAX_ASIDE) and self._read_on():
                continue
            if full is not None:
                raise full
            return False
        return True

    def _read_on(self) -> bool:
        """Load the next slice, or finish a segment. Return False if there is nothing to read now."""
        if self._segment is None:
            path = self._next_segment()
            if path is None:
                return False
            self._segment = Segment(path)
        read = self._segment.next_slice()
        if read is None:
            finished, self._segment = self._segment, None
            self._finish(finished)
            return True
        self._set_aside(read.broken)
        self._delivery.load(read.lines)
        return bool(read.lines or read.broken)

    def _finish(self, finished: Segment) -> None:
        """Finish a segment that was read to its end."""
        if finished.cut:
            log.info("%d unfinished lines skipped: their writers were killed before the events were kept", finished.cut)
        self._aside.finish(finished)

    def _next_segment(self) -> Path | None:
        """Return the oldest waiting segment; None if none waits, or if another shipper may own the directory."""
        if not self._owns_directory():
            return None
        # Seal the active file only when no older segment waits, so that an unreachable store leaves few files.
        if not self._waiting:
            self._waiting.extend(path for path in sealed_segments(self._directory) if not self._aside.waits_for(path))
            self._name_strange_files()
        if self._waiting:
            return self._waiting.popleft()
        return seal(self._directory)

    def _name_strange_files(self) -> None:
        """Log each directory or pipe with the name of a segment once."""
        for path in strange_files(self._directory):
            if path not in self._strange:
                self._strange.add(path)
                log.error("%s is not a regular file: skipped, remove it", path)

    def _try(self) -> Shipment:
        """Drain, and log each fault and its end once."""
        delivered, set_aside = self.delivered, self.set_aside
        try:
            shipment = self._drain()
        except OSError as error:
            fault = f"the outbox cannot be read or emptied: {error}"
            shipment = Shipment(self.delivered - delivered, self.set_aside - set_aside, fault)
        if shipment.fault is None:
            if self._fault is not None:
                log.info("delivering again: %d events so far", self.delivered)
            self._failures = 0
        else:
            self._failures += 1
            # Once for each outage. A new text is logged every ten minutes, as the text may differ with every call.
            is_due = time.monotonic() > self._logged_at + _LOG_AGAIN
            if self._fault is None or (shipment.fault != self._fault and is_due):
                self._logged_at = time.monotonic()
                log.warning("events wait in %s, retrying until it works: %s", self._directory, shipment.fault)
        if shipment.delivered:
            self._delivered_at = time.time()
        if shipment.fault != self._fault or shipment.delivered or shipment.set_aside:
            self._fault = shipment.fault
            self._write_state()
        return shipment

    def _rest(self, shipment: Shipment) -> None:
        pause = _POLL
        if shipment.fault is not None:
            longest = min(self._max_pause, _FIRST_PAUSE * 2 ** min(self._failures - 1, 16))
            # Many shippers see the same fault at the same moment, and their retries must not coincide.
            pause = max(longest * random.uniform(0.5, 1.0), (shipment.retry_after or 0.0) * random.uniform(1.0, 1.1))  # noqa: S311
        if not self._stop.wait(pause):
            return
        if not self._is_over() and self._deadline is not None:
            time.sleep(min(pause, max(0.0, self._deadline - time.monotonic())))

    def _is_over(self) -> bool:
        """Return whether the grace period after `stop` has passed."""
        if not self._stop.is_set():
            return False
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace
        return time.monotonic() >= self._deadline

    def _set_aside(self, letters: Iterable[tuple[Line | bytes, str]]) -> None:
        if self._segment is not None:  # all lines in memory are from it
            self._aside.add(self._segment, letters)

    @contextmanager
    def _locked(self, *, make: bool = True) -> Iterator[None]:
        try:
            if make:
                make_directory(self._directory)
            require_owner(self._directory)
            lock = self._take_lock(self._directory / SHIPPER_LOCK)
            self._delivered_at = self._delivered_at or last_delivery(self._directory)
        except OSError as error:
            raise SagatraceError(f"cannot use the outbox {self._directory}: {error}") from error
        self._lock = lock
        self._write_state()
        try:
            yield
        finally:
            self._forget()
            self._unlock()

    def _forget(self) -> None:
        """Forget lines that were read but not delivered. The next shipper reads them again."""
        self._delivery.load([])
        self._aside.clear()
        self._waiting.clear()
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _take_lock(self, path: Path) -> int:
        deadline = time.monotonic() + 0.1
        while (lock := try_lock(path)) is None:
            if time.monotonic() > deadline:  # longer than `is_held` takes it
                raise ShipperRunningError(f"another shipper delivers {self._directory}: {path.read_text()}")
            time.sleep(0.005)
        return lock

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _owns_directory(self) -> bool:
        """Return whether the directory is still the locked one. A new directory may have its own shipper."""
        try:
            return self._lock is not None and is_at(self._lock, self._directory / SHIPPER_LOCK)
        except OSError:
            return False

    def _may_leave(self, *, even_if_waiting: bool = False) -> bool:
        """Return whether no process uses the outbox and no event waits. If so, release the lock."""
        try:
            users = try_lock(self._directory / USERS_LOCK)
        except OSError:
            return not self._owns_directory()  # removed
        if users is None:
            return False
        try:
            if not even_if_waiting and (is_regular(self._directory / ACTIVE) or sealed_segments(self._directory)):
                return False
            self._unlock()
            return True
        finally:
            os.close(users)

    def _write_state(self) -> None:
        """Write this process and its counts to the lock file, for `describe_outbox`."""
        if self._lock is None:
            return
        state = {
            "pid": os.getpid(),
            "delivered": self.delivered,
            "set_aside": self.set_aside,
            "fault": self._fault,
            "lost_jobs": self.lost_jobs,
            "delivered_at": self._delivered_at,
        }
        text = json.dumps(state).encode()
        try:
            # This order needs no new space on a full disk.
            written = os.pwrite(self._lock, text, 0)
            os.ftruncate(self._lock, written)
        except OSError as error:  # delivery frees the disk, so it must continue without the state
            if not self._mute:
                self._mute = True
                log.warning("the state cannot be written to %s: %s", self._directory / SHIPPER_LOCK, error)
