"""What a subscriber knows of its connection and of those who publish: pure, told everything, asked for the state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from sagatrace.event import UNREADABLE
from sagatrace.mirror.address import PULSE

__all__ = ["SILENCE", "Link", "Phase"]

SILENCE: Final = 2.5 * PULSE
"""Seconds without a pulse after which a publisher counts as gone."""
_MOST: Final = 1000  # publishers kept in mind
_LONGEST: Final = 1000  # bytes of a pulse; a publisher's is a fifth of that

Phase = Literal["connecting", "listening", "lost"]


class _Pulse(msgspec.Struct):
    """What a publisher tells of itself; older ones do not tell that they end."""

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


@dataclass(slots=True)
class _Publisher:
    pulse: _Pulse
    at: float
    heard: int  # messages that had come in when this pulse did


@dataclass(slots=True)
class Link:
    """Where the connection stands, whether anybody publishes, and how often something may have been missed (`gaps`).

    `hears_all` says that every event is to be heard, of all traces: then a publisher's count can be held against what
    came in. Times are seconds of a monotonic clock.
    """

    hears_all: bool
    phase: Phase = "connecting"
    gaps: int = 0
    ignored: int = 0
    _heard: int = 0
    _heard_at: float = float("-inf")
    _publishers: dict[str, _Publisher] = field(default_factory=dict)

    def opened(self, heard_at: float = float("-inf")) -> None:
        """Redis has confirmed the subscription: what came before it was missed.

        `heard_at` is when another subscriber of the same mirror last heard somebody publish.
        """
        self.phase = "listening"
        self._publishers.clear()
        self._heard_at = heard_at
        self.gaps += 1

    def closed(self) -> None:
        """The connection is gone, or none could be made."""
        self.phase = "lost"

    def event(self, now: float, *, sound: bool = True) -> None:
        """A message came on the channel of events; `sound` says that it is one."""
        self._heard += 1
        if sound:
            self._heard_at = now
        else:
            self.ignored += 1

    def pulse(self, message: bytes, now: float) -> None:
        """A message came on the channel of pulses."""
        told = _read(message)
        if told is None:
            self.ignored += 1
            return
        before = self._publishers.pop(told.publisher, None)
        if self._tells_of_a_gap(told, before):
            self.gaps += 1
        if not told.ends and len(self._publishers) < _MOST:
            self._publishers[told.publisher] = _Publisher(told, now, self._heard)

    def _tells_of_a_gap(self, told: _Pulse, before: _Publisher | None) -> bool:
        if before is None:  # what it lost so far may have been lost since the store was read
            return told.lost > 0
        if told.lost != before.pulse.lost:
            return True
        # Redis keeps the order, so all it published in between has come in before this pulse; others' may have too.
        return self.hears_all and told.published - before.pulse.published > self._heard - before.heard

    def tick(self, now: float) -> None:
        """Time has passed: who has not been heard of for too long may go on unheard."""
        for name in [name for name, one in self._publishers.items() if now - one.at > SILENCE]:
            del self._publishers[name]
            self.gaps += 1

    def is_live(self, now: float) -> bool:
        """Whether somebody was heard publishing of late, on a connection that stands."""
        return self.phase == "listening" and (bool(self._publishers) or now - self._heard_at <= SILENCE)
