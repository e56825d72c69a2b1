"""The phases of a span, which the types of its events end with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

__all__ = ["CLOSING_PHASES", "OPENING_PHASES", "PHASES", "split_event_type"]

OPENING_PHASES: Final = frozenset({"enqueued", "scheduled", "deferred", "started", "compensating"})
# Each closing phase with the status its span gets, unless the event carries an explicit one.
CLOSING_PHASES: Final[Mapping[str, Literal["success", "failed", "stopped", "canceled"]]] = {
    "completed": "success",
    "compensated": "success",
    "failed": "failed",
    "compensation_failed": "failed",
    "abandoned": "failed",
    "stopped": "stopped",
    "canceled": "canceled",
}
PHASES: Final = OPENING_PHASES | CLOSING_PHASES.keys() | {"retrying"}


@lru_cache(maxsize=4096)
def split_event_type(event_type: str) -> tuple[str, str | None]:
    """Split `stage:validate:completed` into (`stage:validate`, `completed`); without a known phase (all, None)."""
    name, _, phase = event_type.rpartition(":")
    if phase in PHASES:
        return name or phase, phase
    return event_type, None
