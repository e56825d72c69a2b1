"""The state of a subscriber's connection and its publishers. Pure: no clock and no network."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sagatrace.event import UNREADABLE
from sagatrace.mirror.address import PULSE

__all__ = ["SILENCE", "Link", "Phase"]

SILENCE: Final = 2.5 * PULSE
"""Seconds without a pulse after which a publisher counts as gone."""
_MOST: Final = 1000  # the most publishers tracked
_LONGEST: Final = 1000  # bytes of a pulse; publishers send a fifth of that

Phase = Literal["connecting", "listening", "lost"]


class _Pulse(msgspec.Struct):
    """The pulse of a publisher. Older versions send no `ends`."""

    publisher: str
    published: int
    lost: int
    ends: bool = False


def _read(message: bytes) -> _Pulse | None:
    if len(message) > _LONGEST:
        return None
    try:
        return msgspec.json.decode(message, type=_Pulse)
    except UNREADABLE:
        return None


class _Publisher(msgspec.Struct):
    pulse: _Pulse
    at: float
    heard: int  # messages received before this pulse


class Link(msgspec.Struct):
    """The state of a connection, its publishers, and the number of possible losses of events (`gaps`).

    With `hears_all` the subscription covers all traces. Then a publisher's count is compared with the number of
    messages received. Times are seconds of a monotonic clock.
    """

    hears_all: bool
    phase: Phase = "connecting"
    gaps: int = 0
    ignored: int = 0
    _heard: int = 0
    _heard_at: float = float("-inf")
    _publishers: dict[str, _Publisher] = msgspec.field(default_factory=dict)

    def opened(self, heard_at: float = float("-inf")) -> None:
        """Record that Redis confirmed the subscription. Earlier events were missed.

        `heard_at` is the time at which another subscriber of the same mirror last heard a publisher.
        """
        self.phase = "listening"
        self._publishers.clear()
        self._heard_at = heard_at
        self.gaps += 1

    def closed(self) -> None:
        """Record that the connection was lost, or could not be made."""
        self.phase = "lost"

    def event(self, now: float, *, sound: bool = True) -> None:
        """Record a message on the channel of events. `sound`: it is an event."""
        self._heard += 1
        if sound:
            self._heard_at = now
        else:
            self.ignored += 1

    def pulse(self, message: bytes, now: float) -> None:
        """Record a message on the channel of pulses."""
        pulse = _read(message)
        if pulse is None:
            self.ignored += 1
            return
        before = self._publishers.pop(pulse.publisher, None)
        if self._missed_events(pulse, before):
            self.gaps += 1
        if not pulse.ends and len(self._publishers) < _MOST:
            self._publishers[pulse.publisher] = _Publisher(pulse, now, self._heard)

    def _missed_events(self, pulse: _Pulse, before: _Publisher | None) -> bool:
        if before is None:  # the losses may have come after the store was read
            return pulse.lost > 0
        if pulse.lost != before.pulse.lost:
            return True
        # Redis keeps the order: the publisher's events since its last pulse have arrived before this pulse.
        # Other publishers' events count as received too, so only a shortfall proves a gap.
        return self.hears_all and pulse.published - before.pulse.published > self._heard - before.heard

    def tick(self, now: float) -> None:
        """Count a gap for each publisher that has been silent too long. It may still publish, unheard."""
        for name in [name for name, one in self._publishers.items() if now - one.at > SILENCE]:
            del self._publishers[name]
            self.gaps += 1

    def is_live(self, now: float) -> bool:
        """Return whether the connection is open and a publisher was heard recently."""
        return self.phase == "listening" and (bool(self._publishers) or now - self._heard_at <= SILENCE)
