"""How the screen is kept up to date, as one of four states and in words: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sagatrace.mirror import Heard

__all__ = ["SWEEP", "Following", "following", "seconds_between_looks"]

SWEEP: Final = 15.0
"""Seconds between two looks at a store that charges for them, while Redis tells what is new or nothing more is to come.
What is written without a shipper, which alone publishes, is seen by then."""


_PLAIN: Final = frozenset({"ConnectionError", "TimeoutError"})
"""What keeps a subscriber from Redis while it is down; anything else is for somebody to put right, and is named."""


@dataclass(frozen=True, slots=True)
class Following:
    """`every` is in seconds: how often the store is looked at, whatever the state."""

    state: Literal["live", "polling", "reconnecting", "catching up"]
    every: float
    why: str = ""

    @property
    def words(self) -> str:
        """The state for the reader."""
        polling = f"polling every {self.every:.2g} s"
        match self.state:
            case "live":
                return "live by Redis"
            case "catching up":
                return "catching up"
            case "reconnecting":
                return f"reconnecting, {self.why} · {polling}" if self.why else f"reconnecting · {polling}"
        return f"{polling}, {self.why}" if self.why else polling


def following(heard: Heard | None, *, behind: bool, every: float) -> Following:
    """The state, by what is known of Redis (None: it is not asked), and whether the store is to be read after a gap."""
    if heard is None:
        return Following("polling", every)
    if heard.phase == "lost":
        kind = (heard.fault or "").partition(":")[0]
        return Following("reconnecting", every, "" if kind in _PLAIN else kind)
    if heard.phase == "connecting":
        return Following("polling", every, "connecting to Redis")
    if behind:
        return Following("catching up", every)
    return Following("live", every) if heard.live else Following("polling", every, "no publisher heard")


def seconds_between_looks(heard: Heard | None, *, free: bool, over: bool, least: float) -> float:
    """How long to leave the store alone. `free`: it tells at no cost that nothing is new; `over`: no more will come."""
    is_told = heard is not None and heard.live
    return SWEEP if not free and (is_told or over) else least
