"""Publish stored events, and a pulse every few seconds, in a separate thread."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from sagatrace.event import TraceEvent, encode_event
from sagatrace.mirror.address import MAX_MESSAGE, PULSE, Mirror, redis_error_text
from sagatrace.shown import logger

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["Publisher"]

log: Final = logger("sagatrace.mirror")

_BATCH: Final = 500  # events in one round trip
_FIRST_REST: Final = 0.5  # seconds before the next attempt after a failure; doubled with each further failure
_LONGEST_REST: Final = 15.0
_LAST_WORDS: Final = 0.5  # seconds to publish the remaining events at the end


class Publisher:
    """Publishes events in a separate thread, so `offer` never waits for Redis. Not for a process that forks.

    At most `max_waiting` events and `max_bytes` wait for a slow Redis. Further events are dropped. `published` and
    `lost` count events.
    """

    def __init__(self, mirror: Mirror, *, max_waiting: int = 10_000, max_bytes: int = 16 << 20) -> None:
        self._mirror = mirror
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._sending = 0  # events that left `_waiting` and are neither published nor lost yet
        self._ends_at: float | None = None
        self._client: Redis | None = None
        self._rest = 0.0
        self._closed_until = 0.0  # the circuit breaker: no attempt before that time
        self._logged: set[str] = set()
        self._name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._thread = threading.Thread(target=self._run, name="sagatrace-mirror", daemon=True)
        self.published = 0
        self.lost = 0

    def start(self) -> None:
        """Start the thread, which begins to send pulses."""
        with self._changed:  # threads that deliver traces in parallel may offer their first events at once
            if not self._thread.is_alive() and self._ends_at is None:
                self._thread.start()

    def offer(self, events: Iterable[TraceEvent], doubtful: bool = False) -> None:
        """Queue stored events and return immediately.

        With `doubtful` only the ids are published, because the store may hold other events with these ids.
        """
        messages = [(event.trace_id, _name_of(event) if doubtful else _message(event)) for event in events]
        with self._changed:
            for trace_id, message in messages:
                full = len(self._waiting) >= self._max_waiting or self._bytes + len(message) > self._max_bytes
                if full or time.monotonic() < self._closed_until:
                    self._lose(1, "Redis is too slow for the events" if full else None)
                    continue
                self._waiting.append((trace_id, message))
                self._bytes += len(message)
            self._changed.notify()
        self.start()

    def close(self) -> None:
        """Publish the waiting events for at most half a second, and end the thread."""
        with self._changed:
            self._ends_at = time.monotonic() + _LAST_WORDS
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_LAST_WORDS)
        with self._changed:
            # The outcome of a running attempt is unknown, so its events count as lost.
            self._lose(len(self._waiting) + self._sent(), "Redis did not accept the last events in time")
            self._waiting.clear()

    def _run(self) -> None:
        next_pulse = 0.0
        while not self._is_over():
            with self._changed:
                wake = max(next_pulse, self._closed_until) - time.monotonic()
                if not self._waiting and self._ends_at is None and wake > 0:
                    self._changed.wait(wake)
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                self._bytes -= sum(len(message) for _, message in batch)
                self._sending = len(batch)
            if time.monotonic() < self._closed_until:
                self._lose(self._sent(), None)
                continue
            pulse = time.monotonic() >= next_pulse
            if batch or pulse:
                self._try(batch, pulse=pulse)
                next_pulse = time.monotonic() + PULSE if pulse else next_pulse
        if self._client is not None:
            self._try([], pulse=True)  # a last pulse, so that subscribers do not count a gap
        self._disconnect()

    def _is_over(self) -> bool:
        with self._changed:
            return self._ends_at is not None and (not self._waiting or time.monotonic() >= self._ends_at)

    def _try(self, batch: list[tuple[str, bytes]], *, pulse: bool) -> None:
        try:
            self._publish(batch, pulse=pulse)
        except Exception as error:  # noqa: BLE001 - counted and logged; no error may end the thread
            self._disconnect()
            self._rest = min(_LONGEST_REST, 2 * self._rest or _FIRST_REST)
            self._closed_until = time.monotonic() + self._rest
            self._lose(self._sent(), redis_error_text(error))
            return
        if self._rest:
            log.info("publishing to %s again; %d events were not published", self._mirror.label, self.lost)
            self._logged.clear()
        self._rest = 0.0
        self.published += self._sent()

    def _publish(self, batch: list[tuple[str, bytes]], *, pulse: bool) -> None:
        if self._client is None:
            self._client = self._mirror.connect()
        pipeline = self._client.pipeline(transaction=False)
        for trace_id, message in batch:
            pipeline.publish(self._mirror.trace_channel(trace_id), message)
            pipeline.publish(self._mirror.all_channel, message)
        if pulse:
            state = {
                "publisher": self._name,
                "published": self.published + len(batch),
                "lost": self.lost,
                "ends": self._ends_at is not None and not self._waiting,
            }
            pipeline.publish(self._mirror.pulse_channel, msgspec.json.encode(state))
        pipeline.execute()

    def _sent(self) -> int:
        """Return the number of events being sent, and reset it. The caller counts them."""
        with self._changed:
            count, self._sending = self._sending, 0
            return count

    def _lose(self, count: int, why: str | None) -> None:
        """Count lost events. Log each cause once until publishing works again. `why` None: it is logged already."""
        with self._changed:
            self.lost += count
        cause = (why or "").partition(":")[0]
        if why is not None and cause not in self._logged and (count or self._rest):
            self._logged.add(cause)
            log.warning("the mirror %s does not accept events (they are in the store): %s", self._mirror.label, why)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _message(event: TraceEvent) -> bytes:
    document = encode_event(event)
    if len(document) <= MAX_MESSAGE:
        return document
    return _name_of(event)


def _name_of(event: TraceEvent) -> bytes:
    return msgspec.json.encode({"id": event.id, "trace_id": event.trace_id})
