"""How up to date a screen is: one of four states, and its words. Pure."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sagatrace.mirror import Heard

__all__ = ["CALM", "QUIET", "SWEEP", "LiveStatus", "live_status", "seconds_between_looks"]

SWEEP: Final = 15.0
"""Seconds between two readings of a store that charges for them, while Redis is live or the trace has ended.

Only a shipper publishes. An event that was written without one is seen by then.
"""
CALM: Final = 5.0
"""Seconds between two readings of such a store after `QUIET` seconds without news."""
QUIET: Final = 30.0
"""Seconds without news after which a store that charges for readings is read less often."""
_PLAIN: Final = frozenset({"ConnectionError", "TimeoutError"})
"""Errors of a Redis that is down. Any other error needs a person to fix it, so the status names it."""


class LiveStatus(msgspec.Struct, frozen=True):
    """`every` is the number of seconds between two readings of the store, in any state.

    `unconfirmed` is the number of published events not yet found in the store.
    """

    state: Literal["live", "polling", "reconnecting", "catching up"]
    every: float
    why: str = ""
    unconfirmed: int = 0

    @property
    def words(self) -> str:
        """The state for the reader."""
        return f"{self._state_words} · {self.unconfirmed:,} unconfirmed" if self.unconfirmed else self._state_words

    @property
    def _state_words(self) -> str:
        polling = f"polling every {self.every:.2g} s"
        match self.state:
            case "live":
                return "live (Redis)"
            case "catching up":
                return "catching up"
            case "reconnecting":
                return f"reconnecting, {self.why} · {polling}" if self.why else f"reconnecting · {polling}"
        return f"{polling}, {self.why}" if self.why else polling


def live_status(heard: Heard | None, *, behind: bool, every: float) -> LiveStatus:
    """Return the status.

    Args:
        heard: the state of the subscription; None without a mirror.
        behind: whether the store may have unknown events.
        every: seconds between two readings of the store.
    """
    if heard is None:
        return LiveStatus("polling", every)
    if heard.phase == "lost":
        kind = (heard.fault or "").partition(":")[0]
        return LiveStatus("reconnecting", every, "" if kind in _PLAIN else kind)
    if heard.phase == "connecting":
        return LiveStatus("polling", every, "connecting to Redis")
    if behind:
        return LiveStatus("catching up", every)
    return LiveStatus("live", every) if heard.live else LiveStatus("polling", every, "no publisher heard")


def seconds_between_looks(heard: Heard | None, *, free: bool, over: bool, least: float, quiet: float = 0.0) -> float:
    """Return the seconds from one reading of the store to the next.

    Args:
        heard: the state of the subscription; None without a mirror.
        free: whether the store reports at no cost that nothing is new.
        over: whether the trace has ended.
        least: the fewest seconds.
        quiet: seconds without news.
    """
    if free:
        return least
    if over or (heard is not None and heard.live):
        return SWEEP
    return max(least, CALM) if quiet >= QUIET else least
