"""Receive published events in a separate thread, and report possible losses of events."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNREADABLE, TraceEvent
from sagatrace.mirror.address import MAX_MESSAGE, PULSE, Mirror, redis_error_text
from sagatrace.mirror.connection_state import Link, Phase
from sagatrace.shown import logger
from sagatrace.stores.codec import decode_event

__all__ = ["Heard", "Subscriber"]

log: Final = logger("sagatrace.mirror")

_FIRST_REST: Final = 0.1  # seconds before the next attempt; doubled with each failure
_LONGEST_REST: Final = 5.0
_WAKE: Final = 0.25  # seconds between two checks of the time
_ASK_AFTER: Final = PULSE + 0.5  # seconds of silence after which a PING checks the connection
_ANSWER_WITHIN: Final = 2.0
_MOST_BYTES: Final = 2 * MAX_MESSAGE  # bytes of a message; publishers send far less


class Heard(msgspec.Struct, frozen=True):
    """The events received since the last `take`, and the state of the connection.

    Attributes:
        events: the events received.
        missed: whether events may be missing, so that the store must be read.
        phase: the state of the connection.
        live: whether a publisher is known to be active.
        ignored: the number of messages so far that are not events, or belong to another trace than the channel.
        fault: the error of the last attempt to connect; None if it succeeded.
    """

    events: tuple[TraceEvent, ...]
    missed: bool
    phase: Phase
    live: bool
    ignored: int
    fault: str | None


class _Reference(msgspec.Struct):
    """A reference to an event in the store that is too large to publish, or whose id may belong to another event."""

    id: str
    trace_id: str


class Subscriber:
    """Subscribes to one trace, or to all traces with None. Reconnects after each loss until `stop`.

    `wake` is called in the subscriber's thread when there are events or a new state to `take`. At most `max_waiting`
    events wait, with about `max_bytes` bytes. With more, all are dropped and reported as missed. With `quiet` a lost
    connection is not logged, for a caller that reports it.
    """

    def __init__(
        self,
        mirror: Mirror,
        trace_id: str | None,
        wake: Callable[[], object],
        *,
        max_waiting: int = 20_000,
        max_bytes: int = 32 << 20,
        quiet: bool = False,
    ) -> None:
        self._mirror = mirror
        self._trace_id = trace_id
        self._channel = mirror.all_channel if trace_id is None else mirror.trace_channel(trace_id)
        self._wake = wake
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._quiet = quiet
        self._lock = threading.Lock()
        self._link = Link(hears_all=trace_id is None)
        self._events: list[TraceEvent] = []
        self._bytes = 0
        self._missed = False
        self._gaps = 0
        self._last_state: tuple[Phase, bool, int] = ("connecting", False, 0)
        self._fault: str | None = None
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="sagatrace-subscriber", daemon=True)

    def start(self) -> None:
        """Start the thread, which connects."""
        self.thread.start()

    def stop(self) -> None:
        """Stop receiving. The thread ends within about two seconds."""
        self._stopped.set()

    def take(self) -> Heard:
        """Return the events received since the last call, and the state of the connection."""
        now = time.monotonic()
        with self._lock:
            self._link.tick(now)
            events, self._events, self._bytes = tuple(self._events), [], 0
            missed = self._missed or self._link.gaps != self._gaps
            self._missed, self._gaps = False, self._link.gaps
            link = self._link
            return Heard(events, missed, link.phase, link.is_live(now), link.ignored, self._fault)

    def _run(self) -> None:
        rest = 0.0
        while not self._stopped.wait(rest * random.uniform(0.7, 1.0)):  # noqa: S311 - spreads the attempts of many readers
            began = self._link.gaps
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - reported and retried; no error may end the thread
                self._lost(error)
            # Retry soon after a working connection, and less often after each failed attempt.
            rest = _FIRST_REST if self._link.gaps != began else min(_LONGEST_REST, 2 * rest or _FIRST_REST)

    def _lost(self, error: Exception) -> None:
        fault = redis_error_text(error)
        self._mirror.heard_at = float("-inf")
        with self._lock:
            is_news, self._fault = self._fault is None, fault
            self._link.closed()
        if is_news and not self._quiet:
            log.warning("the mirror %s cannot be read, the store is read instead: %s", self._mirror.label, fault)
        self._wake()

    def _listen(self) -> None:
        """Subscribe, and receive until the connection is lost. Raises redis-py's errors and TimeoutError."""
        with self._mirror.connect() as client, client.pubsub() as heard:
            heard.subscribe(self._channel, self._mirror.pulse_channel)
            confirmed: set[str] = set()
            latest = time.monotonic()
            asked = False
            while not self._stopped.is_set():
                message = heard.get_message(timeout=_WAKE)
                now = time.monotonic()
                if message is not None:
                    latest, asked = now, False
                    self._take_in(message, confirmed, now)
                elif now - latest > _ASK_AFTER + _ANSWER_WITHIN or (
                    len(confirmed) < 2 and now - latest > _ANSWER_WITHIN
                ):
                    raise TimeoutError(f"Redis has not answered for {now - latest:.0f} s")
                elif now - latest > _ASK_AFTER and not asked:
                    asked = True
                    heard.ping()
                self._wake_owner(now)

    def _take_in(self, message: dict[str, Any], confirmed: set[str], now: float) -> None:
        channel = message["channel"].decode() if isinstance(message["channel"], bytes) else str(message["channel"])
        if message["type"] == "subscribe":
            confirmed.add(channel)
            if len(confirmed) == 2:  # also after a reconnection by redis-py itself
                with self._lock:
                    self._link.opened(self._mirror.heard_at)
                    self._fault = None
        elif message["type"] == "message":
            with self._lock:
                if channel == self._mirror.pulse_channel:
                    self._link.pulse(message["data"], now)
                    self._mirror.heard_at = now if self._link.is_live(now) else float("-inf")
                else:
                    self._hear(message["data"], now)

    def _hear(self, document: bytes, now: float) -> None:
        event = self._read(document)
        self._link.event(now, sound=event is not None)
        if event is None:
            return
        full = len(self._events) >= self._max_waiting or self._bytes + len(document) > self._max_bytes
        if full or isinstance(event, _Reference):
            self._missed = True
        if full:
            self._events, self._bytes = [], 0
        elif isinstance(event, TraceEvent):
            self._events.append(event)
            self._bytes += len(document)

    def _read(self, document: bytes) -> TraceEvent | _Reference | None:
        """Return the event or its reference; None for another message, or for another trace than the channel's."""
        if len(document) > _MOST_BYTES:
            return None
        event: TraceEvent | _Reference
        try:
            event = decode_event(document)
        except EventError:
            try:
                event = msgspec.json.decode(document, type=_Reference)
            except UNREADABLE:
                return None
        return event if self._trace_id in (None, event.trace_id) else None

    def _wake_owner(self, now: float) -> None:
        """Call `wake` if there are events to take or the state changed."""
        with self._lock:
            self._link.tick(now)
            state = (self._link.phase, self._link.is_live(now), self._link.gaps)
            news = bool(self._events) or self._missed or state != self._last_state
            self._last_state = state
        if news:
            self._wake()
